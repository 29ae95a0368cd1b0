// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// An entry of 64 bits, which PAE, 4-level and 5-level paging have in common [intel/vol3 §4.4.2, §4.5.4]. Level by
/// level it says the same in all of them: 0 a page table's, 1 a page directory's, 2 and above a table's of tables. What
/// differs is who reserves which bits, and a mode names those.
///
/// Bit 63 is taken for XD, so IA32_EFER.NXE is taken to be set if any running entry has it; what is newly mapped does
/// not have it, and works either way.

#include <lobos/paging/traits.hpp>

namespace lobos::x86 {

/// Bits of an entry, on whichever level [intel/vol3 tables 4-8 to 4-11, 4-15 to 4-20].
namespace page_bit_64 {
inline constexpr std::uint64_t present = 1u << 0;       ///< P: the entry maps something
inline constexpr std::uint64_t writable = 1u << 1;      ///< R/W: writes allowed
inline constexpr std::uint64_t user = 1u << 2;          ///< U/S: user mode may use it
inline constexpr std::uint64_t write_through = 1u << 3; ///< PWT: memory type
inline constexpr std::uint64_t cache_disable = 1u << 4; ///< PCD: memory type
inline constexpr std::uint64_t accessed = 1u << 5;      ///< A: set by the processor
inline constexpr std::uint64_t dirty = 1u << 6;         ///< D: set by the processor, leaves only
inline constexpr std::uint64_t page_size = 1u << 7;     ///< PS: maps a page; reserved where no page can be
inline constexpr std::uint64_t table_pat = 1u << 7;     ///< PAT of a 4 KB page: memory type
inline constexpr std::uint64_t global = 1u << 8;        ///< G: survives a load of CR3 when CR4.PGE is set; leaves only
inline constexpr std::uint64_t software = 7u << 9;      ///< ignored by the processor; bit 11 but for HLAT paging
inline constexpr std::uint64_t large_pat = 1u << 12;    ///< PAT of a larger page: memory type
inline constexpr std::uint64_t address = 0x000f'ffff'ffff'f000;
inline constexpr std::uint64_t ignored = std::uint64_t{0x7f} << 52;       ///< reserved in PAE paging
inline constexpr std::uint64_t protection_key = std::uint64_t{0xf} << 59; ///< leaves only, if CR4.PKE or PKS is set
inline constexpr std::uint64_t execute_disable = std::uint64_t{1} << 63;  ///< XD: instructions may not be fetched
} // namespace page_bit_64

/// `Reserved` are the bits that the mode reserves in every entry. Accessed and dirty are set beforehand in what lobos
/// makes, so that the processor has no reason to write to the tables.
template <unsigned Level, std::uint64_t Reserved = 0> struct page_entry_64 {
    using word = std::uint64_t;

    /// Pages are of 4 KB, of 2 MB and of 1 GB.
    static constexpr bool may_be_leaf = Level <= 2;

    word bits = 0;

    constexpr bool present() const { return (bits & page_bit_64::present) != 0; }
    constexpr bool is_leaf() const { return Level == 0 || (may_be_leaf && (bits & page_bit_64::page_size) != 0); }
    constexpr bool valid() const
    {
        if ((bits & Reserved) != 0)
            return false;
        if (!may_be_leaf)
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
    constexpr page_entry_64 kept(access rights, bool executable) const
        requires may_be_leaf
    {
        const word kept_bits = bits & (place | memory_type);
        return {kept_bits | leaf_bits | writable(rights) | (executable ? 0 : page_bit_64::execute_disable)};
    }
    static constexpr page_entry_64 leaf(phys_addr target, access rights)
        requires may_be_leaf
    {
        return {target.raw() | leaf_bits | writable(rights)};
    }
    static constexpr page_entry_64 table(phys_addr target)
        requires(Level > 0)
    {
        return {target.raw() | page_bit_64::present | page_bit_64::writable | page_bit_64::accessed};
    }

private:
    /// What a leaf can say of where its page is.
    static constexpr word place = page_bit_64::address & ~((word{1} << (12 + 9 * Level)) - 1);
    static constexpr word memory_type = page_bit_64::write_through | page_bit_64::cache_disable |
        (Level == 0 ? page_bit_64::table_pat : page_bit_64::large_pat);
    static constexpr word leaf_bits =
        page_bit_64::present | page_bit_64::accessed | page_bit_64::dirty | (Level == 0 ? 0 : page_bit_64::page_size);
    static constexpr word writable(access rights) { return rights == access::read_write ? page_bit_64::writable : 0; }
};

// Sanity checks
static_assert(page_entry_64<0>::leaf(0x1000_pa, access::read_write).bits == 0x1063);
static_assert(page_entry_64<1>::leaf(0x20'0000_pa, access::read_write).bits == 0x20'00e3);
static_assert(page_entry_64<4>::table(0x1000_pa).bits == 0x1023);
static_assert(!page_entry_64<1>{0x20'20e3}.valid());
static_assert(!page_entry_64<3>{0x10a3}.valid());
static_assert(page_entry_64<0>{0x0010'0000'0000'1003}.valid());
static_assert(!page_entry_64<0, page_bit_64::ignored>{0x0010'0000'0000'1003}.valid());
static_assert(page_entry_64<2>{0x8000'0000'4000'11e7}.kept(access::read_write, false).bits == 0x8000'0000'4000'10e3);

} // namespace lobos::x86
