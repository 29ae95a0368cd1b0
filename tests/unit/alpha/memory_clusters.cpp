// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/alpha/memory_clusters.hpp>

#include <cstring>

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

TEST_CASE("who does not know our kinds leaves them alone", "[alpha][memory_clusters]")
{
    for (const auto kind : {region_kind::usable, region_kind::acpi_reclaimable, region_kind::acpi_nvs,
             region_kind::reserved, region_kind::defective, region_kind::safe, region_kind::surviving}) {
        CAPTURE(to_string(kind));
        const bool taken = (usage_of(kind) & 3) != 0; // all that others look at
        CHECK(taken == (kind != region_kind::usable));
        const bool kept = kind == region_kind::usable || kind >= region_kind::safe;
        CHECK(kind_of_usage(usage_of(kind)) == (kept ? kind : region_kind::reserved));
    }
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
    CHECK(memory.map.find(0x40'0000_pa)->range == phys_range::of(0x40'0000_pa, 8_KiB)); // whole pages

    memory_map across{};
    block.set(scratch, 0x40'1fff).set(scratch_size, 2);
    REQUIRE(read(block, across.map) == no_fault);
    CHECK(across.map.find(0x40'1fff_pa)->range == phys_range::of(0x40'0000_pa, 16_KiB));

    memory_map everything{};
    block.set(scratch, 0).set(scratch_size, ~0ull);
    REQUIRE(read(block, everything.map) == no_fault);
    CHECK(everything.map.find(phys_addr::at(~0ull))->kind == region_kind::reserved);

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

namespace {

/// The clusters of what was laid out.
std::vector<memory_cluster> clusters_of(const region_map& map)
{
    bytes out(4096, std::byte{0xa5});
    const auto used = make_memory_descriptors(map, out);
    REQUIRE(used);
    const auto count = static_cast<std::size_t>(peek(out, 16, 8));
    CHECK(*used == 24 + 56 * count);
    CHECK(out[*used] == std::byte{0xa5});
    std::uint64_t sum = 0;
    for (std::size_t i = 8; i < *used; i += 8)
        sum += peek(out, i, 8);
    CHECK(peek(out, 0, 8) == sum);
    CHECK(peek(out, 8, 8) == 0);
    std::vector<memory_cluster> clusters(count);
    if (count != 0)
        std::memcpy(clusters.data(), out.data() + 24, count * sizeof(memory_cluster));
    return clusters;
}

} // namespace

TEST_CASE("what is told as clusters is read again", "[alpha][memory_clusters]")
{
    memory_map told{};
    for (const region& r : {piece(0, 0x1'dfff, region_kind::reserved), piece(0x1'e000, 0xfff'ffff, region_kind::usable),
             piece(0x400'0000, 0x400'1fff, region_kind::surviving), piece(0x400'2000, 0x401'ffff, region_kind::safe),
             piece(0x1fff'0000'0000, 0x1fff'ffff'ffff, region_kind::usable)})
        REQUIRE(told.map.add(r.range, r.kind));
    bytes table(1024);
    const auto used = make_memory_descriptors(told.map, table);
    REQUIRE(used);
    console_block block;
    std::copy_n(table.begin(), *used, block.block.begin() + console_block::memory);
    memory_map read_again{};
    REQUIRE(read(block, read_again.map) == no_fault);
    CHECK(std::ranges::equal(read_again.map.regions(), told.map.regions()));
    for (std::size_t size = 0; size < *used; ++size)
        CHECK(fault_of(make_memory_descriptors(told.map, std::span{table}.first(size))) ==
            fault{no_space, stage::staging, *used});
}

TEST_CASE("a page that is not all usable is not usable, and is told once", "[alpha][memory_clusters]")
{
    memory_map odd{};
    for (const region& r : {piece(0x1001, 0x4000, region_kind::usable), piece(0x4001, 0x4002, region_kind::reserved),
             piece(0x4003, 0x4fff, region_kind::defective), piece(0x5000, 0x8fff, region_kind::usable),
             piece(0x9001, 0x9001, region_kind::reserved), piece(0x9fff, 0xa000, region_kind::safe),
             piece(0xc000, 0xdffe, region_kind::usable)})
        REQUIRE(odd.map.add(r.range, r.kind));
    const auto clusters = clusters_of(odd.map);
    const struct {
        std::uint64_t first, pages, usage;
    } wanted[] = {{1, 1, 0}, {2, 1, 1}, {3, 1, 0}, {4, 1, 1}, {5, 1, usage_of(region_kind::safe)}};
    REQUIRE(clusters.size() == std::size(wanted));
    for (std::size_t i = 0; i < clusters.size(); ++i) {
        CAPTURE(i);
        CHECK(clusters[i].first_page == wanted[i].first);
        CHECK(clusters[i].pages == wanted[i].pages);
        CHECK(clusters[i].usage == wanted[i].usage);
        CHECK(clusters[i].tested_pages == (wanted[i].usage == 0 ? wanted[i].pages : 0));
        CHECK(clusters[i].bitmap_physical == 0);
    }
}

TEST_CASE("memory that no table can name is not told", "[alpha][memory_clusters]")
{
    memory_map far{};
    REQUIRE(far.map.add(piece(0x1fff'ffff'e000, ~0ull, region_kind::usable).range, region_kind::usable));
    const auto clusters = clusters_of(far.map);
    REQUIRE(clusters.size() == 1);
    CHECK(clusters[0].first_page == 0xffff'ffff);
    CHECK(clusters[0].pages == 1);
    CHECK(clusters_of(memory_map{}.map).empty());
}
