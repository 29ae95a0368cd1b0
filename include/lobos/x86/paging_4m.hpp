// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// 32-bit paging [intel/vol3 §4.3]: a page directory of 1024 entries, each a page table or, with CR4.PSE, a 4 MB page.
///
///      31          22 21          12 11                 0
///     +--------------+--------------+--------------------+
///     |  directory   |    table     |       offset       |   4 KB page
///     +--------------+--------------+--------------------+
///     |  directory   |             offset                |   4 MB page
///     +--------------+-----------------------------------+
///
/// `paging_4m` is the mode of the paper: what it adds to a clone are 4 MB pages, so that one directory page holds all
/// of it. Mappings it keeps may be of either size.

#include <lobos/paging/traits.hpp>
#include <lobos/x86/control_registers.hpp>

namespace lobos::x86 {

/// Bits of a directory or table entry [intel/vol3 tables 4-4 to 4-6].
namespace page_bit {
inline constexpr std::uint32_t present = 1u << 0;        ///< P: the entry maps something
inline constexpr std::uint32_t writable = 1u << 1;       ///< R/W: writes allowed
inline constexpr std::uint32_t user = 1u << 2;           ///< U/S: user mode may use it
inline constexpr std::uint32_t write_through = 1u << 3;  ///< PWT: memory type
inline constexpr std::uint32_t cache_disable = 1u << 4;  ///< PCD: memory type
inline constexpr std::uint32_t accessed = 1u << 5;       ///< A: set by the processor
inline constexpr std::uint32_t dirty = 1u << 6;          ///< D: set by the processor, leaves only
inline constexpr std::uint32_t page_size = 1u << 7;      ///< PS in a directory entry: maps a 4 MB page
inline constexpr std::uint32_t table_pat = 1u << 7;      ///< PAT in a table entry: memory type
inline constexpr std::uint32_t global = 1u << 8;         ///< G: survives a load of CR3 when CR4.PGE is set
inline constexpr std::uint32_t software = 7u << 9;       ///< ignored by the processor
inline constexpr std::uint32_t large_pat = 1u << 12;     ///< PAT in a 4 MB directory entry: memory type
inline constexpr std::uint32_t large_high = 0xffu << 13; ///< bits 39 to 32 of a 4 MB page's address (PSE-36)
inline constexpr std::uint32_t large_reserved = 1u << 21;
} // namespace page_bit

struct paging_4m {
    using word = std::uint32_t;
    static constexpr mode_registers mode{.name = "32-bit paging with 4 MB pages",
        .cr4 = cr4::large_pages,
        .cr4_decides = cr4::large_pages | cr4::wide_pages,
        .long_mode = false,
        .root = 0xffff'f000};
    static constexpr unsigned levels = 2;
    static constexpr byte_count table_size = byte_count::of(4096);
    static constexpr byte_count granule = byte_count::of(4u << 20);
    static constexpr unsigned largest_new_leaf = 1;
    static constexpr virt_range reach[] = {virt_range::between(virt_addr::at(0), virt_addr::at(0xffff'ffff))};
    static constexpr phys_range physical_reach = phys_range::between(phys_addr::at(0), phys_addr::at(0xffff'ffff));

    template <unsigned Level> static constexpr unsigned shift = Level == 0 ? 12 : 22;
    template <unsigned Level> static constexpr unsigned index_bits = 10;
    template <unsigned Level> static constexpr bool may_be_leaf = true;

    template <unsigned Level> struct entry;
};

/// A page-table entry: a 4 KB page.
template <> struct paging_4m::entry<0> {
    word bits = 0;

    constexpr bool present() const { return (bits & page_bit::present) != 0; }
    constexpr bool is_leaf() const { return true; }
    constexpr bool valid() const { return true; } // no reserved bits [intel/vol3 table 4-6]
    constexpr phys_addr target() const { return phys_addr::at(bits & 0xffff'f000u); }
    constexpr access rights() const { return (bits & page_bit::writable) ? access::read_write : access::read_only; }
    constexpr entry kept(access rights) const
    {
        // Global is dropped: nothing of these tables may outlive them in the TLB.
        constexpr word keep =
            0xffff'f000u | page_bit::present | page_bit::write_through | page_bit::cache_disable | page_bit::table_pat;
        return entry{(bits & keep) | page_bit::accessed | page_bit::dirty |
            (rights == access::read_write ? page_bit::writable : 0)};
    }
    static constexpr entry leaf(phys_addr target, access rights)
    {
        return entry{static_cast<word>(target.raw()) | page_bit::present | page_bit::accessed | page_bit::dirty |
            (rights == access::read_write ? page_bit::writable : 0)};
    }
};

/// A page-directory entry: a page table, or a 4 MB page. Accessed and dirty are set beforehand in what lobos makes,
/// so that the processor has no reason to write to the tables.
template <> struct paging_4m::entry<1> {
    word bits = 0;

    constexpr bool present() const { return (bits & page_bit::present) != 0; }
    constexpr bool is_leaf() const { return (bits & page_bit::page_size) != 0; }
    constexpr bool valid() const { return !is_leaf() || (bits & page_bit::large_reserved) == 0; }
    constexpr phys_addr target() const
    {
        if (!is_leaf())
            return phys_addr::at(bits & 0xffff'f000u);
        return phys_addr::at((bits & 0xffc0'0000u) | (std::uint64_t{bits & page_bit::large_high} << (32 - 13)));
    }
    constexpr access rights() const { return (bits & page_bit::writable) ? access::read_write : access::read_only; }
    constexpr entry kept(access rights) const
    {
        constexpr word keep = 0xffc0'0000u | page_bit::large_high | page_bit::large_pat | page_bit::present |
            page_bit::write_through | page_bit::cache_disable | page_bit::page_size;
        return entry{(bits & keep) | page_bit::accessed | page_bit::dirty |
            (rights == access::read_write ? page_bit::writable : 0)};
    }
    static constexpr entry leaf(phys_addr target, access rights)
    {
        return entry{static_cast<word>(target.raw()) | page_bit::present | page_bit::page_size | page_bit::accessed |
            page_bit::dirty | (rights == access::read_write ? page_bit::writable : 0)};
    }
    static constexpr entry table(phys_addr target)
    {
        return entry{static_cast<word>(target.raw()) | page_bit::present | page_bit::writable | page_bit::accessed};
    }
};

// Sanity checks
static_assert(paging_traits<paging_4m>);
static_assert(paging_4m::entry<1>::leaf(0x0040'0000_pa, access::read_write).bits == 0x0040'00e3);
static_assert(paging_4m::entry<1>{0x0000'20e3}.target() == 0x1'0000'0000_pa);
static_assert(!paging_4m::entry<1>{page_bit::present | page_bit::page_size | page_bit::large_reserved}.valid());
static_assert(paging_4m::entry<1>{0xc000'0fe7}.kept(access::read_write).bits == 0xc000'00e3);

} // namespace lobos::x86
