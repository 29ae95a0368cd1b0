// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/alpha/memory_clusters.hpp>

#include <tests/catch.hpp>
#include <tests/support/hwrpb_builder.hpp>

using namespace lobos;
using namespace lobos::alpha;
using namespace lobos::test;
using enum fault_code;

namespace {

constexpr std::uint64_t at = console_block::at;
constexpr std::size_t flags = console_block::slots + 128, palcode_size = console_block::slots + 136,
                      scratch_size = console_block::slots + 144, palcode = console_block::slots + 152,
                      scratch = console_block::slots + 160;

fault read(console_block block, region_map& map)
{
    auto memory = block.in_memory();
    const auto reader = hwrpb_reader<byte_memory>::open(memory, phys_addr::at(at));
    REQUIRE(reader);
    return fault_of(add_memory_clusters(map, *reader));
}

region piece(std::uint64_t first, std::uint64_t last, region_kind kind)
{
    return {phys_range::between(phys_addr::at(first), phys_addr::at(last)), kind};
}

} // namespace

TEST_CASE("the console's pages are reserved, the others usable", "[alpha][memory_clusters]")
{
    memory_map memory{};
    REQUIRE(read(console_block{}, memory.map) == no_fault);
    REQUIRE(memory.map.regions().size() == 2);
    CHECK(memory.map.regions()[0] == piece(0, 0x1'dfff, region_kind::reserved));
    CHECK(memory.map.regions()[1] == piece(0x1'e000, 0xfff'ffff, region_kind::usable));
}

TEST_CASE("every use but the system's own is reserved", "[alpha][memory_clusters]")
{
    for (unsigned bit = 0; bit < 64; ++bit) {
        CAPTURE(bit);
        memory_map memory{};
        REQUIRE(read(console_block{}.cluster(1, 15, 1, 1ull << bit), memory.map) == no_fault);
        CHECK(memory.map.regions().size() == 1);
        CHECK(memory.map.regions()[0] == piece(0, 0x1'ffff, region_kind::reserved));
    }
    CHECK(kind_of_usage(3) == region_kind::reserved);
}

TEST_CASE("clusters in any number and order, some of them empty", "[alpha][memory_clusters]")
{
    console_block block;
    block.set(console_block::memory + 16, 4);
    block.cluster(0, 0x1000, 0x1000, 0).cluster(1, 0, 0, 0).cluster(2, 0x1800, 1, 2).cluster(3, 0, 0x1000, 0);
    memory_map memory{};
    REQUIRE(read(block, memory.map) == no_fault);
    REQUIRE(memory.map.regions().size() == 3);
    CHECK(memory.map.regions()[0] == piece(0, 0x2ff'ffff, region_kind::usable));
    CHECK(memory.map.regions()[1] == piece(0x300'0000, 0x300'1fff, region_kind::reserved));
    CHECK(memory.map.regions()[2] == piece(0x300'2000, 0x3ff'ffff, region_kind::usable));

    memory_map none{};
    CHECK(read(console_block{}.set(console_block::memory + 16, 0), none.map) == no_fault);
    CHECK(none.map.regions().empty());
}

TEST_CASE("a processor's PALcode is reserved wherever it lies", "[alpha][memory_clusters]")
{
    console_block block;
    block.set(palcode, 0x20'0000).set(palcode_size, 0x1'0000).set(scratch, 0x40'0000).set(scratch_size, 1);
    memory_map memory{};
    REQUIRE(read(block, memory.map) == no_fault);
    CHECK(memory.map.find(0x20'0000_pa)->range.last() == 0x20'ffff_pa);
    CHECK(memory.map.find(0x20'0000_pa)->kind == region_kind::reserved);
    CHECK(memory.map.find(0x40'0000_pa)->range.size() == 1_bytes);

    memory_map without{};
    REQUIRE(read(block.set(flags, 0x1cc & ~0x80), without.map) == no_fault); // it says nothing of its memory
    CHECK(without.map.regions().size() == 2);
}

TEST_CASE("pieces that wrap are refused, and whoever follows them", "[alpha][memory_clusters]")
{
    const struct {
        std::uint64_t first, pages;
        bool good;
    } cases[] = {
        {0x7'ffff'ffff'ffff, 1, true},
        {0x7'ffff'ffff'ffff, 2, false},
        {0x8'0000'0000'0000, 1, false},
        {0x8'0000'0000'0000, 0, false},
        {15, 0x8'0000'0000'0000, false},
        {15, 0x7'ffff'ffff'ffff, false},
        {1, 0x7'ffff'ffff'ffff, true},
        {~0ull, ~0ull, false},
    };
    for (const auto& c : cases) {
        CAPTURE(c.first, c.pages);
        memory_map memory{};
        const fault bad{bad_range, stage::loading, at + console_block::clusters + 56};
        CHECK(read(console_block{}.cluster(1, c.first, c.pages, 0), memory.map) == (c.good ? no_fault : bad));
        CHECK(memory.map.find(0_pa)->kind == region_kind::reserved);
    }
    for (const std::size_t size : {palcode_size, scratch_size}) {
        CAPTURE(size);
        memory_map memory{};
        console_block block;
        block.set(size, 2).set(size + 16, ~0ull);
        CHECK(read(block, memory.map) == fault{bad_range, stage::loading, at + console_block::slots});
    }
}

TEST_CASE("what the reader refuses stays refused, and a full map says so", "[alpha][memory_clusters]")
{
    memory_map memory{};
    CHECK(read(console_block{}.set(200, 0), memory.map) == fault{bad_header, stage::loading, at + 200});
    CHECK(read(console_block{}.set(152, 8), memory.map) == fault{bad_header, stage::loading, at + 152});
    region one[1];
    region_map full{one};
    CHECK(read(console_block{}, full) == fault{no_space, stage::mapping, 2});
}
