// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Tables of any mode in the making, in physical memory, written by the manual's numbers.

#include <random>
#include <string>

#include <lobos/paging/clone.hpp>

#include <tests/catch.hpp>
#include <tests/support/paging_manual.hpp>

namespace lobos::test {

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
