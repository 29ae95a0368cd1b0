// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// PAE paging [intel/vol3 §4.4]: linear addresses of 32 bits, entries of 64, physical addresses of up to 52. The root
/// is a page-directory-pointer table of four entries; below it are page directories and page tables of 512. A page is
/// of 4 KB or of 2 MB.
///
///      31 30 29       21 20       12 11           0
///     +-----+-----------+-----------+--------------+
///     | ptr | directory |   table   |    offset    |   4 KB page
///     +-----+-----------+-----------+--------------+
///     | ptr | directory |          offset          |   2 MB page
///     +-----+-----------+--------------------------+
///
/// The processor reads the four pointers when CR3 is loaded, and keeps them; a reserved bit in one that is present is a
/// general-protection fault there and then [intel/vol3 §4.4.1]. The table needs 32 bytes at a multiple of 32 below
/// 4 GiB. A running one may lie anywhere like that; what a clone makes begins a page of its own.

#include <type_traits>

#include <lobos/x86/page_entry_64.hpp>

namespace lobos::x86 {

/// An entry of the page-directory-pointer table [intel/vol3 table 4-8]: it names a directory, and forbids nothing.
struct pae_pointer_entry {
    using word = std::uint64_t;

    /// R/W, U/S, D, PS, G of the other levels, and what lies above the address. A is reserved too when CR3 is loaded,
    /// but QEMU sets it afterwards in a table that is in use, as it does on the levels below; so a running table may
    /// have it.
    static constexpr word reserved = 0xfff0'0000'0000'01c6;

    word bits = 0;

    constexpr bool present() const { return (bits & page_bit_64::present) != 0; }
    constexpr bool is_leaf() const { return false; }
    constexpr bool valid() const { return (bits & reserved) == 0; }
    constexpr phys_addr target() const { return phys_addr::at(bits & page_bit_64::address); }
    constexpr access rights() const { return access::read_write; }
    constexpr bool executable() const { return true; }
    static constexpr pae_pointer_entry table(phys_addr target) { return {target.raw() | page_bit_64::present}; }
};

struct paging_pae {
    using word = std::uint64_t;
    static constexpr unsigned levels = 3; ///< page table, page directory, page-directory-pointer table
    static constexpr byte_count table_size = byte_count::of(4096);
    static constexpr byte_count granule = byte_count::of(4096);
    static constexpr unsigned largest_new_leaf = 1;
    static constexpr virt_range reach[] = {virt_range::between(virt_addr::at(0), virt_addr::at(0xffff'ffff))};
    static constexpr phys_range physical_reach =
        phys_range::between(phys_addr::at(0), phys_addr::at(0x000f'ffff'ffff'ffff));

    /// Where CR3 can name the root.
    static constexpr phys_range root_reach = phys_range::between(phys_addr::at(0), phys_addr::at(0xffff'ffff));

    /// Bits 62 to 52 of directory and table entries [intel/vol3 tables 4-9 to 4-11].
    static constexpr word reserved = page_bit_64::ignored | page_bit_64::protection_key;

    template <unsigned Level> static constexpr unsigned shift = 12 + 9 * Level;
    template <unsigned Level> static constexpr unsigned index_bits = Level == 2 ? 2 : 9;
    template <unsigned Level> static constexpr bool may_be_leaf = Level <= 1;

    template <unsigned Level>
    using entry = std::conditional_t<Level == 2, pae_pointer_entry, page_entry_64<Level, reserved>>;
};

// Sanity checks
static_assert(paging_traits<paging_pae>);
static_assert(span_of<paging_pae, 2> == byte_count::of(1u << 30));
static_assert(paging_pae::reserved == 0x7ff0'0000'0000'0000);
static_assert(paging_pae::entry<2>::table(0x1000_pa).bits == 0x1001);
static_assert(!paging_pae::entry<2>{0x1003}.valid() && paging_pae::entry<2>{0x1e19}.valid());
static_assert(paging_pae::entry<1>{0x8000'0000'0020'01e7}.kept(access::read_only, false).bits == 0x8000'0000'0020'00e1);

} // namespace lobos::x86
