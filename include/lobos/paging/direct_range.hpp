// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Virtual addresses that a machine translates without any table: physical memory, in a row, there for the kernel
/// whatever tables are in force. Alpha has such a range (kseg), x86 has none. Where there is one the overlay works in
/// it, and its tables need nothing of what it copies; where there is none, its tables map that one to one.

#include <optional>

#include <lobos/core/range.hpp>

namespace lobos {

struct direct_range {
    virt_addr first;     ///< of what is translated
    phys_range physical; ///< what it is translated to

    constexpr virt_range virtual_range() const { return virt_range::of(first, physical.size()); }

    /// The memory that `v` is, or nothing outside of the range.
    constexpr std::optional<phys_addr> physical_of(virt_addr v) const
    {
        if (!virtual_range().contains(v))
            return std::nullopt;
        return physical.first() + (v - first);
    }
    /// Where `p` is, or nothing when the range does not reach it.
    constexpr std::optional<virt_addr> virtual_of(phys_addr p) const
    {
        if (!physical.contains(p))
            return std::nullopt;
        return first + (p - physical.first());
    }
};

/// A mode of paging whose machine has a direct range, of which its traits say so by `direct`.
template <class T>
concept has_direct_range = requires {
    { T::direct } -> std::convertible_to<direct_range>;
};

/// What memory an overlay reaches in mode `T`.
template <class T> constexpr phys_range overlay_reach()
{
    if constexpr (has_direct_range<T>)
        return T::direct.physical;
    else
        return T::physical_reach;
}

/// Where it finds `p` there. Precondition: it reaches it.
template <class T> constexpr virt_addr overlay_address(phys_addr p)
{
    if constexpr (has_direct_range<T>)
        return T::direct.first + (p - T::direct.physical.first());
    else
        return virt_addr::at(p.raw());
}

// Sanity checks
static_assert(direct_range{0x8000_va, phys_range::of(0x100_pa, 0x10_bytes)}.physical_of(0x800f_va) == 0x10f_pa);
static_assert(!direct_range{0x8000_va, phys_range::of(0x100_pa, 0x10_bytes)}.physical_of(0x8010_va));
static_assert(direct_range{0x8000_va, phys_range::of(0x100_pa, 0x10_bytes)}.virtual_of(0x10f_pa) == 0x800f_va);
static_assert(!direct_range{0x8000_va, phys_range::of(0x100_pa, 0x10_bytes)}.virtual_of(0xff_pa));

} // namespace lobos
