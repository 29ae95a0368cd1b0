// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The manual's word on Alpha's mode of paging.

#include <lobos/alpha/paging_8k.hpp>

#include <tests/support/paging_manual.hpp>

namespace lobos::test {

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

} // namespace lobos::test
