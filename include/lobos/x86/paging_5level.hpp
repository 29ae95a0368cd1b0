// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// 5-level paging of 64-bit mode, with CR4.LA57 [intel/vol3 §4.5]: 4-level paging below one table more, the PML5.
///
///      63      57 56      48 47                                  0
///     +----------+----------+-------------------------------------+
///     |  as bit  |   PML5   |          as in 4-level paging       |
///     |    56    |          |                                     |
///     +----------+----------+-------------------------------------+
///
/// All of physical memory, which has at most 52 bits, lies below 2^56 and so has an identity mapping.

#include <lobos/x86/paging_4level.hpp>

namespace lobos::x86 {

/// 1 GB pages that are there are kept, new ones are not made.
struct paging_5level : paging_4level {
    static constexpr mode_registers mode{.name = "5-level paging",
        .cr4 = cr4::large_pages | cr4::wide_pages | cr4::five_levels,
        .cr4_decides = cr4::wide_pages | cr4::five_levels,
        .long_mode = true,
        .root = page_bit_64::address};
    static constexpr unsigned levels = 5;
    static constexpr virt_range reach[] = {
        virt_range::between(virt_addr::at(0), virt_addr::at(0x00ff'ffff'ffff'ffff)),
        virt_range::between(virt_addr::at(0xff00'0000'0000'0000), virt_addr::at(0xffff'ffff'ffff'ffff)),
    };
};

/// For processors whose CPUID knows 1 GB pages (function 0x8000'0001, EDX bit 26).
struct paging_5level_1g : paging_5level {
    static constexpr unsigned largest_new_leaf = 2;
};

// Sanity checks
static_assert(paging_traits<paging_5level> && paging_traits<paging_5level_1g>);
static_assert(span_of<paging_5level, 4> == byte_count::of(std::uint64_t{1} << 48));
static_assert(!paging_5level::may_be_leaf<3> && !paging_5level::may_be_leaf<4>);
static_assert(reaches<paging_5level>(virt_range::of(virt_addr::at(0x8000'0000'0000), 1_bytes)));
static_assert(!reaches<paging_5level>(virt_range::of(virt_addr::at(0x0100'0000'0000'0000), 1_bytes)));
static_assert(!reaches<paging_5level>(virt_range::of(virt_addr::at(0xfeff'ffff'ffff'ffff), 1_bytes)));

} // namespace lobos::x86
