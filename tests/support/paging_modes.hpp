// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The modes of paging that the shared tests run over, each with what its manual says, in the test's own numbers: bits
/// of an entry level by level (0 is the leaf), and a walker that shares nothing with the library.

#include <random>
#include <string>
#include <tuple>

#include <lobos/paging/clone.hpp>
#include <lobos/x86/paging_4m.hpp>

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
    unsigned level = 0;
};

template <class Paging> struct manual;

/// From the comments of `example_paging`.
template <> struct manual<example_paging> {
    static constexpr unsigned levels = 2;
    static constexpr std::uint64_t address_bits = 16, smallest_page = 256, table_size = 32;
    static constexpr std::uint64_t span[] = {256, 4096};
    static constexpr std::uint64_t present = 1, writable = 2;
    static constexpr std::uint64_t page[] = {0, 4};            ///< a leaf
    static constexpr std::uint64_t noted[] = {8, 8};           ///< by software or the processor, in a leaf
    static constexpr std::uint64_t preset[] = {0, 0};          ///< of `noted`, in a clone
    static constexpr std::uint64_t memory_type[] = {0, 0};     ///< kept with the place
    static constexpr std::uint64_t reserved[] = {0xf0, 0xff0}; ///< of a leaf
    static constexpr std::uint64_t table_noted = 8;            ///< what a table entry may have beside its place

    static manual_walk look(byte_memory& memory, std::uint64_t root, std::uint64_t v)
    {
        const std::uint64_t top_at = root + (v >> 12) * 2;
        const std::uint64_t top = load<std::uint16_t>(memory, phys_addr::at(top_at));
        if (!(top & 1))
            return {manual_walk::absent, top_at};
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
            return {manual_walk::absent, at};
        if (leaf & 0xf0)
            return {manual_walk::reserved, at};
        return {manual_walk::mapped, at, leaf, (leaf & 0xff00) + v % 256, (top & leaf & 2) != 0, 256, 0};
    }
};

/// From [intel/vol3 §4.3], tables 4-4 to 4-6.
template <> struct manual<x86::paging_4m> {
    static constexpr unsigned levels = 2;
    static constexpr std::uint64_t address_bits = 32, smallest_page = 4096, table_size = 4096;
    static constexpr std::uint64_t span[] = {4096, 0x40'0000};
    static constexpr std::uint64_t present = 1, writable = 2;
    static constexpr std::uint64_t page[] = {0, 0x80};
    static constexpr std::uint64_t noted[] = {0xf64, 0xf64}; // U/S, A, D, G, ignored
    static constexpr std::uint64_t preset[] = {0x60, 0x60};
    static constexpr std::uint64_t memory_type[] = {0x98, 0x1018}; // PWT, PCD, PAT
    static constexpr std::uint64_t reserved[] = {0, 0x20'0000};
    static constexpr std::uint64_t table_noted = 0xf7c;

    static manual_walk look(byte_memory& memory, std::uint64_t root, std::uint64_t v)
    {
        const std::uint64_t directory_at = root + (v >> 22 << 2);
        const std::uint64_t pde = load<std::uint32_t>(memory, phys_addr::at(directory_at));
        if ((pde & 1) == 0)
            return {manual_walk::absent, directory_at};
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
            return {manual_walk::absent, table_at};
        const bool both = (pde & 2) != 0 && (pte & 2) != 0;
        return {manual_walk::mapped, table_at, pte, (pte & 0xffff'f000) | (v & 0xfff), both, 0x1000, 0};
    }
};

/// One line for each mode.
using paging_modes = std::tuple< //
    example_paging,              //
    x86::paging_4m               //
    >;

/// Tables in the making, in physical memory from 0 on. Targets of leaves need not be there.
template <class Paging> struct table_world {
    using mode = manual<Paging>;
    using word = Paging::word;
    static constexpr std::uint64_t most_tables = 24;

    byte_memory memory{mode::table_size * most_tables};
    std::uint64_t used = 0; ///< tables

    std::uint64_t new_table() { return mode::table_size * used++; }
    std::uint64_t root = new_table();

    static std::uint64_t index(unsigned level, std::uint64_t v)
    {
        return v / mode::span[level] % (mode::table_size / sizeof(word));
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
                put(table, above, v, new_table() | bits);
            table = get(table, above, v) & ~std::uint64_t{mode::table_size - 1};
        }
        return table;
    }

    /// A page on `level`; `bits` beside present and the page bit.
    void map(unsigned level, std::uint64_t v, std::uint64_t physical, std::uint64_t bits = mode::writable)
    {
        put(table_for(level, v), level, v, physical | mode::present | mode::page[level] | bits);
    }

    manual_walk look(std::uint64_t v) { return look(root, v); }
    manual_walk look(std::uint64_t from, std::uint64_t v) { return mode::look(memory, from, v); }
    result<translation<Paging>> ask(std::uint64_t v)
    {
        return walk<Paging>(memory, phys_addr::at(root), virt_addr::at(v));
    }
};

} // namespace lobos::test
