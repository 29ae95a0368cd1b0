// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// What all modes have in common is tested in tests/unit/paging; here is what is this mode's own.
#include <lobos/x86/paging_5level.hpp>

#include <tests/support/paging_modes.hpp>

using namespace lobos;
using namespace lobos::test;
using lobos::x86::paging_4level;
using lobos::x86::paging_5level;

namespace {

/// The PML5, with nothing else: whoever gets past it reads outside memory.
bool asks_the_tables(std::uint64_t v)
{
    byte_memory none{0};
    try {
        (void)walk<paging_5level>(none, 0_pa, virt_addr::at(v));
    } catch (const std::out_of_range&) {
        return true;
    }
    return false;
}

} // namespace

TEST_CASE("bits 63 to 57 of an address are as bit 56, and nothing else is translated", "[x86][paging_5level]")
{
    for (unsigned high = 0; high < 256; ++high) { // bits 63 to 56
        CAPTURE(high);
        for (const std::uint64_t low : {std::uint64_t{0}, std::uint64_t{0x00ff'ffff'ffff'ffff}})
            CHECK(asks_the_tables(std::uint64_t{high} << 56 | low) == (high == 0 || high == 0xff));
    }
    // What 4-level paging has in its hole is there.
    CHECK(asks_the_tables(0x0000'8000'0000'0000));
    CHECK(asks_the_tables(0xffff'7fff'ffff'ffff));
}

TEST_CASE("each of the nine bits from 48 on chooses an entry of the PML5", "[x86][paging_5level]")
{
    for (unsigned bit = 48; bit < 57; ++bit) {
        CAPTURE(bit);
        byte_memory memory{0x5000};
        const std::uint64_t v = (std::uint64_t{1} << bit) | (bit == 56 ? 0xfe00'0000'0000'0000 : 0);
        store(memory, phys_addr::at(8u << (bit - 48)), std::uint64_t{0x1003});
        store(memory, 0x1000_pa, std::uint64_t{0x2003});
        store(memory, 0x2000_pa, std::uint64_t{0x3003});
        store(memory, 0x3000_pa, std::uint64_t{0x4003});
        store(memory, 0x4008_pa, std::uint64_t{0x8000'0007'6543'2003});
        const auto found = walk<paging_5level>(memory, 0_pa, virt_addr::at(v + 0x1abc));
        REQUIRE(found);
        CHECK(found->physical == phys_addr::at(0x7'6543'2abc));
        CHECK(found->page == virt_range::of(virt_addr::at(v + 0x1000), 4_KiB));
        CHECK_FALSE(found->executable);
    }
}

TEST_CASE("bit 7 is reserved in PML5 and PML4 alike", "[x86][paging_5level]")
{
    CHECK_FALSE(paging_5level::entry<4>{0x1083}.valid());
    CHECK_FALSE(paging_5level::entry<3>{0x1083}.valid());
    CHECK(paging_5level::entry<2>{0x4000'0083}.valid());
}

TEST_CASE("a clone of five levels has none of the old tables' bits", "[x86][paging_5level]")
{
    // Bit 58 of a PML5 entry, set by software, once kept a kernel from leaving for one of four levels.
    table_world<paging_5level> world;
    const std::uint64_t v = 0x1ff'ffff'8000'0000; // of the kernel, as the shared tests count
    const std::uint64_t noted = 0x7ff0'0000'0000'0f64;
    world.map(0, v, 0x5000, noted | 0x8000'0000'0000'009b);
    for (unsigned level = 1; level <= 4; ++level) {
        const std::uint64_t table = world.table_for(level, v);
        world.put(table, level, v, world.get(table, level, v) | 0x0400'0000'0000'0f60);
    }
    const virt_range keep[] = {virt_range::of(virt_addr::at(0xffff'ffff'8000'0000), 1_bytes)};
    const auto cloned = clone_page_tables<paging_5level>(
        world.memory, phys_addr::at(world.root), keep,
        [](auto put) { return put(identity_mapping<paging_5level>(phys_range::of(0xf'ffff'ffff'f000_pa, 4_KiB))); },
        [&] { return result<phys_addr>{phys_addr::at(world.new_table())}; });
    REQUIRE(fault_of(cloned) == no_fault);
    CHECK(cloned->tables == 9);
    std::uint64_t table = cloned->root.raw();
    for (unsigned level = 4; level > 0; --level) {
        const std::uint64_t bits = world.get(table, level, v);
        CHECK((bits & ~0x000f'ffff'ffff'f000u) == 0x23);
        table = bits & 0x000f'ffff'ffff'f000;
    }
    CHECK(world.get(table, 0, v) == 0x8000'0000'0000'50fb);
    CHECK(world.look(cloned->root.raw(), 0xf'ffff'ffff'f000).entry == 0xf'ffff'ffff'f063);
}

TEST_CASE("1 GB pages are made only where they are known to be, at any height", "[x86][paging_5level]")
{
    const auto levels_of = [](auto mode) {
        using paging = decltype(mode);
        table_world<paging> world;
        const auto cloned = clone_page_tables<paging>(
            world.memory, 0_pa, {},
            [](auto put) {
                return put(mapping{virt_range::of(virt_addr::at(0xff00'0000'0000'0000), 1_GiB), 0x4000'0000_pa});
            },
            [&] { return result<phys_addr>{phys_addr::at(world.new_table())}; });
        REQUIRE(cloned);
        return cloned->tables;
    };
    CHECK(levels_of(x86::paging_5level{}) == 4);
    CHECK(levels_of(x86::paging_5level_1g{}) == 3);
}
