// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/alpha/hwrpb_copy.hpp>

#include <tests/catch.hpp>
#include <tests/support/hwrpb_builder.hpp>

using namespace lobos;
using namespace lobos::alpha;
using namespace lobos::test;
using enum fault_code;

namespace {

constexpr std::uint64_t from = console_block::at, to = 0x40'0000;
constexpr std::size_t callback = console_block::clusters + 2 * 56;
constexpr std::size_t end = callback + 48 + 24; // of the block below
constexpr std::uint64_t reach = 0x10'0000;

/// A block with a callback block behind its descriptors, and a mapping in that.
console_block whole()
{
    console_block b;
    return b.set(192, callback).set(callback + 32, 1).set(callback + 48, 0x2000'0000).set(callback + 64, 1);
}

struct copied {
    result<std::size_t> done = 0;
    bytes block = bytes(8192, std::byte{0xa5});
};

copied copy(console_block block, const region_map& map, std::size_t room = 8192, std::uint64_t at = to)
{
    auto memory = block.in_memory();
    const auto reader = hwrpb_reader<byte_memory>::open(memory, phys_addr::at(from));
    REQUIRE(reader);
    copied c;
    c.done = copy_hwrpb(memory, *reader, map, phys_addr::at(at), std::span{c.block}.first(room));
    return c;
}

fault bad(std::uint64_t field)
{
    return {bad_header, stage::staging, from + field};
}

} // namespace

TEST_CASE("the next kernel reads what this one has, and another map", "[alpha][hwrpb_copy]")
{
    const memory_map told{{phys_range::of(0_pa, 128_KiB), region_kind::reserved},
        {phys_range::of(0x2'0000_pa, 1_MiB), region_kind::usable},
        {phys_range::of(0x80'0000_pa, 8_KiB), region_kind::surviving}};
    console_block original = whole();
    original.in_memory(); // which sums
    const copied c = copy(original, told.map);
    REQUIRE(c.done == end + 24 + 3 * 56);
    CHECK(c.block[*c.done] == std::byte{0xa5});
    const std::size_t changed[] = {0, 24, 200, 288}; // address, size, descriptors, sum
    for (std::size_t offset = 0; offset < end; offset += 8) {
        CAPTURE(offset);
        const bool same = peek(c.block, offset, 8) == peek(original.block, offset, 8);
        CHECK(same == (std::ranges::find(changed, offset) == std::end(changed)));
    }

    byte_memory memory{reach, phys_addr::at(to)};
    memory.write(phys_addr::at(to), c.block);
    const auto reader = hwrpb_reader<byte_memory>::open(memory, phys_addr::at(to));
    REQUIRE(reader);
    CHECK(reader->fixed().size == *c.done);
    CHECK(reader->slot(3)->flags == 0x1cc);
    memory_map read{};
    REQUIRE(add_memory_clusters(read.map, *reader));
    CHECK(std::ranges::equal(read.map.regions(), told.map.regions()));
    std::size_t mappings = 0;
    REQUIRE(map_console(*reader, [&mappings](const mapping&) -> result<void> {
        ++mappings;
        return {};
    }));
    CHECK(mappings == 2);
}

TEST_CASE("it has all its room or none", "[alpha][hwrpb_copy]")
{
    const memory_map told{{phys_range::of(0_pa, 128_KiB), region_kind::reserved}};
    const std::size_t needed = end + 24 + 56;
    CHECK(copy(whole(), told.map, needed).done == needed);
    for (const std::size_t room : {std::size_t{0}, std::size_t{320}, end - 1, end, needed - 1}) {
        CAPTURE(room);
        CHECK(fault_of(copy(whole(), told.map, room).done) == fault{no_space, stage::staging, needed});
    }
    CHECK(fault_of(copy(whole(), told.map, 8192, to + 8).done) == fault{misaligned, stage::staging, to + 8});
    // What a block says of itself counts where there is more than is known.
    CHECK(copy(whole().set(24, 5000), told.map).done == 5000u + 24 + 56);
    CHECK(copy(whole().set(24, 4999), told.map).done == 5000u + 24 + 56);
    CHECK(
        copy(whole().set(184, 5000).set(176, 8), told.map).done == 5008u + 24 + 56); // one terminal that nobody counts
}

TEST_CASE("parts out of reach are not followed", "[alpha][hwrpb_copy]")
{
    const memory_map none{};
    const struct {
        std::size_t field;
        std::uint64_t value;
        fault wanted;
    } cases[] = {
        {24, reach + 1, bad(24)},
        {24, ~0ull, bad(24)},
        {144, ~0ull, bad(160)},
        {152, reach, bad(160)},
        {160, ~7ull, bad(160)},
        {168, ~0ull, no_fault}, // terminals of no size
        {184, ~7ull, bad(184)},
        {192, ~7ull, {bad_header, stage::loading, from + 192}},
        {callback + 32, ~0ull, bad(192)},
        {callback + 32, reach, bad(192)},
    };
    for (const auto& c : cases) {
        CAPTURE(c.field, c.value);
        CHECK(fault_of(copy(whole().set(c.field, c.value), none.map).done) == c.wanted);
    }
}

namespace {

/// A copy of the copy, as the next kernel makes it.
copied copy_again(const copied& c, const region_map& map)
{
    REQUIRE(c.done);
    byte_memory memory{reach, phys_addr::at(to)};
    memory.write(phys_addr::at(to), std::span{c.block}.first(*c.done));
    const auto reader = hwrpb_reader<byte_memory>::open(memory, phys_addr::at(to));
    REQUIRE(reader);
    copied again;
    again.done = copy_hwrpb(memory, *reader, map, phys_addr::at(to + 0x10'0000), again.block);
    return again;
}

} // namespace

TEST_CASE("a copy says of no part that it has it, and has not", "[alpha][hwrpb_copy]")
{
    const memory_map told{{phys_range::of(0_pa, 128_KiB), region_kind::reserved}};
    for (const std::size_t part : {136u, 208u, 216u, 312u}) { // of no known size
        CAPTURE(part);
        const auto offset_of_part = [&](std::uint64_t offset) {
            const copied c = copy(whole().set(part, offset), told.map);
            REQUIRE(c.done == end + 24 + 56);
            CHECK(peek(c.block, 288, 8) == [&] {
                std::uint64_t sum = 0;
                for (std::size_t i = 0; i < 288; i += 8)
                    sum += peek(c.block, i, 8);
                return sum;
            }());
            return peek(c.block, part, 8);
        };
        CHECK(offset_of_part(end - 8) == end - 8);
        CHECK(offset_of_part(end) == 0); // the descriptors of memory are there
        CHECK(offset_of_part(0x10'0000) == 0);
    }
}

TEST_CASE("routines that the console keeps in the block go with it", "[alpha][hwrpb_copy]")
{
    const memory_map told{{phys_range::of(0_pa, 128_KiB), region_kind::reserved}};
    for (const std::size_t routine : {callback, callback + 16}) { // dispatch, fixup
        CAPTURE(routine);
        const auto used = [&](std::uint64_t named) { return copy(whole().set(routine, named), told.map).done; };
        CHECK(used(0x1000'0000 + end + 0x100) == end + 0x110 + 24 + 56);
        CHECK(used(0x1000'0000 + end - 16) == end + 24 + 56); // among what is there in any case
        for (const std::uint64_t elsewhere : {0x0fff'ffffull, 0x1010'0000ull, 0xffff'fc00'0001'8000ull, 0ull})
            CHECK(used(elsewhere) == end + 24 + 56);
        CHECK(fault_of(copy(whole().set(routine, 0x1010'0000 - 8), told.map).done) == bad(192));
    }
}

TEST_CASE("copies of copies do not grow", "[alpha][hwrpb_copy]")
{
    const memory_map two{{phys_range::of(0_pa, 128_KiB), region_kind::reserved},
        {phys_range::of(0x2'0000_pa, 1_MiB), region_kind::usable}};
    const memory_map one{{phys_range::of(0_pa, 128_KiB), region_kind::reserved}};
    const copied c = copy(whole(), two.map);
    const copied again = copy_again(c, two.map);
    CHECK(again.done == c.done);
    CHECK(copy_again(c, one.map).done == *c.done - 56);
    for (const std::size_t part : {136u, 208u, 216u, 312u}) { // of no known size, somewhere behind
        CAPTURE(part);
        CHECK(copy_again(copy(whole().set(part, 0x10'0000), two.map), two.map).done == c.done);
    }
    for (std::size_t offset = 0; offset < *c.done; offset += 8)
        if (offset != 0 && offset != 288) { // its own address, and the sum
            CAPTURE(offset);
            CHECK(peek(again.block, offset, 8) == peek(c.block, offset, 8));
        }
}

TEST_CASE("the descriptors' place is used again if nothing lies there or behind", "[alpha][hwrpb_copy]")
{
    constexpr std::size_t table = console_block::memory, table_end = table + 24 + 2 * 56;
    const memory_map told{{phys_range::of(0_pa, 128_KiB), region_kind::reserved}};
    const struct {
        std::size_t field;
        std::uint64_t value, place;
    } cases[] = {
        {24, 320, table}, {24, table_end, table}, {24, table_end + 8, table_end + 8},
        {160, 328, table + 8}, // slots that reach into it
    };
    for (const auto& c : cases) {
        CAPTURE(c.field, c.value);
        const copied made = copy(console_block{}.set(c.field, c.value), told.map);
        CHECK(made.done == c.place + 24 + 56);
        CHECK(peek(made.block, 200, 8) == c.place);
    }
    const console_block sized = console_block{}.set(24, table_end); // what lies there cannot be read as descriptors
    for (const console_block& unread : {console_block{sized}.set(200, table + 4), console_block{sized}.set(table, 1)})
        CHECK(peek(copy(unread, told.map).block, 200, 8) == table_end);
}

TEST_CASE("a copy takes no page from the console", "[alpha][hwrpb_copy]")
{
    memory_map many{}; // more clusters than fit into a page
    for (std::uint64_t i = 0; i < 100; ++i)
        REQUIRE(many.map.add(phys_range::of(phys_addr::at(i * 0x4000), 8_KiB), region_kind::usable));
    const auto from_page = [&](std::uint64_t v, std::uint64_t pages, const region_map& map) {
        auto block = whole().set(callback + 48, v).set(callback + 56, from + 0x2000).set(callback + 64, pages);
        auto memory = block.in_memory();
        const auto reader = hwrpb_reader<byte_memory>::open(memory, phys_addr::at(from));
        REQUIRE(reader);
        bytes out(16384);
        return fault_of(copy_hwrpb(memory, *reader, map, phys_addr::at(to), out));
    };
    CHECK(from_page(0x1000'4000, 1, many.map) == no_fault);
    CHECK(from_page(0x1000'2000, 1, many.map) == fault{mapping_conflict, stage::staging, 0x1000'2000});
    CHECK(from_page(0x0fff'e000, 3, many.map) == fault{mapping_conflict, stage::staging, 0x1000'2000});
    CHECK(from_page(0x0fff'e000, 2, many.map) == no_fault);
    CHECK(from_page(0x1000'2001, 1, many.map) == fault{bad_header, stage::loading, from + callback + 48});
    const memory_map few{};
    CHECK(from_page(0x1000'2000, 1, few.map) == no_fault);
}
