// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/alpha/console_map.hpp>

#include <tests/catch.hpp>
#include <tests/support/hwrpb_builder.hpp>

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
    CHECK(same(put[1], 0x1000'0000, 0x1000'3fff, at));
    CHECK(same(put[2], 0xffff'fffc'0000'0000, 0xffff'fffc'0000'5fff, 0x8000));
}

TEST_CASE("a callback block is believed in nothing", "[alpha][console_map]")
{
    const struct {
        std::size_t field;
        std::uint64_t value;
        fault expected;
    } cases[] = {
        {192, 8, bad(192)}, {192, callback + 4, bad(192)}, {192, reach - 48, no_fault}, // of no mappings
        {192, reach - 40, bad(192)}, {192, ~7ull, bad(192)}, {callback + 32, 0, no_fault},
        {callback + 32, (reach - mappings) / 24, no_fault}, // all but one of them empty
        {callback + 32, (reach - mappings) / 24 + 1, bad(callback + 32)}, {callback + 32, ~0ull, bad(callback + 32)},
        {mappings, 0x1000'0008, bad(mappings)}, {mappings + 8, 0x1000, bad(mappings)},
        {mappings + 16, 0x7'ffff'ffff'ffff, bad(mappings)}, {mappings + 16, 0x8'0000'0000'0000, bad(mappings)},
        {mappings + 16, ~0ull, bad(mappings)},
        {mappings, 0xffff'fc00'0000'2000, bad(mappings)}, // in kseg, and elsewhere
        {mappings, 0xffff'fc00'0000'4000, no_fault},
        {mappings, 0xffff'fbff'ffff'e000, bad(mappings)}, // goes on in kseg
        {mappings, 0xffff'fdff'ffff'e000, bad(mappings)}, // and comes out of it
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
    block.add(0x1000'0000, 0x4000, 2);
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
        CHECK(fault_of(done) == fault{mapping_conflict, stage::mapping, 0x1000'0000});
        CHECK(calls == taken + 1);
    }
}
