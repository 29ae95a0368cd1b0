// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The modes of paging that the shared tests run over, each with what its manual says, in the test's own numbers: bits
/// of an entry level by level (0 is the leaf), and a walker that shares nothing with the library.

#include <random>
#include <string>
#include <tuple>

#include <lobos/alpha/paging_8k.hpp>
#include <lobos/paging/clone.hpp>
#include <lobos/x86/paging_4k.hpp>
#include <lobos/x86/paging_4level.hpp>
#include <lobos/x86/paging_4m.hpp>
#include <lobos/x86/paging_5level.hpp>
#include <lobos/x86/paging_pae.hpp>

#include <tests/catch.hpp>
#include <tests/support/byte_memory.hpp>

namespace lobos::test {

/// What the manual's walk comes to.
struct manual_walk {
    enum { mapped, absent, reserved } what;
    std::uint64_t entry_at;      ///< the last entry looked at
    std::uint64_t entry = 0;     ///< its bits
    std::uint64_t physical = 0;  ///< of the address
    bool writable = false;       ///< on all levels
    std::uint64_t page_size = 0; ///< of the page
    unsigned level = 0;          ///< of the last entry looked at
    bool executable = true;      ///< on all levels
};

/// That an entry of `level` says nothing.
inline manual_walk absent_at(std::uint64_t entry_at, unsigned level)
{
    return {manual_walk::absent, entry_at, 0, 0, false, 0, level};
}

/// What a mode's manual says. Virtual addresses are counted from 0 to `addresses`, holes left out; `address_of`
/// says which address of the machine that is.
template <class Paging> struct manual;

/// From the comments of `example_paging`.
template <> struct manual<example_paging> {
    static constexpr unsigned levels = 2;
    static constexpr unsigned page_levels = 2;  ///< the lowest ones, where an entry may be a page
    static constexpr unsigned largest_made = 1; ///< the largest page that a clone makes
    static constexpr std::uint64_t addresses = std::uint64_t{1} << 16, smallest_page = 256, table_size = 32;
    static constexpr std::uint64_t physical_bits = 16;
    static constexpr std::uint64_t first_hole = 0x1'0000; ///< the first address without a translation
    static constexpr std::uint64_t much = 0x1'0000;       ///< that one test maps one to one
    static constexpr std::uint64_t address_of(std::uint64_t v) { return v; }
    static constexpr std::uint64_t span[] = {256, 4096};
    static constexpr std::uint64_t present = 1, writable = 2;
    static constexpr std::uint64_t page[] = {0, 4};            ///< a leaf
    static constexpr std::uint64_t noted[] = {8, 8};           ///< by software or the processor, in a leaf
    static constexpr std::uint64_t preset[] = {0, 0};          ///< of `noted`, in a clone
    static constexpr std::uint64_t no_execute = 0;             ///< on any level
    static constexpr std::uint64_t memory_type[] = {0, 0};     ///< kept with the place
    static constexpr std::uint64_t reserved[] = {0xf0, 0xff0}; ///< of a leaf
    static constexpr std::uint64_t table_noted = 8;            ///< what a table entry may have beside its place

    static manual_walk look(byte_memory& memory, std::uint64_t root, std::uint64_t v)
    {
        const std::uint64_t top_at = root + (v >> 12) * 2;
        const std::uint64_t top = load<std::uint16_t>(memory, phys_addr::at(top_at));
        if (!(top & 1))
            return absent_at(top_at, 1);
        if (top & 4) {
            if (top & 0x0ff0)
                return {manual_walk::reserved, top_at};
            return {manual_walk::mapped, top_at, top, (top & 0xf000) + v % 4096, (top & 2) != 0, 4096, 1};
        }
        if (top & 0x10)
            return {manual_walk::reserved, top_at};
        const std::uint64_t at = (top & 0xffe0) + (v >> 8) % 16 * 2;
        const std::uint64_t leaf = load<std::uint16_t>(memory, phys_addr::at(at));
        if (!(leaf & 1))
            return absent_at(at, 0);
        if (leaf & 0xf0)
            return {manual_walk::reserved, at};
        return {manual_walk::mapped, at, leaf, (leaf & 0xff00) + v % 256, (top & leaf & 2) != 0, 256, 0};
    }
};

/// From [intel/vol3 §4.3], tables 4-4 to 4-6.
template <> struct manual<x86::paging_4m> {
    static constexpr unsigned levels = 2, page_levels = 2, largest_made = 1;
    static constexpr std::uint64_t addresses = std::uint64_t{1} << 32, smallest_page = 4096, table_size = 4096,
                                   physical_bits = 32;
    static constexpr std::uint64_t first_hole = 0x1'0000'0000, much = 0x1'0000'0000;
    static constexpr std::uint64_t address_of(std::uint64_t v) { return v; }
    static constexpr std::uint64_t span[] = {4096, 0x40'0000};
    static constexpr std::uint64_t present = 1, writable = 2;
    static constexpr std::uint64_t page[] = {0, 0x80};
    static constexpr std::uint64_t noted[] = {0xf64, 0xf64}; // U/S, A, D, G, ignored
    static constexpr std::uint64_t preset[] = {0x60, 0x60};
    static constexpr std::uint64_t no_execute = 0;
    static constexpr std::uint64_t memory_type[] = {0x98, 0x1018}; // PWT, PCD, PAT
    static constexpr std::uint64_t reserved[] = {0, 0x20'0000};
    static constexpr std::uint64_t table_noted = 0xf7c;

    static manual_walk look(byte_memory& memory, std::uint64_t root, std::uint64_t v)
    {
        const std::uint64_t directory_at = root + (v >> 22 << 2);
        const std::uint64_t pde = load<std::uint32_t>(memory, phys_addr::at(directory_at));
        if ((pde & 1) == 0)
            return absent_at(directory_at, 1);
        if ((pde & 0x80) != 0) {
            if ((pde & 0x20'0000) != 0)
                return {manual_walk::reserved, directory_at};
            const std::uint64_t high = (pde & 0x1f'e000) >> 13; // bits 39 to 32 [intel/vol3 table 4-4]
            const std::uint64_t place = (high << 32) | (pde & 0xffc0'0000) | (v & 0x3f'ffff);
            return {manual_walk::mapped, directory_at, pde, place, (pde & 2) != 0, 0x40'0000, 1};
        }
        const std::uint64_t table_at = (pde & 0xffff'f000) + ((v >> 12 & 0x3ff) << 2);
        const std::uint64_t pte = load<std::uint32_t>(memory, phys_addr::at(table_at));
        if ((pte & 1) == 0)
            return absent_at(table_at, 0);
        const bool both = (pde & 2) != 0 && (pte & 2) != 0;
        return {manual_walk::mapped, table_at, pte, (pte & 0xffff'f000) | (v & 0xfff), both, 0x1000, 0};
    }
};

/// From [intel/vol3 §4.3], tables 4-5 and 4-6, with CR4.PSE clear.
template <> struct manual<x86::paging_4k> {
    static constexpr unsigned levels = 2, page_levels = 1, largest_made = 0;
    static constexpr std::uint64_t addresses = std::uint64_t{1} << 32, smallest_page = 4096, table_size = 4096,
                                   physical_bits = 32;
    static constexpr std::uint64_t first_hole = 0x1'0000'0000, much = 0x1000'0000;
    static constexpr std::uint64_t address_of(std::uint64_t v) { return v; }
    static constexpr std::uint64_t span[] = {4096, 0x40'0000};
    static constexpr std::uint64_t present = 1, writable = 2;
    static constexpr std::uint64_t page[] = {0, 0};
    static constexpr std::uint64_t noted[] = {0xf64, 0};
    static constexpr std::uint64_t preset[] = {0x60, 0};
    static constexpr std::uint64_t no_execute = 0;
    static constexpr std::uint64_t memory_type[] = {0x98, 0};
    static constexpr std::uint64_t reserved[] = {0, 0};
    static constexpr std::uint64_t table_noted = 0xffc; // bit 7 is ignored

    static manual_walk look(byte_memory& memory, std::uint64_t root, std::uint64_t v)
    {
        const std::uint64_t directory_at = root + (v >> 22 << 2);
        const std::uint64_t pde = load<std::uint32_t>(memory, phys_addr::at(directory_at));
        if ((pde & 1) == 0)
            return absent_at(directory_at, 1);
        const std::uint64_t table_at = (pde & 0xffff'f000) + ((v >> 12 & 0x3ff) << 2);
        const std::uint64_t pte = load<std::uint32_t>(memory, phys_addr::at(table_at));
        if ((pte & 1) == 0)
            return absent_at(table_at, 0);
        const bool both = (pde & 2) != 0 && (pte & 2) != 0;
        return {manual_walk::mapped, table_at, pte, (pte & 0xffff'f000) | (v & 0xfff), both, 0x1000, 0};
    }
};

/// From [intel/vol3 §4.4], tables 4-8 to 4-11.
template <> struct manual<x86::paging_pae> {
    static constexpr unsigned levels = 3, page_levels = 2, largest_made = 1;
    static constexpr unsigned rights_levels = 2; // the pointers say nothing of them
    static constexpr std::uint64_t addresses = std::uint64_t{1} << 32, smallest_page = 4096, table_size = 4096,
                                   physical_bits = 52;
    static constexpr std::uint64_t first_hole = 0x1'0000'0000, much = 0x1'0000'0000;
    static constexpr std::uint64_t root_bytes = 32;
    static constexpr std::uint64_t address_of(std::uint64_t v) { return v; }
    static constexpr std::uint64_t span[] = {0x1000, 0x20'0000, 0x4000'0000};
    static constexpr std::uint64_t present = 1, writable = 2;
    static constexpr std::uint64_t page[] = {0, 0x80, 0};
    static constexpr std::uint64_t noted[] = {0xf64, 0xf64, 0}; // U/S, A, D, G, ignored (11 to 9)
    static constexpr std::uint64_t preset[] = {0x60, 0x60, 0};
    static constexpr std::uint64_t no_execute = 0x8000'0000'0000'0000;
    static constexpr std::uint64_t memory_type[] = {0x98, 0x1018, 0};
    static constexpr std::uint64_t above = 0x7ff0'0000'0000'0000; // 62 to 52
    static constexpr std::uint64_t reserved[] = {above, above | 0x1f'e000, above | no_execute | 0x1c6};
    static constexpr std::uint64_t table_noted = 0xf7c | no_execute;

    static manual_walk look(byte_memory& memory, std::uint64_t root, std::uint64_t v)
    {
        constexpr std::uint64_t bits_51_to_12 = 0xf'ffff'ffff'f000;
        const std::uint64_t pointer_at = root + v / 0x4000'0000 * 8;
        const std::uint64_t pdpte = load<std::uint64_t>(memory, phys_addr::at(pointer_at));
        if (pdpte % 2 == 0)
            return absent_at(pointer_at, 2);
        if (pdpte >> 52 != 0 || (pdpte >> 6 & 7) != 0 || (pdpte >> 1 & 3) != 0) // A only counts for loads of CR3
            return {manual_walk::reserved, pointer_at};
        const std::uint64_t directory_at = (pdpte & bits_51_to_12) + (v / 0x20'0000 % 512) * 8;
        const std::uint64_t pde = load<std::uint64_t>(memory, phys_addr::at(directory_at));
        if (pde % 2 == 0)
            return absent_at(directory_at, 1);
        if ((pde >> 52 & 0x7ff) != 0)
            return {manual_walk::reserved, directory_at};
        if ((pde & 0x80) != 0) {
            if ((pde & 0x1f'e000) != 0)
                return {manual_walk::reserved, directory_at};
            const std::uint64_t place = (pde & 0xf'ffff'ffe0'0000) + v % 0x20'0000;
            return {
                manual_walk::mapped, directory_at, pde, place, (pde & 2) != 0, 0x20'0000, 1, (pde & no_execute) == 0};
        }
        const std::uint64_t table_at = (pde & bits_51_to_12) + (v / 0x1000 % 512) * 8;
        const std::uint64_t pte = load<std::uint64_t>(memory, phys_addr::at(table_at));
        if (pte % 2 == 0)
            return absent_at(table_at, 0);
        if ((pte >> 52 & 0x7ff) != 0)
            return {manual_walk::reserved, table_at};
        const bool writes = (pde & pte & 2) != 0;
        const bool executes = ((pde | pte) & no_execute) == 0;
        return {manual_walk::mapped, table_at, pte, (pte & bits_51_to_12) + v % 0x1000, writes, 0x1000, 0, executes};
    }
};

/// From [intel/vol3 §4.5], tables 4-15 to 4-20. The upper half of the 2^48 addresses lies at the top of 2^64.
template <> struct manual<x86::paging_4level> {
    static constexpr unsigned levels = 4, page_levels = 3, largest_made = 1;
    static constexpr std::uint64_t addresses = std::uint64_t{1} << 48, smallest_page = 4096, table_size = 4096,
                                   physical_bits = 52;
    static constexpr std::uint64_t first_hole = 0x8000'0000'0000, much = 0x4'0000'0000;
    static constexpr std::uint64_t address_of(std::uint64_t v)
    {
        return v >= 0x8000'0000'0000 && v <= 0xffff'ffff'ffff ? v | 0xffff'0000'0000'0000 : v;
    }
    static constexpr std::uint64_t span[] = {0x1000, 0x20'0000, 0x4000'0000, 0x80'0000'0000};
    static constexpr std::uint64_t present = 1, writable = 2;
    static constexpr std::uint64_t page[] = {0, 0x80, 0x80, 0};
    // U/S, A, D, G, ignored (11 to 9, 58 to 52), protection key (62 to 59)
    static constexpr std::uint64_t leaf_noted = 0x7ff0'0000'0000'0f64;
    static constexpr std::uint64_t noted[] = {leaf_noted, leaf_noted, leaf_noted, 0};
    static constexpr std::uint64_t preset[] = {0x60, 0x60, 0x60, 0};
    static constexpr std::uint64_t no_execute = 0x8000'0000'0000'0000;
    static constexpr std::uint64_t memory_type[] = {0x98, 0x1018, 0x1018, 0};
    static constexpr std::uint64_t reserved[] = {0, 0x1f'e000, 0x3fff'e000, 0x80};
    static constexpr std::uint64_t table_noted = 0x7ff0'0000'0000'0f7c | no_execute;

    static manual_walk look(byte_memory& memory, std::uint64_t root, std::uint64_t v)
    {
        return look_from(3, memory, root, v);
    }
    static manual_walk look_from(unsigned top, byte_memory& memory, std::uint64_t root, std::uint64_t v)
    {
        std::uint64_t table = root;
        bool writes = true;
        bool executes = true;
        for (unsigned level = top;; --level) {
            const std::uint64_t at = table + ((v >> (12 + 9 * level)) & 0x1ff) * 8;
            const std::uint64_t entry = load<std::uint64_t>(memory, phys_addr::at(at));
            if ((entry & 1) == 0)
                return absent_at(at, level);
            writes = writes && (entry & 2) != 0;
            executes = executes && entry >> 63 == 0;
            const bool bit_7 = (entry & 0x80) != 0;
            if (level >= 3 && bit_7)
                return {manual_walk::reserved, at};
            if (level == 0 || bit_7) {
                std::uint64_t frame = 0xf'ffff'ffff'f000; // bits 51 to 12
                std::uint64_t must_be_0 = 0;
                if (level == 1)
                    frame = 0xf'ffff'ffe0'0000, must_be_0 = 0x1f'e000;
                if (level == 2)
                    frame = 0xf'ffff'c000'0000, must_be_0 = 0x3fff'e000;
                if ((entry & must_be_0) != 0)
                    return {manual_walk::reserved, at};
                const std::uint64_t size = level == 0 ? 0x1000 : level == 1 ? 0x20'0000 : 0x4000'0000;
                const std::uint64_t place = (entry & frame) | (v & (size - 1));
                return {manual_walk::mapped, at, entry, place, writes, size, level, executes};
            }
            table = entry & 0xf'ffff'ffff'f000;
        }
    }
};

template <> struct manual<x86::paging_4level_1g> : manual<x86::paging_4level> {
    static constexpr unsigned largest_made = 2;
    static constexpr std::uint64_t much = first_hole;
};

/// From [intel/vol3 §4.5] with CR4.LA57: a PML5 above, whose entries are as the PML4's (table 4-14).
template <> struct manual<x86::paging_5level> : manual<x86::paging_4level> {
    static constexpr unsigned levels = 5;
    static constexpr std::uint64_t addresses = std::uint64_t{1} << 57;
    static constexpr std::uint64_t first_hole = 0x100'0000'0000'0000;
    static constexpr std::uint64_t address_of(std::uint64_t v)
    {
        return v >= first_hole && v <= 0x1ff'ffff'ffff'ffff ? v | 0xfe00'0000'0000'0000 : v;
    }
    static constexpr std::uint64_t span[] = {0x1000, 0x20'0000, 0x4000'0000, 0x80'0000'0000, 0x1'0000'0000'0000};
    static constexpr std::uint64_t page[] = {0, 0x80, 0x80, 0, 0};
    static constexpr std::uint64_t noted[] = {leaf_noted, leaf_noted, leaf_noted, 0, 0};
    static constexpr std::uint64_t preset[] = {0x60, 0x60, 0x60, 0, 0};
    static constexpr std::uint64_t memory_type[] = {0x98, 0x1018, 0x1018, 0, 0};
    static constexpr std::uint64_t reserved[] = {0, 0x1f'e000, 0x3fff'e000, 0x80, 0x80};

    static manual_walk look(byte_memory& memory, std::uint64_t root, std::uint64_t v)
    {
        return look_from(4, memory, root, v);
    }
};

template <> struct manual<x86::paging_5level_1g> : manual<x86::paging_5level> {
    static constexpr unsigned largest_made = 2;
    static constexpr std::uint64_t much = 0x8000'0000'0000;
};

/// From [alpha/arm II-B]. What is called present here is valid and the kernel's to read. The third quarter of the
/// addresses, kseg, has no tables.
template <> struct manual<alpha::paging_8k> {
    static constexpr unsigned levels = 3, page_levels = 1, largest_made = 0;
    static constexpr unsigned rights_levels = 1; // tables say nothing of them
    static constexpr std::uint64_t addresses = std::uint64_t{3} << 41, smallest_page = 0x2000, table_size = 0x2000;
    static constexpr std::uint64_t physical_bits = 45;
    static constexpr unsigned frame_bit = 32;
    static constexpr std::uint64_t first_hole = std::uint64_t{1} << 42, much = 0x4000'0000;
    static constexpr std::uint64_t address_of(std::uint64_t v)
    {
        return v >= first_hole && v < addresses ? v + (0xffff'fe00'0000'0000 - first_hole) : v;
    }
    static constexpr std::uint64_t span[] = {0x2000, 0x80'0000, 0x2'0000'0000};
    static constexpr std::uint64_t present = 0x101, writable = 0x1000;
    static constexpr std::uint64_t page[] = {0, 0, 0};
    static constexpr std::uint64_t noted[] = {0xffff'eef2, 0, 0}; // all but V, FOW, FOE, KRE, KWE and PFN
    static constexpr std::uint64_t preset[] = {0, 0, 0};
    static constexpr std::uint64_t no_execute = 8;
    static constexpr std::uint64_t memory_type[] = {0, 0, 0};
    static constexpr std::uint64_t reserved[] = {0, 0, 0};
    static constexpr std::uint64_t table_noted = 0xffff'fefe;

    static manual_walk look(byte_memory& memory, std::uint64_t root, std::uint64_t v)
    {
        const std::uint64_t place = address_of(v);
        std::uint64_t table = root;
        for (unsigned level = 2;; --level) {
            const std::uint64_t at = table + place / span[level] % 1024 * 8;
            const std::uint64_t entry = load<std::uint64_t>(memory, phys_addr::at(at));
            const std::uint64_t page_at = (entry >> 32) * 0x2000;
            if ((entry & 0x100) == 0 || entry % 2 == 0)
                return absent_at(at, level);
            if (level == 0) {
                const bool writes = (entry & 0x1000) != 0 && (entry & 4) == 0;
                return {manual_walk::mapped, at, entry, page_at + v % 0x2000, writes, 0x2000, 0, (entry & 8) == 0};
            }
            table = page_at;
        }
    }
};

/// One line for each mode.
using paging_modes = std::tuple< //
    example_paging,              //
    x86::paging_4k,              //
    x86::paging_4m,              //
    x86::paging_pae,             //
    x86::paging_4level,          //
    x86::paging_4level_1g,       //
    x86::paging_5level,          //
    x86::paging_5level_1g,       //
    alpha::paging_8k             //
    >;

/// How many levels, from the lowest on, say what is permitted; where fewer than all, the others' bits are reserved.
template <class Paging> constexpr unsigned rights_levels()
{
    if constexpr (requires { manual<Paging>::rights_levels; })
        return manual<Paging>::rights_levels;
    else
        return manual<Paging>::levels;
}

/// How the place of a page or a table is written in an entry: as it is, or as a number of pages from some bit on.
template <class Paging> constexpr std::uint64_t in_entry(std::uint64_t place)
{
    if constexpr (requires { manual<Paging>::frame_bit; })
        return place / manual<Paging>::smallest_page << manual<Paging>::frame_bit;
    else
        return place;
}

/// And the place of the table that an entry names.
template <class Paging> constexpr std::uint64_t table_in(std::uint64_t entry)
{
    if constexpr (requires { manual<Paging>::frame_bit; })
        return (entry >> manual<Paging>::frame_bit) * manual<Paging>::smallest_page;
    else
        return entry & ~std::uint64_t{manual<Paging>::table_size - 1} & ~manual<Paging>::no_execute;
}

/// Whether the mode reserves any bit.
template <class Paging> constexpr bool reserves()
{
    for (const std::uint64_t bits : manual<Paging>::reserved)
        if (bits != 0)
            return true;
    return false;
}

/// The bytes of the root that are looked at.
template <class Paging> constexpr std::uint64_t root_bytes()
{
    if constexpr (requires { manual<Paging>::root_bytes; })
        return manual<Paging>::root_bytes;
    else
        return manual<Paging>::table_size;
}

/// Tables in the making, in physical memory from 0 on. Targets of leaves need not be there.
template <class Paging> struct table_world {
    using mode = manual<Paging>;
    using word = Paging::word;

    byte_memory memory;
    std::uint64_t used = 0; ///< tables

    explicit table_world(std::size_t most_tables = 32)
        : memory{static_cast<std::size_t>(mode::table_size) * most_tables}
    {
    }

    static constexpr std::uint64_t forbidding = mode::writable | mode::no_execute;

    std::uint64_t new_table() { return mode::table_size * used++; }
    std::uint64_t root = new_table();

    static std::uint64_t index(unsigned level, std::uint64_t v)
    {
        return mode::address_of(v) / mode::span[level] % (mode::table_size / sizeof(word));
    }
    void put(std::uint64_t table, unsigned level, std::uint64_t v, std::uint64_t bits)
    {
        store(memory, phys_addr::at(table + index(level, v) * sizeof(word)), static_cast<word>(bits));
    }
    std::uint64_t get(std::uint64_t table, unsigned level, std::uint64_t v)
    {
        return load<word>(memory, phys_addr::at(table + index(level, v) * sizeof(word)));
    }

    /// The table of `level` on the way to `v`, with `bits` in the entries that name new ones.
    std::uint64_t table_for(unsigned level, std::uint64_t v, std::uint64_t bits = mode::present | mode::writable)
    {
        std::uint64_t table = root;
        for (unsigned above = mode::levels - 1; above > level; --above) {
            if ((get(table, above, v) & mode::present) == 0)
                put(table, above, v,
                    in_entry<Paging>(new_table()) | (bits & ~(above < rights_levels<Paging>() ? 0 : forbidding)));
            table = table_in<Paging>(get(table, above, v));
        }
        return table;
    }

    /// A page on `level`; `bits` beside present and the page bit.
    void map(unsigned level, std::uint64_t v, std::uint64_t physical, std::uint64_t bits = mode::writable)
    {
        put(table_for(level, v), level, v, in_entry<Paging>(physical) | mode::present | mode::page[level] | bits);
    }

    manual_walk look(std::uint64_t v) { return look(root, v); }
    manual_walk look(std::uint64_t from, std::uint64_t v) { return mode::look(memory, from, v); }
    result<translation<Paging>> ask(std::uint64_t v)
    {
        return walk<Paging>(memory, phys_addr::at(root), virt_addr::at(mode::address_of(v)));
    }
};

/// A fault about the address that is called `v` here.
template <class Paging> fault fault_at(fault_code code, std::uint64_t v)
{
    return {code, stage::mapping, manual<Paging>::address_of(v)};
}

} // namespace lobos::test
