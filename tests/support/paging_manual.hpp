// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What a mode of paging is by its manual, in the tests' own numbers: bits of an entry level by level (0 is the leaf),
/// and a walker that shares nothing with the library. `example_paging` is the annotated example, here too.

#include <cstdint>

#include <lobos/paging/traits.hpp>

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

// What a manual may say or leave out.

/// How many levels, from the lowest on, say what is permitted; others reserve those bits, or ignore them.
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

} // namespace lobos::test
