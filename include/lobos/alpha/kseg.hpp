// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// kseg: the third quarter of Alpha's virtual addresses of 43 bits, where the kernel reaches physical memory one to one
/// and no page table is asked [alpha/arm II-B]. Kernels live in it, and images are linked for it: their physical
/// addresses are those below.
///
/// kseg has 41 bits. On a 21264 the upper half of it is I/O: bit 40 of the address is bit 43 of the physical one. What
/// is older has its I/O in the lower half. So memory has addresses of 40 bits here, but not all that has them is
/// memory: the HWRPB's clusters decide.

#include <lobos/paging/direct_range.hpp>

namespace lobos::alpha {

/// All of kseg, memory and I/O.
inline constexpr virt_range kseg =
    virt_range::between(virt_addr::at(0xffff'fc00'0000'0000), virt_addr::at(0xffff'fdff'ffff'ffff));

/// What memory kseg can reach: no more, and on some machines less.
inline constexpr phys_range kseg_memory = phys_range::between(phys_addr::at(0), phys_addr::at(0xff'ffff'ffff));

/// Memory as it lies in kseg.
inline constexpr direct_range kseg_direct{kseg.first(), kseg_memory};

/// Where the kernel finds `p`, or nothing when it is no memory that kseg reaches.
constexpr std::optional<virt_addr> to_kseg(phys_addr p)
{
    return kseg_direct.virtual_of(p);
}

/// The memory that `v` is, or nothing when it lies outside of kseg or in its I/O half.
constexpr std::optional<phys_addr> from_kseg(virt_addr v)
{
    return kseg_direct.physical_of(v);
}

// Sanity checks
static_assert(to_kseg(phys_addr::at(0x101'0000)) == virt_addr::at(0xffff'fc00'0101'0000));
static_assert(from_kseg(virt_addr::at(0xffff'fc00'0101'0000)) == phys_addr::at(0x101'0000));
static_assert(!from_kseg(virt_addr::at(0xffff'fd01'fc00'03f8)), "a serial line");
static_assert(!to_kseg(phys_addr::at(0x100'0000'0000)));

} // namespace lobos::alpha
