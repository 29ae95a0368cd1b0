// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Physical memory as this kernel sees it, in a row. In 32 bits it begins where the kernel itself is mapped, and ends
/// after 768 MiB. A 64-bit kernel is linked to the last 2 GiB of addresses, as the small code models want it, so memory
/// has a place of its own there, at the beginning of the higher half, with room for 8 GiB.

#include <lobos/core/physical_memory.hpp>
#include <lobos/core/range.hpp>

#include <cstring>

namespace kernel {

using namespace lobos::literals;

inline constexpr std::uint64_t kernel_base = REFERENCE_BASE;
inline constexpr std::uint64_t linear_base = REFERENCE_LINEAR_BASE;
inline constexpr lobos::phys_range mapped_memory =
    lobos::phys_range::of(0_pa, lobos::byte_count::of(std::uint64_t{REFERENCE_LINEAR_MIB} << 20));

/// What every build of this kernel maps, and so all of them find.
inline constexpr lobos::phys_range commonly_mapped = lobos::phys_range::of(0_pa, 768_MiB);
static_assert(mapped_memory.contains(commonly_mapped));

/// What 32-bit code does not reach, as far as it is mapped; nothing in a 32-bit build.
inline constexpr auto mapped_above_4g =
    intersection(mapped_memory, lobos::phys_range::between(0x1'0000'0000_pa, lobos::phys_addr::at(~std::uint64_t{0})));

/// Precondition: `at` is in `mapped_memory`.
inline std::byte* pointer_to(lobos::phys_addr at)
{
    lobos::expects(mapped_memory.contains(at), "the linear map does not reach that far");
    return reinterpret_cast<std::byte*>(static_cast<std::uintptr_t>(linear_base + at.raw()));
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
