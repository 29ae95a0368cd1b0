// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/glue/workspace.hpp>
#include <lobos/sim/x86_kernel.hpp>

#include <tests/catch.hpp>
#include <tests/contract.hpp>

using namespace lobos;
using namespace lobos::literals;

TEST_CASE("a workspace is carved into arrays that do not touch each other, and given back once")
{
    sim::x86_kernel k{2_MiB};
    {
        workspace<sim::x86_kernel> w{k};
        CHECK(k.workspaces_taken() == 0);
        REQUIRE(w.borrow(3 * sizeof(region) + 5 * sizeof(std::uint32_t)));
        CHECK(k.workspaces_taken() == 1);
        const auto regions = w.carve<region>(3);
        const auto numbers = w.carve<std::uint32_t>(5);
        REQUIRE(regions.size() == 3);
        REQUIRE(numbers.size() == 5);
        CHECK(static_cast<void*>(regions.data() + 3) == static_cast<void*>(numbers.data()));
        CHECK(regions[2] == region{}); // elements are made, not just declared
        CHECK_THROWS_AS(w.carve<std::uint32_t>(1), contract_error);
        CHECK(w.carve<std::uint32_t>(0).empty());
        CHECK_THROWS_AS(w.borrow(8).has_value(), contract_error);

        workspace<sim::x86_kernel> other{std::move(w)};
        CHECK(k.workspaces_taken() == 1);
    }
    CHECK(k.workspaces_taken() == 0);
}

TEST_CASE("what would lie askew is not carved")
{
    sim::x86_kernel k{2_MiB};
    workspace<sim::x86_kernel> w{k};
    REQUIRE(w.borrow(64));
    CHECK(w.carve<std::uint8_t>(3).size() == 3);
    CHECK_THROWS_AS(w.carve<std::uint32_t>(1), contract_error);
}

TEST_CASE("a kernel that has no workspace says so, with the number of bytes")
{
    sim::x86_kernel k{2_MiB};
    k.fail_request(0);
    workspace<sim::x86_kernel> w{k};
    CHECK(w.borrow(4711).error() == fault{fault_code::no_memory, stage::planning, 4711});
    CHECK(w.borrow(4711)); // nothing was borrowed, so it may be tried again
}
