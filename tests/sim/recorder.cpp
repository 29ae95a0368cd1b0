// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/sim/recorder.hpp>

#include <tests/catch.hpp>

using namespace lobos;
using namespace lobos::literals;
using sim::access_kind;

TEST_CASE("accesses that follow each other are one record, upwards and downwards, each kind by itself")
{
    sim::recorder r;
    for (std::uint64_t i = 0; i < 4; ++i) { // a copy
        r.note(access_kind::read, 0x1000 + 4 * i, phys_addr::at(0x1000 + 4 * i), 4);
        r.note(access_kind::write, 0x2010 - 4 * i, phys_addr::at(0x2010 - 4 * i), 4);
    }
    REQUIRE(r.accesses().size() == 2);
    CHECK(r.count() == 8);
    const auto& read = r.accesses()[0];
    CHECK(read.kind == access_kind::read);
    CHECK(read.range() == phys_range::of(0x1000_pa, 16_bytes));
    CHECK(read.first == 0);
    CHECK(read.last == 6);
    const auto& write = r.accesses()[1];
    CHECK(write.kind == access_kind::write);
    CHECK(write.address == 0x2004);
    CHECK(write.range() == phys_range::of(0x2004_pa, 16_bytes));
    CHECK(write.first == 1);
    CHECK(write.last == 7);
}

TEST_CASE("a gap, a repetition, and another physical page are new records")
{
    sim::recorder r;
    r.note(access_kind::write, 0x1ffc, 0x1ffc_pa, 4);
    r.note(access_kind::write, 0x2000, 0x9000_pa, 4); // next to it only by its linear address
    r.note(access_kind::write, 0x2000, 0x9000_pa, 4);
    r.note(access_kind::write, 0x2005, 0x9005_pa, 4);
    r.note(access_kind::write, 0x2009, 0x9009_pa, 0); // nothing
    CHECK(r.accesses().size() == 4);
    CHECK(r.bytes(access_kind::write) == 16);
    CHECK(r.bytes(access_kind::write, phys_range::of(0x9002_pa, 4_bytes)) == 5);
    CHECK(r.bytes(access_kind::read) == 0);
}

TEST_CASE("a test can ask what was touched first, and what lies outside")
{
    sim::recorder r;
    r.note(access_kind::read, 0x500, 0x500_pa, 8);
    r.note(access_kind::write, 0x1000, 0x1000_pa, 0x2000);
    r.note(access_kind::write, 0x5000, 0x5000_pa, 4);
    CHECK(r.first(access_kind::write, phys_range::of(0x5003_pa, 1_bytes))->first == 2);
    CHECK_FALSE(r.first(access_kind::write, phys_range::of(0x5004_pa, 1_KiB)));
    CHECK_FALSE(r.first(access_kind::fetch, phys_range::of(0_pa, 1_MiB)));

    const auto low = phys_range::between(0x1000_pa, 0x1fff_pa);
    const auto high = phys_range::between(0x2000_pa, 0x2fff_pa);
    const auto last = phys_range::between(0x5000_pa, 0x5003_pa);
    CHECK_FALSE(r.first_outside(access_kind::write, {last, high, low})); // they touch: no gap
    CHECK(r.first_outside(access_kind::write, {low, last})->physical == 0x1000_pa);
    CHECK(r.first_outside(access_kind::write, {low, high})->physical == 0x5000_pa);
    CHECK(r.first_outside(access_kind::write, {high, last})->physical == 0x1000_pa);
    CHECK(r.first_outside(access_kind::read, {})->size == 8);
    CHECK_FALSE(r.first_outside(access_kind::walk, {}));
}

TEST_CASE("a recorder can be turned off, and emptied")
{
    sim::recorder r;
    r.note(access_kind::read, 0, 0_pa, 4);
    r.on = false;
    r.note(access_kind::read, 4, 4_pa, 4);
    CHECK(r.count() == 1);
    r.on = true;
    r.clear();
    CHECK(r.accesses().empty());
    r.note(access_kind::read, 4, 4_pa, 4);
    CHECK(r.accesses().size() == 1);
    CHECK(r.accesses().front().first == 0);
}
