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
/// knows 1 GB pages, only CPUID tells. Bit 63 is taken for XD, so IA32_EFER.NXE is taken to be set if any running entry
/// has it; what is newly mapped does not have it, and works either way. Physical memory from 2^47 on has no identity
/// mapping, since a virtual address there is not canonical.

#include <lobos/paging/traits.hpp>

namespace lobos::x86 {

/// Bits of an entry, on whichever level [intel/vol3 tables 4-15 to 4-20].
namespace page_bit_64 {
inline constexpr std::uint64_t present = 1u << 0;       ///< P: the entry maps something
inline constexpr std::uint64_t writable = 1u << 1;      ///< R/W: writes allowed
inline constexpr std::uint64_t user = 1u << 2;          ///< U/S: user mode may use it
inline constexpr std::uint64_t write_through = 1u << 3; ///< PWT: memory type
inline constexpr std::uint64_t cache_disable = 1u << 4; ///< PCD: memory type
inline constexpr std::uint64_t accessed = 1u << 5;      ///< A: set by the processor
inline constexpr std::uint64_t dirty = 1u << 6;         ///< D: set by the processor, leaves only
inline constexpr std::uint64_t page_size = 1u << 7;     ///< PS: maps a page; reserved in the PML4
inline constexpr std::uint64_t table_pat = 1u << 7;     ///< PAT of a 4 KB page: memory type
inline constexpr std::uint64_t global = 1u << 8;        ///< G: survives a load of CR3 when CR4.PGE is set; leaves only
inline constexpr std::uint64_t software = 7u << 9;      ///< ignored by the processor; bit 11 but for HLAT paging
inline constexpr std::uint64_t large_pat = 1u << 12;    ///< PAT of a larger page: memory type
inline constexpr std::uint64_t address = 0x000f'ffff'ffff'f000;
inline constexpr std::uint64_t ignored = std::uint64_t{0x7f} << 52;
inline constexpr std::uint64_t protection_key = std::uint64_t{0xf} << 59; ///< leaves only, if CR4.PKE or PKS is set
inline constexpr std::uint64_t execute_disable = std::uint64_t{1} << 63;  ///< XD: instructions may not be fetched
} // namespace page_bit_64

/// For every processor of 64-bit mode: 1 GB pages that are there are kept, new ones are not made.
struct paging_4level {
    using word = std::uint64_t;
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
    template <unsigned Level> static constexpr bool may_be_leaf = Level <= 2;

    template <unsigned Level> struct entry;
};

/// For processors whose CPUID knows 1 GB pages (function 0x8000'0001, EDX bit 26).
struct paging_4level_1g : paging_4level {
    static constexpr unsigned largest_new_leaf = 2;
};

/// Accessed and dirty are set beforehand in what lobos makes, so that the processor has no reason to write to the
/// tables.
template <unsigned Level> struct paging_4level::entry {
    word bits = 0;

    constexpr bool present() const { return (bits & page_bit_64::present) != 0; }
    constexpr bool is_leaf() const
    {
        return Level == 0 || (may_be_leaf<Level> && (bits & page_bit_64::page_size) != 0);
    }
    constexpr bool valid() const
    {
        if (!may_be_leaf<Level>)
            return (bits & page_bit_64::page_size) == 0;
        return !is_leaf() || (bits & page_bit_64::address & ~(place | memory_type)) == 0;
    }
    constexpr phys_addr target() const { return phys_addr::at(bits & (is_leaf() ? place : page_bit_64::address)); }
    constexpr access rights() const
    {
        return (bits & page_bit_64::writable) != 0 ? access::read_write : access::read_only;
    }
    constexpr bool executable() const { return (bits & page_bit_64::execute_disable) == 0; }

    /// Global is dropped: nothing of these tables may outlive them in the TLB. So are user mode and the protection key,
    /// which are about who may use a page of the running kernel.
    constexpr entry kept(access rights, bool executable) const
        requires may_be_leaf<Level>
    {
        const word kept_bits = bits & (place | memory_type);
        return entry{kept_bits | leaf_bits | writable(rights) | (executable ? 0 : page_bit_64::execute_disable)};
    }
    static constexpr entry leaf(phys_addr target, access rights)
        requires may_be_leaf<Level>
    {
        return entry{target.raw() | leaf_bits | writable(rights)};
    }
    static constexpr entry table(phys_addr target)
        requires(Level > 0)
    {
        return entry{target.raw() | page_bit_64::present | page_bit_64::writable | page_bit_64::accessed};
    }

private:
    /// What a leaf can say of where its page is.
    static constexpr word place = page_bit_64::address & ~((word{1} << shift<Level>)-1);
    static constexpr word memory_type = page_bit_64::write_through | page_bit_64::cache_disable |
        (Level == 0 ? page_bit_64::table_pat : page_bit_64::large_pat);
    static constexpr word leaf_bits =
        page_bit_64::present | page_bit_64::accessed | page_bit_64::dirty | (Level == 0 ? 0 : page_bit_64::page_size);
    static constexpr word writable(access rights) { return rights == access::read_write ? page_bit_64::writable : 0; }
};

// Sanity checks
static_assert(paging_traits<paging_4level> && paging_traits<paging_4level_1g>);
static_assert(span_of<paging_4level, 2> == byte_count::of(1u << 30));
static_assert(paging_4level::entry<0>::leaf(0x1000_pa, access::read_write).bits == 0x1063);
static_assert(paging_4level::entry<1>::leaf(0x20'0000_pa, access::read_write).bits == 0x20'00e3);
static_assert(!paging_4level::entry<1>{0x20'20e3}.valid());
static_assert(!paging_4level::entry<3>{0x10a3}.valid());
static_assert(
    paging_4level::entry<2>{0x8000'0000'4000'11e7}.kept(access::read_write, false).bits == 0x8000'0000'4000'10e3);

} // namespace lobos::x86
