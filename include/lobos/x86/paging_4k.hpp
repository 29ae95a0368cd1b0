// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// 32-bit paging without 4 MB pages, with CR4.PSE clear or a processor that has none [intel/vol3 §4.3]: `paging_4m`,
/// but every directory entry names a table, and its bit 7 is ignored.
///
///      31          22 21          12 11                 0
///     +--------------+--------------+--------------------+
///     |  directory   |    table     |       offset       |   4 KB page
///     +--------------+--------------+--------------------+

#include <type_traits>

#include <lobos/x86/paging_4m.hpp>

namespace lobos::x86 {

/// A page-directory entry that can only name a page table [intel/vol3 table 4-5].
struct directory_entry_4k {
    using word = std::uint32_t;
    word bits = 0;

    constexpr bool present() const { return (bits & page_bit::present) != 0; }
    constexpr bool is_leaf() const { return false; }
    constexpr bool valid() const { return true; } // no reserved bits
    constexpr phys_addr target() const { return phys_addr::at(bits & 0xffff'f000u); }
    constexpr access rights() const { return (bits & page_bit::writable) ? access::read_write : access::read_only; }
    static constexpr directory_entry_4k table(phys_addr target) { return {paging_4m::entry<1>::table(target).bits}; }
};

struct paging_4k {
    using word = std::uint32_t;
    static constexpr mode_registers mode{.name = "32-bit paging",
        .cr4 = 0,
        .cr4_decides = cr4::large_pages | cr4::wide_pages,
        .long_mode = false,
        .root = 0xffff'f000};
    static constexpr unsigned levels = 2;
    static constexpr byte_count table_size = byte_count::of(4096);
    static constexpr byte_count granule = byte_count::of(4096);
    static constexpr unsigned largest_new_leaf = 0;
    static constexpr virt_range reach[] = {virt_range::between(virt_addr::at(0), virt_addr::at(0xffff'ffff))};
    static constexpr phys_range physical_reach = phys_range::between(phys_addr::at(0), phys_addr::at(0xffff'ffff));

    template <unsigned Level> static constexpr unsigned shift = paging_4m::shift<Level>;
    template <unsigned Level> static constexpr unsigned index_bits = paging_4m::index_bits<Level>;
    template <unsigned Level> static constexpr bool may_be_leaf = Level == 0;

    template <unsigned Level> using entry = std::conditional_t<Level == 0, paging_4m::entry<0>, directory_entry_4k>;
};

// Sanity checks
static_assert(paging_traits<paging_4k>);
static_assert(!paging_4k::entry<1>{0x20'0083}.is_leaf() && paging_4k::entry<1>{0x20'0083}.valid());
static_assert(paging_4k::entry<1>{0x20'0083}.target() == 0x20'0000_pa);
static_assert(paging_4k::entry<1>::table(0x1000_pa).bits == 0x1023);
static_assert(paging_4k::entry<0>::leaf(0x1000_pa, access::read_write).bits == 0x1063);

} // namespace lobos::x86
