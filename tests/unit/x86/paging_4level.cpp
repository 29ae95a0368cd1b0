// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// What all modes have in common is tested in tests/unit/paging; here is what is this mode's own.
#include <lobos/x86/paging_4level.hpp>

#include <tests/support/paging_modes.hpp>

using namespace lobos;
using namespace lobos::test;
using lobos::x86::paging_4level;
using lobos::x86::paging_4level_1g;

namespace {

namespace bit = lobos::x86::page_bit_64;
constexpr std::uint64_t xd = 0x8000'0000'0000'0000;

const auto nothing = [](auto) { return result<void>{}; };

template <class Paging>
result<cloned_tables<Paging>> clone(table_world<Paging>& world, std::span<const virt_range> keep, auto add)
{
    return clone_page_tables<Paging>(world.memory, phys_addr::at(world.root), keep, add,
        [&] { return result<phys_addr>{phys_addr::at(world.new_table())}; });
}

} // namespace

TEST_CASE("addresses of the upper half are translated, those between the halves are not", "[x86][paging_4level]")
{
    byte_memory memory{0x4000};
    store(memory, 0x0ff8_pa, std::uint64_t{0x1003}); // PML4 entry 511
    store(memory, 0x1ff0_pa, std::uint64_t{0x2003}); // entry 510: -2 GiB
    store(memory, 0x2048_pa, std::uint64_t{0x0120'01e3});
    const auto found = walk<paging_4level>(memory, 0_pa, virt_addr::at(0xffff'ffff'8123'4567));
    REQUIRE(found);
    CHECK(found->physical == 0x0123'4567_pa);
    CHECK(found->page == virt_range::of(virt_addr::at(0xffff'ffff'8120'0000), 2_MiB));
    for (const std::uint64_t v : {0x0000'ffff'8123'4567u, 0x0001'ffff'8123'4567u, 0x7fff'ffff'8123'4567u})
        CHECK(fault_of(walk<paging_4level>(memory, 0_pa, virt_addr::at(v))) ==
            fault{fault_code::not_mapped, stage::mapping, v});
}

TEST_CASE("a kernel's page that was for one processor's eyes becomes a plain one", "[x86][paging_4level]")
{
    // Global, dirty, user, with a key, software's bits and no execution: of these only the last is about the page.
    table_world<paging_4level> world;
    const std::uint64_t v = 0xffff'8000'0000'0000 & 0xffff'ffff'ffff; // as the shared tests count
    world.map(1, v, 0x1220'0000, xd | 0x7ff0'0000'0000'0f7f);
    const virt_range keep[] = {virt_range::of(virt_addr::at(0xffff'8000'0012'3000), 4_KiB)};
    const auto cloned = clone(world, keep, nothing);
    REQUIRE(cloned);
    CHECK(cloned->tables == 3);
    const manual_walk leaf = world.look(cloned->root.raw(), v);
    CHECK(leaf.entry == (xd | 0x1220'00fb));
    CHECK(leaf.physical == 0x1220'0000);
    CHECK_FALSE(leaf.executable);
    const std::uint64_t pml4e = world.get(cloned->root.raw(), 3, v);
    CHECK((pml4e & ~bit::address) == 0x23); // present, writable, accessed; nothing above says no
}

TEST_CASE("a kept page of 1 GB stays one, whatever new pages may be", "[x86][paging_4level]")
{
    table_world<paging_4level> world;
    world.map(2, 0x4000'0000, 0xf'ffff'c000'0000, 0x163);
    const virt_range keep[] = {virt_range::of(0x4000'1000_va, 1_bytes)};
    const auto cloned = clone(world, keep, nothing);
    REQUIRE(cloned);
    CHECK(cloned->tables == 2);
    CHECK(world.look(cloned->root.raw(), 0x4000'0000).entry == 0xf'ffff'c000'00e3);
}

TEMPLATE_TEST_CASE("what is added inside a kept page of 1 GB that says the same is there already",
    "[x86][paging_4level]", paging_4level, paging_4level_1g)
{
    table_world<TestType> world;
    world.map(2, 0x4000'0000, 0x4000'0000, 0x163);
    const virt_range keep[] = {virt_range::of(0x4000'1000_va, 1_bytes)};
    const auto add = [](std::uint64_t first, std::uint64_t size) {
        return [=](auto put) {
            return put(identity_mapping<TestType>(phys_range::of(phys_addr::at(first), byte_count::of(size))));
        };
    };
    CHECK(clone(world, keep, add(0x4000'5000, 0x1000))->tables == 2);
    CHECK(clone(world, keep, add(0x4020'0000, 0x20'0000))->tables == 2);
    CHECK(clone(world, keep, add(0x4000'0000, 0x4000'0000))->tables == 2);
    // Of another memory type it does not say the same.
    world.map(2, 0x4000'0000, 0x4000'0000, 0x173);
    CHECK(fault_of(clone(world, keep, add(0x4000'5000, 0x1000))) ==
        fault{fault_code::mapping_conflict, stage::mapping, 0x4000'5000});
}

TEST_CASE("1 GB pages are made only in the mode that has them", "[x86][paging_4level]")
{
    const auto add = [](auto put) {
        return put(mapping{virt_range::of(0x4000'0000_va, 1_GiB), 0x8000'0000_pa, lobos::access::read_only});
    };
    table_world<paging_4level> plain;
    const auto without = clone(plain, {}, add);
    REQUIRE(without);
    CHECK(without->tables == 3);
    CHECK(plain.look(without->root.raw(), 0x4000'0000).entry == 0x8000'00e1);
    table_world<paging_4level_1g> large;
    const auto with = clone(large, {}, add);
    REQUIRE(with);
    CHECK(with->tables == 2);
    CHECK(large.look(with->root.raw(), 0x4000'0000).entry == 0x8000'00e1);
}

TEST_CASE("the switch page and scattered pages of memory take few tables, and no page too many", "[x86][paging_4level]")
{
    table_world<paging_4level> world;
    world.map(1, 0xffff'ffff'8000'0000 & 0xffff'ffff'ffff, 0x0100'0000, 0x1e3);
    const virt_range keep[] = {virt_range::of(virt_addr::at(0xffff'ffff'8000'3000), 4_KiB)};
    const auto cloned = clone(world, keep, [](auto put) -> result<void> {
        for (const std::uint64_t page : {0x0ffd'5000u, 0x0ffd'7000u, 0x1000'0000u})
            if (const auto done = put(identity_mapping<paging_4level>(phys_range::of(phys_addr::at(page), 4_KiB)));
                !done)
                return done;
        return {};
    });
    REQUIRE(cloned);
    CHECK(cloned->tables == 7); // the root, two for the switch page; two above two page tables for the rest
    unsigned mapped = 0;
    for (std::uint64_t at = 0; at < 0x4000'0000; at += 0x1000)
        mapped += world.look(cloned->root.raw(), at).what == manual_walk::mapped;
    CHECK(mapped == 3);
}
