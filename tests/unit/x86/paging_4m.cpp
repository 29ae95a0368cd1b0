// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// What all modes have in common is tested in tests/unit/paging; here is what is this mode's own.
#include <lobos/x86/paging_4m.hpp>

#include <tests/support/paging_modes.hpp>

using namespace lobos;
using namespace lobos::test;
using lobos::x86::paging_4m;

namespace {

namespace bit = lobos::x86::page_bit;
using table_entry = paging_4m::entry<0>;
using directory_entry = paging_4m::entry<1>;

} // namespace

TEST_CASE("the bits of an entry are the manual's", "[x86][paging_4m]")
{
    CHECK(bit::present == 0x001);
    CHECK(bit::writable == 0x002);
    CHECK(bit::user == 0x004);
    CHECK(bit::write_through == 0x008);
    CHECK(bit::cache_disable == 0x010);
    CHECK(bit::accessed == 0x020);
    CHECK(bit::dirty == 0x040);
    CHECK(bit::page_size == 0x080);
    CHECK(bit::table_pat == 0x080);
    CHECK(bit::global == 0x100);
    CHECK(bit::software == 0xe00);
    CHECK(bit::large_pat == 0x1000);
    CHECK(bit::large_high == 0x1f'e000);
    CHECK(bit::large_reserved == 0x20'0000);
}

TEST_CASE("bit 7 is a page size in a directory and a memory type in a table", "[x86][paging_4m]")
{
    CHECK(table_entry{0x81}.is_leaf());
    CHECK(table_entry{0x1081}.target() == 0x1000_pa);
    CHECK(table_entry{0x1083}.kept(lobos::access::read_write).bits == 0x10e3);
    CHECK(directory_entry{0x81}.is_leaf());
    CHECK_FALSE(directory_entry{0x01}.is_leaf());
    CHECK(directory_entry{0xffff'ff61}.target() == 0xffff'f000_pa);
}

TEST_CASE("a large page may lie anywhere below 2^40", "[x86][paging_4m]")
{
    for (unsigned high = 0; high < 256; ++high) {
        const auto place = std::uint64_t{high} << 32 | 0x1240'0000;
        const directory_entry e{0x1240'0000u | high << 13 | 0xe3u};
        CAPTURE(high);
        CHECK(e.valid());
        CHECK(e.target() == phys_addr::at(place));
        CHECK(e.kept(lobos::access::read_write).bits == e.bits);
        CHECK(e.kept(lobos::access::read_write).target() == phys_addr::at(place));

        table_world<paging_4m> world;
        world.put(world.root, 1, 0x80'0000, e.bits);
        const auto found = world.ask(0xbf'ffff);
        REQUIRE(found);
        CHECK(found->physical == phys_addr::at(place + 0x3f'ffff));
    }
}

TEST_CASE("a clone keeps a large page above 4 GiB where it is", "[x86][paging_4m]")
{
    table_world<paging_4m> world;
    world.put(world.root, 1, 0xc000'0000, 0x1240'0000u | 5u << 13 | 0xfe7u);
    const virt_range keep[] = {virt_range::of(0xc012'3000_va, 4_KiB)};
    const auto cloned = clone_page_tables<paging_4m>(
        world.memory, phys_addr::at(world.root), keep, [](auto) { return result<void>{}; },
        [&] { return result<phys_addr>{phys_addr::at(world.new_table())}; });
    REQUIRE(cloned);
    CHECK(cloned->tables == 1);
    CHECK(world.get(cloned->root.raw(), 1, 0xc000'0000) == (0x1240'0000u | 5u << 13 | 0xe3u));
}

TEST_CASE("small pages that are kept need a table of their own", "[x86][paging_4m]")
{
    table_world<paging_4m> world;
    world.map(0, 0xc010'0000, 0x5000, 0x063);
    world.map(0, 0xc01f'f000, 0x7000, 0x1f7);
    const virt_range keep[] = {virt_range::of(0xc010'0000_va, 1_bytes), virt_range::of(0xc01f'f000_va, 4_KiB)};
    const auto cloned = clone_page_tables<paging_4m>(
        world.memory, phys_addr::at(world.root), keep,
        [](auto put) { return put(identity_mapping<paging_4m>(phys_range::of(0x40'0000_pa, 4_MiB))); },
        [&] { return result<phys_addr>{phys_addr::at(world.new_table())}; });
    REQUIRE(cloned);
    CHECK(cloned->tables == 2);
    const std::uint64_t directory = cloned->root.raw();
    CHECK(world.get(directory, 1, 0x40'0000) == 0x0040'00e3);
    const std::uint64_t pde = world.get(directory, 1, 0xc000'0000);
    CHECK((pde & 0xfff) == 0x023); // present, writable, accessed
    CHECK(world.get(pde & 0xffff'f000, 0, 0xc010'0000) == 0x5063);
    CHECK(world.get(pde & 0xffff'f000, 0, 0xc01f'f000) == 0x70f3); // user and global gone, memory type kept
}
