// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// 4-level paging of 64-bit mode [intel/vol3 §4.5]: four levels of tables with 512 entries of 64 bits. A page is of
/// 4 KB, of 2 MB (a page-directory entry) or of 1 GB (a page-directory-pointer-table entry).
///
///      63      48 47      39 38      30 29      21 20      12 11       0
///     +----------+----------+----------+----------+----------+----------+
///     |  as bit  |   PML4   | pointers | directory|  table   |  offset  |   4 KB page
///     |    47    |          |          |          +----------+----------+
///     |          |          |          |          |        offset       |   2 MB page
///     |          |          |          +----------+---------------------+
///     |          |          |          |             offset             |   1 GB page
///     +----------+----------+----------+--------------------------------+
///
/// Physical addresses may have 52 bits here, the most that an entry can name: how many a processor has, and whether it
/// knows 1 GB pages, only CPUID tells. Physical memory from 2^47 on has no identity mapping, since a virtual address
/// there is not canonical.

#include <lobos/x86/control_registers.hpp>
#include <lobos/x86/page_entry_64.hpp>

namespace lobos::x86 {

/// For every processor of 64-bit mode: 1 GB pages that are there are kept, new ones are not made.
struct paging_4level {
    using word = std::uint64_t;
    static constexpr mode_registers mode{.name = "4-level paging",
        .cr4 = cr4::large_pages | cr4::wide_pages,
        .cr4_decides = cr4::wide_pages | cr4::five_levels,
        .long_mode = true,
        .root = page_bit_64::address};
    static constexpr unsigned levels = 4; ///< page table, page directory, page-directory-pointer table, PML4
    static constexpr byte_count table_size = byte_count::of(4096);
    static constexpr byte_count granule = byte_count::of(4096);
    static constexpr unsigned largest_new_leaf = 1;
    static constexpr virt_range reach[] = {
        virt_range::between(virt_addr::at(0), virt_addr::at(0x7fff'ffff'ffff)),
        virt_range::between(virt_addr::at(0xffff'8000'0000'0000), virt_addr::at(0xffff'ffff'ffff'ffff)),
    };
    static constexpr phys_range physical_reach =
        phys_range::between(phys_addr::at(0), phys_addr::at(0x000f'ffff'ffff'ffff));

    template <unsigned Level> static constexpr unsigned shift = 12 + 9 * Level;
    template <unsigned Level> static constexpr unsigned index_bits = 9;
    template <unsigned Level> static constexpr bool may_be_leaf = page_entry_64<Level>::may_be_leaf;

    template <unsigned Level> using entry = page_entry_64<Level>;
};

/// For processors whose CPUID knows 1 GB pages (function 0x8000'0001, EDX bit 26).
struct paging_4level_1g : paging_4level {
    static constexpr unsigned largest_new_leaf = 2;
};

// Sanity checks
static_assert(paging_traits<paging_4level> && paging_traits<paging_4level_1g>);
static_assert(span_of<paging_4level, 2> == byte_count::of(1u << 30));
static_assert(paging_4level::may_be_leaf<2> && !paging_4level::may_be_leaf<3>);
static_assert(!reaches<paging_4level>(virt_range::of(virt_addr::at(0x8000'0000'0000), 1_bytes)));

} // namespace lobos::x86
