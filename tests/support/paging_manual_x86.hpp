// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The manual's word on x86's modes of paging.

#include <lobos/x86/paging_4k.hpp>
#include <lobos/x86/paging_4level.hpp>
#include <lobos/x86/paging_4m.hpp>
#include <lobos/x86/paging_5level.hpp>
#include <lobos/x86/paging_pae.hpp>

#include <tests/support/paging_manual.hpp>

namespace lobos::test {

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

} // namespace lobos::test
