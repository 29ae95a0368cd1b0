// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Random bytes from the processor, such as a new kernel wants for a seed before it has gathered any of its own.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include <lobos/machine/cpu.hpp>

namespace lobos::machine {

/// Fills `out` by RDRAND [intel/vol2 RDRAND]. False where the processor has none, or where it had none ready after as
/// many tries as the manual advises; `out` is then zeros, for half a seed is worse than none.
inline bool random_bytes(std::span<std::byte> out)
{
    constexpr std::uint32_t has_rdrand = 1u << 30;
    constexpr int tries = 10;
    bool all = (cpuid(1).ecx & has_rdrand) != 0;
    for (std::size_t done = 0; all && done < out.size();) {
        std::uintptr_t word = 0;
        bool ready = false;
        for (int i = 0; i < tries && !ready; ++i)
            asm volatile("rdrand %0" : "=r"(word), "=@ccc"(ready));
        const std::size_t here = std::min(sizeof word, out.size() - done);
        std::memcpy(out.data() + done, &word, here);
        done += here;
        all = ready;
    }
    if (!all)
        std::fill(out.begin(), out.end(), std::byte{0});
    return all;
}

} // namespace lobos::machine
