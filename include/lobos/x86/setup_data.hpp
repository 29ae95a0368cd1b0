// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The setup data of an x86 Linux: a chain of nodes in memory that says what the page of boot parameters has no room
/// for [linux/boot.rst "setup_data"] [linux/zero-page.rst]. Here: a seed for the kernel's random numbers, and the
/// memory regions after the first 128. The chain lies in single pages anywhere in memory, and no node crosses the end
/// of one: Linux reads as many nodes of one type as it finds. All numbers are bytes, all fields little-endian.

#include <algorithm>
#include <array>
#include <span>

#include <lobos/core/physical_memory.hpp>
#include <lobos/core/region_map.hpp>

namespace lobos {

/// The types of nodes, and where the fields of one lie.
namespace setup_data {
inline constexpr std::uint32_t e820_ext = 1;
inline constexpr std::uint32_t rng_seed = 9;

inline constexpr std::size_t next = 0;  // 8, the address of the next node, 0 in the last
inline constexpr std::size_t type = 8;  // 4
inline constexpr std::size_t len = 12;  // 4, of the data alone
inline constexpr std::size_t data = 16; // and the header's size
inline constexpr std::size_t page = 4096;
inline constexpr std::size_t longest = page - data;
} // namespace setup_data

/// Writes `value` at `offset`, little-endian. Precondition: it fits.
template <class T> constexpr void put_field(std::span<std::byte> page, std::size_t offset, T value)
{
    for (std::byte& b : page.subspan(offset, sizeof(T))) {
        b = static_cast<std::byte>(value & 0xff);
        value = static_cast<T>(std::uint64_t{value} >> 8);
    }
}

/// The type of a region in an e820 map [acpi/6.5 table 15.2]. A safe region is reserved: the new kernel must not take
/// it for free memory while it still stands on the tables in it.
constexpr std::uint32_t e820_type(region_kind kind)
{
    switch (kind) {
    case region_kind::usable: return 1;
    case region_kind::acpi_reclaimable: return 3;
    case region_kind::acpi_nvs: return 4;
    case region_kind::defective: return 5;
    case region_kind::reserved:
    case region_kind::safe:
    case region_kind::surviving: return 2;
    }
    return 2;
}

/// 8 bytes address, 8 bytes size, 4 bytes type.
using e820_entry = std::array<std::byte, 20>;

/// Precondition: the region is not the whole 2^64 bytes, whose size has no number.
constexpr e820_entry make_e820_entry(const region& r)
{
    e820_entry entry{};
    put_field(std::span<std::byte>{entry}, 0, r.range.first().raw());
    put_field(std::span<std::byte>{entry}, 8, r.range.size().raw());
    put_field(std::span<std::byte>{entry}, 16, e820_type(r.kind));
    return entry;
}

namespace setup_data {

/// A node with a seed of `size` bytes, up to where the next may begin; nothing for no seed.
constexpr std::size_t seed_node_size(std::size_t size)
{
    return size == 0 ? 0 : (data + size + 7) / 8 * 8;
}

/// The entries of a map that the rest of a page takes when `used` bytes of it are in use.
constexpr std::size_t entries_behind(std::size_t used)
{
    constexpr std::size_t entry = std::tuple_size_v<e820_entry>;
    return used + data + entry > page ? 0 : (page - used - data) / entry;
}

/// How many entries of a map `pages` pages take beside a seed of `seed_size` bytes, which lies in the first.
constexpr std::size_t capacity(std::size_t pages, std::size_t seed_size)
{
    return pages == 0 ? 0 : entries_behind(seed_node_size(seed_size)) + (pages - 1) * entries_behind(0);
}

/// How many pages `entries` entries and a seed take. Precondition: `seed_size` is at most `longest`.
constexpr std::size_t pages_for(std::size_t entries, std::size_t seed_size)
{
    if (entries == 0 && seed_size == 0)
        return 0;
    const std::size_t first = capacity(1, seed_size);
    if (entries <= first)
        return 1;
    return 1 + (entries - first + entries_behind(0) - 1) / entries_behind(0);
}

/// Writes the chain and returns its first node: the seed, if it is not empty, and then `regions`, as many to a node as
/// its page takes. Address 0, and nothing is written, when there is neither. Preconditions: `pages` are at least
/// `pages_for` these, page-aligned; no region is the whole 2^64 bytes.
template <physical_memory M>
phys_addr write(
    M& memory, std::span<const region> regions, std::span<const std::byte> seed, std::span<const phys_addr> pages)
{
    expects(seed.size() <= longest && pages_for(regions.size(), seed.size()) <= pages.size(),
        "setup data has the pages that it needs");
    const auto open = [&memory](phys_addr at, std::uint32_t what, std::size_t size, phys_addr follower) {
        std::array<std::byte, data> header{};
        put_field(std::span<std::byte>{header}, next, follower.raw());
        put_field(std::span<std::byte>{header}, type, what);
        put_field(std::span<std::byte>{header}, len, static_cast<std::uint32_t>(size));
        memory.write(at, header);
    };
    if (regions.empty() && seed.empty())
        return phys_addr{};

    // The first node for regions lies behind the seed, unless that fills its page.
    std::size_t used = seed_node_size(seed.size());
    std::size_t n = entries_behind(used) != 0 ? 0 : 1;
    used = n == 0 ? used : 0;
    if (!seed.empty()) {
        const phys_addr follower = regions.empty() ? phys_addr{} : pages[n] + byte_count::of(used);
        open(pages[0], rng_seed, seed.size(), follower);
        memory.write(pages[0] + byte_count::of(data), seed);
    }
    for (; !regions.empty(); used = 0) {
        const auto here = regions.first(std::min(regions.size(), entries_behind(used)));
        regions = regions.subspan(here.size());
        phys_addr at = pages[n++] + byte_count::of(used);
        open(at, e820_ext, here.size() * std::tuple_size_v<e820_entry>, regions.empty() ? phys_addr{} : pages[n]);
        at += byte_count::of(data);
        for (const region& r : here) {
            memory.write(at, make_e820_entry(r));
            at += byte_count::of(std::tuple_size_v<e820_entry>);
        }
    }
    return pages[0];
}

} // namespace setup_data

// Sanity checks
static_assert([] {
    std::byte page[4] = {};
    put_field(std::span<std::byte>{page}, 1, std::uint16_t{0x1234});
    return page[0] == std::byte{0} && page[1] == std::byte{0x34} && page[2] == std::byte{0x12};
}());
static_assert(setup_data::entries_behind(0) == 204 && setup_data::entries_behind(4060) == 1 &&
    setup_data::entries_behind(4061) == 0 && setup_data::entries_behind(4096) == 0);
static_assert(setup_data::seed_node_size(0) == 0 && setup_data::seed_node_size(32) == 48 &&
    setup_data::seed_node_size(33) == 56 && setup_data::seed_node_size(setup_data::longest) == setup_data::page);
static_assert(setup_data::capacity(0, 0) == 0 && setup_data::capacity(2, 32) == 201 + 204);
static_assert(setup_data::pages_for(0, 0) == 0 && setup_data::pages_for(0, 32) == 1 &&
    setup_data::pages_for(201, 32) == 1 && setup_data::pages_for(202, 32) == 2 &&
    setup_data::pages_for(1, setup_data::longest) == 2);

} // namespace lobos
