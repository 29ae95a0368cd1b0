// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Alpha's page tables made by hand, by the manual's numbers [alpha/arm II-B]: three levels of 1,024 entries, a page
/// number from bit 32 on, and what the kernel may do in the bits below.

#include <cstdint>

#include <lobos/core/physical_memory.hpp>

namespace lobos::test {

inline constexpr std::uint64_t alpha_kseg = 0xffff'fc00'0000'0000;
inline constexpr std::uint64_t alpha_page = 0x2000;

/// An entry for `to`: valid, and the kernel reads and writes, if not said otherwise.
constexpr std::uint64_t alpha_entry(std::uint64_t to, std::uint64_t bits = 0x1101)
{
    return to / alpha_page << 32 | bits;
}

/// A page in the tables at `root`. Tables that are missing are taken from `next_table` on.
template <physical_memory M>
void map_alpha_page(M& memory, std::uint64_t& next_table, std::uint64_t root, std::uint64_t v, std::uint64_t to,
    std::uint64_t bits = 0x1101)
{
    const std::uint64_t span[] = {0x2000, 0x80'0000, 0x2'0000'0000};
    std::uint64_t table = root;
    const auto slot = [&](unsigned level) { return phys_addr::at(table + v / span[level] % 1024 * 8); };
    for (unsigned level = 2; level > 0; --level) {
        if (load<std::uint64_t>(memory, slot(level)) == 0) {
            store(memory, slot(level), alpha_entry(next_table, 0x101));
            next_table += alpha_page;
        }
        table = (load<std::uint64_t>(memory, slot(level)) >> 32) * alpha_page;
    }
    store(memory, slot(0), alpha_entry(to, bits));
}

} // namespace lobos::test
