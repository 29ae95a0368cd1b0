// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/alpha/console_map.hpp>

#include <tests/catch.hpp>
#include <tests/support/hwrpb_builder.hpp>
#include <tests/support/sparse_memory.hpp>

using namespace lobos;
using namespace lobos::alpha;
using namespace lobos::test;
using enum fault_code;

namespace {

constexpr std::uint64_t at = console_block::at;
constexpr std::size_t callback = 0x1800, mappings = callback + 48;
constexpr std::uint64_t reach = 0x10'0000;

/// A block with a callback block, and so many mappings in it.
struct console : console_block {
    std::size_t count = 0;
    console() { set(192, callback); }
    console& add(std::uint64_t v, std::uint64_t p, std::uint64_t pages)
    {
        const std::size_t place = mappings + 24 * count++;
        set(place, v).set(place + 8, p).set(place + 16, pages).set(callback + 32, count);
        return *this;
    }
};

std::vector<mapping> wanted(console_block block, fault expected = no_fault)
{
    auto memory = block.in_memory();
    const auto reader = hwrpb_reader<byte_memory>::open(memory, phys_addr::at(at));
    REQUIRE(reader);
    std::vector<mapping> put;
    const auto done = map_console(*reader, [&put](const mapping& m) -> result<void> {
        put.push_back(m);
        return {};
    });
    CHECK(fault_of(done) == expected);
    return put;
}

fault bad(std::uint64_t offset)
{
    return {bad_header, stage::loading, at + offset};
}

bool same(const mapping& m, std::uint64_t first, std::uint64_t last, std::uint64_t physical)
{
    return m.virtual_range == virt_range::between(virt_addr::at(first), virt_addr::at(last)) &&
        m.physical == phys_addr::at(physical) && m.rights == lobos::access::read_write;
}

} // namespace

TEST_CASE("the HWRPB has its place, whatever else there is", "[alpha][console_map]")
{
    for (const std::uint64_t size : {1u, 320u, 8192u}) {
        CAPTURE(size);
        const auto put = wanted(console_block{}.set(24, size));
        REQUIRE(put.size() == 1);
        CHECK(same(put[0], 0x1000'0000, 0x1000'1fff, at));
    }
    CHECK(same(wanted(console_block{}.set(24, 8193))[0], 0x1000'0000, 0x1000'3fff, at));
    CHECK(same(wanted(console_block{}.set(24, reach))[0], 0x1000'0000, 0x100f'ffff, at));
    for (const std::uint64_t size : {std::uint64_t{0}, reach + 1, ~std::uint64_t{0}}) {
        CAPTURE(size);
        CHECK(wanted(console_block{}.set(24, size), bad(24)).empty());
    }
}

TEST_CASE("the console is found where it wants to be", "[alpha][console_map]")
{
    console block;
    block.add(0x1000'0000, at, 2)
        .add(0xffff'fc00'0000'0000, 0, 5)
        .add(0x1001'0000, 0, 0)
        .add(0xffff'fffc'0000'0000, 0x8000, 3);
    const auto put = wanted(block);
    REQUIRE(put.size() == 3); // kseg needs no tables, and nothing no place
    CHECK(same(put[1], 0x1000'2000, 0x1000'3fff, at + 0x2000));
    CHECK(same(put[2], 0xffff'fffc'0000'0000, 0xffff'fffc'0000'5fff, 0x8000));
}

TEST_CASE("a callback block is believed in nothing", "[alpha][console_map]")
{
    const struct {
        std::size_t field;
        std::uint64_t value;
        fault expected;
    } cases[] = {
        {192, 8, bad(192)},
        {192, callback + 4, bad(192)},
        {192, reach - 48, no_fault}, // of no mappings
        {192, reach - 40, bad(192)},
        {192, ~7ull, bad(192)},
        {callback + 32, 0, no_fault},
        {callback + 32, (reach - mappings) / 24, no_fault}, // all but one of them empty
        {callback + 32, (reach - mappings) / 24 + 1, bad(callback + 32)},
        {callback + 32, ~0ull, bad(callback + 32)},
        {mappings, 0x1000'0008, bad(mappings)},
        {mappings + 8, 0x1000, bad(mappings)},
        {mappings + 16, 0x7'ffff'ffff'ffff, bad(mappings)},
        {mappings + 16, 0x8'0000'0000'0000, bad(mappings)},
        {mappings + 16, ~0ull, bad(mappings)},
        {mappings, 0xffff'fc00'0000'2000, bad(mappings)}, // in kseg, and elsewhere
        {mappings, 0xffff'fc00'0000'4000, no_fault},
        {mappings, 0xffff'fbff'ffff'e000, bad(mappings)},     // goes on in kseg
        {mappings, 0xffff'fdff'ffff'e000, bad(mappings)},     // and comes out of it
        {mappings + 8, 0xffff'ffff'ffff'e000, bad(mappings)}, // wraps
        {mappings + 8, 0xffff'ffff'ffff'c000, no_fault},
    };
    for (const auto& c : cases) {
        CAPTURE(c.field, c.value);
        console block;
        block.add(0x1000'0000, 0x4000, 2).set(c.field, c.value);
        wanted(block, c.expected);
    }
}

TEST_CASE("what has no place ends it", "[alpha][console_map]")
{
    console block;
    block.add(0x2000'0000, 0x4000, 2);
    auto memory = block.in_memory();
    const auto reader = hwrpb_reader<byte_memory>::open(memory, phys_addr::at(at));
    REQUIRE(reader);
    for (const std::size_t taken : {0u, 1u}) {
        std::size_t calls = 0;
        const auto done = map_console(*reader, [&](const mapping& m) -> result<void> {
            if (calls++ == taken)
                return refuse(mapping_conflict, stage::mapping, m.virtual_range.first());
            return {};
        });
        CHECK(fault_of(done) == fault{mapping_conflict, stage::mapping, taken == 0 ? 0x1000'0000u : 0x2000'0000u});
        CHECK(calls == taken + 1);
    }
}

TEST_CASE("what is I/O in kseg has a physical address of its own", "[alpha][console_map]")
{
    console block; // a serial line of a 21264's, all of that half, and the page above memory
    block.add(0xffff'fd01'fc00'0000, 0x801'fc00'0000, 1)
        .add(0xffff'fd00'0000'0000, 0x800'0000'0000, 0x100'0000'0000 >> 13)
        .add(0xffff'fcff'ffff'e000, 0xff'ffff'e000, 1);
    CHECK(wanted(block).size() == 1);
    CHECK(wanted(console{}.add(0xffff'fcff'ffff'e000, 0xff'ffff'e000, 2), bad(mappings)).size() == 1); // in both
    CHECK(wanted(console{}.add(0xffff'fcff'ffff'e000, 0x801'fc00'0000, 1), bad(mappings)).size() == 1);
    CHECK(wanted(console{}.add(0xffff'fd01'fc00'0000, 0x801'fc00'0000, 0x100'0000'0000 >> 13), bad(mappings)).size() ==
        1);
}

namespace {

/// What real tables make of what is wanted, page by page from `first` on; 1 for no page.
std::vector<std::uint64_t> pages_in_tables(
    console_block block, std::uint64_t first, std::size_t count, fault expected = no_fault)
{
    auto memory = block.in_memory();
    const auto reader = hwrpb_reader<byte_memory>::open(memory, phys_addr::at(at));
    REQUIRE(reader);
    sparse_memory tables;
    std::uint64_t used = 0;
    const auto frame = [&used]() -> result<phys_addr> { return phys_addr::at(0x2000 * used++); };
    const auto made = clone_page_tables<paging_8k>(
        tables, phys_addr{}, {}, [&](auto put) { return map_console(*reader, put); }, frame);
    CHECK(fault_of(made) == expected);
    std::vector<std::uint64_t> found;
    for (std::size_t i = 0; made && i < count; ++i) {
        const auto page = walk<paging_8k>(tables, made->root, virt_addr::at(first + 0x2000 * i));
        found.push_back(page ? page->physical.raw() : 1);
    }
    if (made)
        made->flush.done_by_loading_the_root();
    return found;
}

} // namespace

TEST_CASE("where the HWRPB is mapped twice it is the one that is told", "[alpha][console_map]")
{
    using numbers = std::vector<std::uint64_t>;
    constexpr std::uint64_t old = 0x2000;            // where the original of a copy lies
    console_block sized = console{}.set(24, 0x3000); // two pages
    const auto with = [&](auto... mapping_of) {
        console block;
        static_cast<console_block&>(block) = sized;
        (mapping_of(block), ...);
        return block;
    };
    const auto add = [](std::uint64_t v, std::uint64_t p, std::uint64_t pages) {
        return [=](console& block) { block.add(v, p, pages); };
    };
    const numbers home{at, at + 0x2000, 1};
    CHECK(pages_in_tables(with(), 0x1000'0000, 3) == home);
    CHECK(pages_in_tables(with(add(0x1000'0000, at, 2)), 0x1000'0000, 3) == home); // no copy at all
    CHECK(pages_in_tables(with(add(0x1000'0000, old, 1)), 0x1000'0000, 3) == home);
    CHECK(pages_in_tables(with(add(0x1000'0000, old, 2)), 0x1000'0000, 3) == home);
    CHECK(pages_in_tables(with(add(0x1000'0000, old, 1), add(0x1000'2000, old + 0x2000, 1)), 0x1000'0000, 3) == home);
    CHECK(pages_in_tables(with(add(0x1000'2000, old + 0x2000, 1), add(0x1000'0000, old, 1)), 0x1000'0000, 3) == home);
    // What lies around it stays the console's.
    CHECK(pages_in_tables(with(add(0x0fff'e000, old - 0x2000, 5)), 0x0fff'e000, 6) ==
        numbers{old - 0x2000, at, at + 0x2000, old + 0x4000, old + 0x6000, 1});
    CHECK(pages_in_tables(with(add(0x1000'0000, old, 1), add(0x1000'2000, old + 0x2000, 2)), 0x1000'0000, 4) ==
        numbers{at, at + 0x2000, old + 0x4000, 1});
    // And something else in its place is nobody's copy.
    for (const auto& block :
        {with(add(0x1000'0000, old, 1), add(0x1000'2000, 0x9000'0000, 1)), with(add(0x1000'2000, old + 0x2000, 1))})
        pages_in_tables(block, 0, 0, {mapping_conflict, stage::mapping, 0x1000'2000});
    pages_in_tables(with(add(0x1000'0000, old, 1), add(0x1000'0000, 0x9000'0000, 1)), 0, 0,
        {mapping_conflict, stage::mapping, 0x1000'0000});
    pages_in_tables(with(add(0x1000'0000, 0xffff'ffff'ffff'e000, 1), add(0x1000'2000, 0, 1)), 0, 0,
        {mapping_conflict, stage::mapping, 0x1000'2000}); // no original goes past the last address
}
