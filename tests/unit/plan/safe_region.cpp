// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/plan/safe_region.hpp>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include <tests/catch.hpp>

using namespace lobos;

namespace {

constexpr safe_role roles[] = {safe_role::code, safe_role::stack, safe_role::frame, safe_role::mode,
    safe_role::page_table, safe_role::plan, safe_role::bounce, safe_role::parameters, safe_role::log};

constexpr phys_range page(unsigned i)
{
    return phys_range::of(phys_addr::at(0x1000u * i), 4_KiB);
}

std::vector<safe_region> of(const safe_region_list& list)
{
    return {list.regions().begin(), list.regions().end()};
}

} // namespace

TEST_CASE("every role has a name of its own", "[plan][safe_region]")
{
    std::set<std::string> names;
    for (const safe_role role : roles)
        names.emplace(to_string(role));
    CHECK(names.size() == std::size(roles));
    CHECK(names.count("unknown") == 0);
    CHECK(to_string(static_cast<safe_role>(std::size(roles))) == "unknown");
    CHECK(to_string(safe_role::code) == "overlay code");
}

TEST_CASE("the overlay touches what it runs, and not what others read", "[plan][safe_region]")
{
    for (const safe_role role : roles) {
        CAPTURE(to_string(role));
        const bool for_others = role == safe_role::mode || role == safe_role::page_table ||
            role == safe_role::parameters || role == safe_role::log;
        CHECK(overlay_touches(role) == !for_others);
    }
}

TEST_CASE("regions are kept in the order in which they came", "[plan][safe_region]")
{
    safe_region storage[8];
    safe_region_list list{storage};
    CHECK(list.regions().empty());
    REQUIRE(list.add(page(5), safe_role::code));
    REQUIRE(list.add(page(2), safe_role::stack));
    REQUIRE(list.add(page(9), safe_role::plan));
    CHECK(of(list) ==
        std::vector<safe_region>{{page(5), safe_role::code}, {page(2), safe_role::stack}, {page(9), safe_role::plan}});
}

TEST_CASE("a neighbour of one role that follows makes the last region grow", "[plan][safe_region]")
{
    safe_region storage[8];
    safe_region_list list{storage};
    REQUIRE(list.add(page(5), safe_role::plan));
    REQUIRE(list.add(page(6), safe_role::plan));
    REQUIRE(list.add(phys_range::of(0x7000_pa, 1_bytes), safe_role::plan));
    CHECK(of(list) == std::vector<safe_region>{{phys_range::of(0x5000_pa, 0x2001_bytes), safe_role::plan}});

    // Not one with a gap, not one in front, not one of another role, not one behind an earlier region.
    REQUIRE(list.add(phys_range::of(0x7002_pa, 1_bytes), safe_role::plan));
    REQUIRE(list.add(phys_range::of(0x7000_pa, 1_bytes), safe_role::plan));
    REQUIRE(list.add(phys_range::of(0x7001_pa, 1_bytes), safe_role::bounce));
    REQUIRE(list.add(phys_range::of(0x7003_pa, 1_bytes), safe_role::plan));
    CHECK(list.regions().size() == 5);
    CHECK(list.regions()[0].range == phys_range::of(0x5000_pa, 0x2001_bytes));
}

TEST_CASE("a region that ends with the address space has none behind it", "[plan][safe_region]")
{
    safe_region storage[2];
    safe_region_list list{storage};
    REQUIRE(list.add(phys_range::of(phys_addr::at(~std::uint64_t{0} - 4095), 4_KiB), safe_role::log));
    REQUIRE(list.add(page(0), safe_role::log));
    CHECK(list.regions().size() == 2);
}

TEST_CASE("a full list says so, stays as it was, and can still grow at its end", "[plan][safe_region]")
{
    safe_region storage[2];
    safe_region_list list{storage};
    REQUIRE(list.add(page(1), safe_role::code));
    REQUIRE(list.add(page(3), safe_role::plan));
    const auto before = of(list);
    CHECK(list.add(page(5), safe_role::plan) == refuse(fault_code::no_space, stage::staging, std::uint64_t{3}));
    CHECK(of(list) == before);
    CHECK(list.add(page(4), safe_role::plan));
    CHECK(of(list)[1] == safe_region{phys_range::of(0x3000_pa, 8_KiB), safe_role::plan});

    safe_region_list none;
    CHECK(none.add(page(1), safe_role::code) == refuse(fault_code::no_space, stage::staging, std::uint64_t{1}));
    CHECK(none.regions().empty());
}

TEST_CASE("what stays as it was staged is all that nobody writes on the way", "[plan][safe_region]")
{
    using enum safe_role;
    for (const safe_role role : {code, frame, mode, page_table, plan})
        CHECK(stays_as_staged(role));
    for (const safe_role role : {stack, bounce, parameters, log})
        CHECK_FALSE(stays_as_staged(role));
}
