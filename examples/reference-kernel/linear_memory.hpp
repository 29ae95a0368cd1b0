// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Physical memory as this kernel sees it: the first 768 MiB in a row, at the address that it is linked to.

#include <lobos/core/physical_memory.hpp>
#include <lobos/core/range.hpp>

#include <cstring>

namespace kernel {

using namespace lobos::literals;

inline constexpr std::uint64_t kernel_base = REFERENCE_BASE;
inline constexpr lobos::phys_range mapped_memory = lobos::phys_range::of(0_pa, 768_MiB);

/// Precondition: `at` is in `mapped_memory`.
inline std::byte* pointer_to(lobos::phys_addr at)
{
    lobos::expects(mapped_memory.contains(at), "the linear map does not reach that far");
    return reinterpret_cast<std::byte*>(static_cast<std::uintptr_t>(kernel_base + at.raw()));
}

class linear_memory {
public:
    void read(lobos::phys_addr at, std::span<std::byte> to) const
    {
        if (!to.empty())
            std::memcpy(to.data(), pointer_to(at), to.size());
    }
    void write(lobos::phys_addr at, std::span<const std::byte> from)
    {
        if (!from.empty())
            std::memcpy(pointer_to(at), from.data(), from.size());
    }
};
static_assert(lobos::physical_memory<linear_memory>);

inline constinit linear_memory memory;

} // namespace kernel
