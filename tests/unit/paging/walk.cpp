// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/paging/walk.hpp>

#include <tests/support/effort.hpp>
#include <tests/support/paging_modes.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

/// Empty when the library's walk and the manual's say the same of `v`.
template <class Paging> std::string difference(table_world<Paging>& world, std::uint64_t v)
{
    const manual_walk expected = world.look(v);
    const auto found = world.ask(v);
    switch (expected.what) {
    case manual_walk::absent: return fault_of(found) == fault_at<Paging>(fault_code::not_mapped, v) ? "" : "absent";
    case manual_walk::reserved:
        return fault_of(found) == fault{fault_code::bad_page_table, stage::mapping, expected.entry_at} ? ""
                                                                                                       : "reserved";
    case manual_walk::mapped: break;
    }
    if (!found)
        return "mapped";
    if (found->physical.raw() != expected.physical)
        return "physical";
    if ((found->rights == lobos::access::read_write) != expected.writable)
        return "rights";
    if (found->executable != expected.executable)
        return "executable";
    const auto page = virt_range::of(
        virt_addr::at(manual<Paging>::address_of(v - v % expected.page_size)), byte_count::of(expected.page_size));
    if (found->page != page)
        return "page";
    if (found->level != expected.level)
        return "level";
    return found->leaf == expected.entry ? "" : "leaf";
}

} // namespace

TEMPLATE_LIST_TEST_CASE(
    "a page is found on each level, from its first byte to its last", "[paging][walk]", paging_modes)
{
    using mode = manual<TestType>;
    for (unsigned level = 0; level < mode::page_levels; ++level) {
        const std::uint64_t size = mode::span[level];
        const std::uint64_t top = mode::addresses - size;
        for (const std::uint64_t v : {std::uint64_t{0}, 3 * size, top}) {
            table_world<TestType> world;
            CAPTURE(level, v);
            world.map(level, v, 7 * size);
            for (const std::uint64_t in : {std::uint64_t{0}, std::uint64_t{1}, size / 2, size - 1}) {
                const auto found = world.ask(v + in);
                REQUIRE(fault_of(found) == no_fault);
                CHECK(found->physical == phys_addr::at(7 * size + in));
                CHECK(found->rights == lobos::access::read_write);
                CHECK(found->executable);
                CHECK(found->page == virt_range::of(virt_addr::at(mode::address_of(v)), byte_count::of(size)));
                CHECK(found->level == level);
                CHECK(found->leaf == world.look(v).entry);
            }
            if (v != 0)
                CHECK(fault_of(world.ask(v - 1)) == fault_at<TestType>(fault_code::not_mapped, v - 1));
            if (v != top)
                CHECK(fault_of(world.ask(v + size)) == fault_at<TestType>(fault_code::not_mapped, v + size));
        }
    }
}

TEMPLATE_LIST_TEST_CASE("all levels have to permit a write", "[paging][walk]", paging_modes)
{
    using mode = manual<TestType>;
    for (unsigned forbidden = 0; forbidden < 1u << rights_levels<TestType>(); ++forbidden) {
        table_world<TestType> world;
        std::uint64_t table = world.root;
        for (unsigned level = mode::levels - 1; level > 0; --level) {
            const std::uint64_t next = world.new_table();
            const bool permits = level < rights_levels<TestType>() && (forbidden >> level & 1) == 0;
            world.put(table, level, 0, in_entry<TestType>(next) | mode::present | (permits ? mode::writable : 0));
            table = next;
        }
        world.put(table, 0, 0, mode::present | (forbidden & 1 ? 0 : mode::writable));
        CAPTURE(forbidden);
        const auto found = world.ask(0);
        REQUIRE(found);
        CHECK(found->rights == (forbidden == 0 ? lobos::access::read_write : lobos::access::read_only));
    }
}

TEMPLATE_LIST_TEST_CASE("all levels have to let instructions be fetched", "[paging][walk]", paging_modes)
{
    using mode = manual<TestType>;
    for (unsigned forbidden = 0; forbidden < 1u << rights_levels<TestType>(); ++forbidden) {
        table_world<TestType> world;
        std::uint64_t table = world.root;
        for (unsigned level = mode::levels - 1; level > 0; --level) {
            const std::uint64_t next = world.new_table();
            world.put(table, level, 0,
                in_entry<TestType>(next) | mode::present | (forbidden >> level & 1 ? mode::no_execute : 0));
            table = next;
        }
        world.put(table, 0, 0, mode::present | (forbidden & 1 ? mode::no_execute : 0));
        CAPTURE(forbidden);
        const auto found = world.ask(0);
        REQUIRE(found);
        CHECK(found->executable == (forbidden == 0 || mode::no_execute == 0));
    }
}

TEMPLATE_LIST_TEST_CASE("an absent entry says nothing, whatever its other bits", "[paging][walk]", paging_modes)
{
    using mode = manual<TestType>;
    for (unsigned level = 0; level < mode::levels; ++level) {
        table_world<TestType> world;
        const std::uint64_t v = mode::span[level];
        world.put(world.table_for(level, v), level, v, ~std::uint64_t{mode::present});
        CAPTURE(level);
        CHECK(fault_of(world.ask(v + 1)) == fault_at<TestType>(fault_code::not_mapped, v + 1));
    }
}

TEMPLATE_LIST_TEST_CASE("each reserved bit is a fault, at the entry that has it", "[paging][walk]", paging_modes)
{
    using mode = manual<TestType>;
    unsigned tried = 0;
    for (unsigned level = 0; level < mode::levels; ++level)
        for (unsigned bit = 0; bit < 64; ++bit) {
            if ((mode::reserved[level] >> bit & 1) == 0)
                continue;
            table_world<TestType> world;
            const std::uint64_t v = mode::span[level] * 2;
            const std::uint64_t place = level < mode::page_levels ? mode::span[level] : world.new_table();
            world.map(level, v, place, std::uint64_t{1} << bit);
            CAPTURE(level, bit);
            const manual_walk expected = world.look(v);
            REQUIRE(expected.what == manual_walk::reserved);
            CHECK(fault_of(world.ask(v)) == fault{fault_code::bad_page_table, stage::mapping, expected.entry_at});
            ++tried;
        }
    CHECK((tried > 0) == reserves<TestType>());
}

TEMPLATE_LIST_TEST_CASE(
    "past the reach of the mode nothing is mapped and nothing is read", "[paging][walk]", paging_modes)
{
    using mode = manual<TestType>;
    byte_memory none{0};
    const std::uint64_t end = mode::addresses;
    const std::uint64_t past = mode::first_hole == end ? ~std::uint64_t{0} : mode::address_of(mode::first_hole) - 1;
    for (const std::uint64_t v : {end, std::uint64_t{mode::first_hole}, past}) {
        const auto found = walk<TestType>(none, 0_pa, virt_addr::at(v));
        CHECK(fault_of(found) == fault{fault_code::not_mapped, stage::mapping, v});
    }
}

TEMPLATE_LIST_TEST_CASE("a walk is the manual's, over tables made by chance", "[paging][walk]", paging_modes)
{
    using mode = manual<TestType>;
    using world_type = table_world<TestType>;
    std::mt19937_64 random{20};
    unsigned seen[3] = {};
    for (int round = 0; round < effort(2, 6, 6); ++round) {
        // Every table of every level is a row of chances; entries for tables name one of the level below.
        world_type world;
        std::uint64_t tables[mode::levels][4];
        for (unsigned level = 0; level + 1 < mode::levels; ++level)
            for (std::uint64_t& table : tables[level])
                table = world.new_table();
        tables[mode::levels - 1][0] = world.root;
        for (unsigned level = 0; level < mode::levels; ++level)
            for (unsigned t = 0; t < (level + 1 == mode::levels ? 1 : 4); ++t)
                for (std::uint64_t i = 0; i < mode::table_size / sizeof(typename TestType::word); ++i) {
                    const std::uint64_t any = random();
                    const std::uint64_t chances = random();
                    const bool page = level < mode::page_levels && (level == 0 || chances & 1);
                    std::uint64_t bits = any | mode::page[level];
                    if (!page)
                        bits = in_entry<TestType>(tables[level - 1][chances >> 1 & 3]) |
                            (any & (mode::table_noted | mode::writable | mode::present));
                    if (level >= mode::page_levels)
                        bits |= any & mode::reserved[level];
                    if (chances >> 4 & 3)
                        bits |= mode::present;
                    if (chances >> 8 & 3 && (page || level >= mode::page_levels))
                        bits &= ~mode::reserved[level];
                    world.put(tables[level][t], level, i * mode::span[level], bits);
                }
        std::string first;
        // Every page, or as many at random.
        const std::uint64_t pages = mode::addresses / mode::smallest_page;
        const std::uint64_t looks = std::min<std::uint64_t>(pages, 1u << effort(13, 17, 17));
        for (std::uint64_t n = 0; n < looks && first.empty(); ++n) {
            const std::uint64_t v = (pages == looks ? n : random() % pages) * mode::smallest_page;
            first = difference(world, v);
            if (first.empty())
                first = difference(world, v + random() % mode::smallest_page);
            if (first.empty())
                first = difference(world, v + mode::smallest_page - 1);
            ++seen[world.look(v).what];
            if (!first.empty())
                FAIL("differs in " << first << " at " << std::hex << v);
        }
    }
    CHECK(seen[manual_walk::mapped] > 100);
    CHECK(seen[manual_walk::absent] > 100);
    if (reserves<TestType>())
        CHECK(seen[manual_walk::reserved] > 50);
}
