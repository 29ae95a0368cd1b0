// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// What is Alpha's own. What every mode of paging has to do, tests/unit/paging asks of this one too.
#include <lobos/alpha/paging_8k.hpp>

#include <tests/support/paging_modes.hpp>

using namespace lobos;
using namespace lobos::test;
using alpha::paging_8k;

namespace {

using leaf = alpha::page_entry<0>;

/// What the walk says of address 0, whose last entry has these bits, and the others these.
result<translation<paging_8k>> asked(std::uint64_t bits, std::uint64_t above = 0x101)
{
    table_world<paging_8k> world;
    world.put(world.table_for(0, 0, above), 0, 0, bits);
    return world.ask(0);
}

} // namespace

TEST_CASE("what faults on a write is not written to", "[alpha][paging]")
{
    CHECK(asked(0x1101)->rights == lobos::access::read_write);
    CHECK(asked(0x1105)->rights == lobos::access::read_only);
    CHECK(asked(0x0101)->rights == lobos::access::read_only);
    CHECK(asked(0x2101)->rights == lobos::access::read_only); // the user's right is not the kernel's
}

TEST_CASE("what faults on a read is there, and what the kernel may not read is not", "[alpha][paging]")
{
    const fault nothing{fault_code::not_mapped, stage::mapping, 0};
    CHECK(asked(0x1103)->rights == lobos::access::read_write);
    CHECK(fault_of(asked(0x1001)) == nothing);
    CHECK(fault_of(asked(0x3201)) == nothing);
    CHECK(fault_of(asked(0x1101, 0x001)) == nothing);
    CHECK(fault_of(asked(0x1101, 0x200)) == nothing);
    CHECK(leaf{0x7'0000'1103}.kept(lobos::access::read_write, true).bits == 0x7'0000'1101);
}

TEST_CASE("entries above the last have no rights to give", "[alpha][paging]")
{
    for (const std::uint64_t above : {0x101u, 0x1101u, 0x10fu}) {
        CAPTURE(above);
        const auto found = asked(0x1101, above);
        REQUIRE(found);
        CHECK(found->rights == lobos::access::read_write);
        CHECK(found->executable);
    }
    CHECK_FALSE(asked(0x1109)->executable);
}

TEST_CASE("a clone keeps nothing of what needs no tables", "[alpha][paging]")
{
    byte_memory memory{4 * 0x2000};
    const virt_range keep[] = {virt_range::of(virt_addr::at(0xffff'fc00'0101'0000), 8_KiB),
        virt_range::of(virt_addr::at(0xffff'fc00'0000'0000), 1_bytes)};
    std::size_t taken = 0;
    const auto frames = [&]() -> result<phys_addr> { return phys_addr::at(0x2000 * ++taken); };
    const auto none = [](auto) -> result<void> { return {}; };
    const auto made = clone_page_tables<paging_8k>(memory, 0_pa, keep, none, frames);
    REQUIRE(made);
    made->flush.done_by_loading_the_root();
    CHECK(made->tables == 1);
    for (std::uint64_t at = 0x2000; at < 0x4000; at += 8)
        REQUIRE(load<std::uint64_t>(memory, phys_addr::at(at)) == 0);
}

TEST_CASE("hints and address spaces do not outlive their tables", "[alpha][paging]")
{
    for (unsigned bit = 4; bit < 32; ++bit) {
        if (bit == 8)
            continue; // KRE
        CAPTURE(bit);
        const leaf noted{0x5'0000'0101 | std::uint64_t{1} << bit};
        CHECK(noted.kept(lobos::access::read_only, true).bits == 0x5'0000'0101);
    }
}

TEST_CASE("seg0 and seg1 have translations in tables, kseg is memory whatever they say", "[alpha][paging]")
{
    byte_memory memory{3 * 0x2000};
    const auto put = [&](std::uint64_t at, std::uint64_t bits) { store(memory, phys_addr::at(at), bits); };
    for (const std::uint64_t root_index : {0u, 511u, 512u, 639u, 640u, 767u, 768u, 1023u}) {
        put(root_index * 8, 0x1'0000'1101); // to the table at 0x2000
        put(0x2000 + 8, 0x2'0000'1101);     // to the one at 0x4000
        put(0x4000 + 16, 0x77'0000'1101);
        const std::uint64_t sign = root_index >= 512 ? 0xffff'f800'0000'0000 : 0;
        const virt_addr v = virt_addr::at(sign | root_index << 33 | 1u << 23 | 2u << 13 | 5u);
        const auto found = walk<paging_8k>(memory, 0_pa, v);
        CAPTURE(root_index);
        if (root_index >= 640 && root_index < 768) {
            CHECK(fault_of(found) == fault{fault_code::not_mapped, stage::mapping, v.raw()}); // its I/O half
        } else if (root_index >= 512 && root_index < 640) {
            REQUIRE(found);
            CHECK(found->physical == phys_addr::at(v.raw() & 0xff'ffff'ffff));
            CHECK(found->level == 3);
            CHECK(found->rights == access::read_write);
            CHECK(found->executable);
        } else {
            REQUIRE(found);
            CHECK(found->physical == phys_addr::at(0x77 * 0x2000 + 5));
        }
        put(root_index * 8, 0);
    }
}
