// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/sim/injection.hpp>

#include <tests/catch.hpp>

using namespace lobos::sim;
using enum glue_call;

TEST_CASE("the named requests fail, and only those")
{
    injection plan;
    CHECK_FALSE(plan.fails(allocate_page));
    plan.fail({1, 3});
    CHECK_FALSE(plan.fails(allocate_page));
    CHECK(plan.fails(allocate_workspace));
    CHECK_FALSE(plan.fails(allocate_page_at));
    CHECK(plan.fails(virtual_address));
    CHECK_FALSE(plan.fails(virtual_address));
    CHECK(plan.failed() == 2);
    CHECK(plan.calls().size() == 5);
    CHECK(plan.calls()[2] == allocate_page_at);
    CHECK(plan.count(virtual_address) == 2);

    plan.fail({});
    CHECK(plan.calls().empty());
    CHECK(plan.failed() == 0);
    CHECK_FALSE(plan.fails(allocate_page));
}

TEST_CASE("a kind of request fails until it is allowed again")
{
    injection plan;
    plan.fail_every(allocate_page_at);
    for (int i = 0; i < 3; ++i) {
        CHECK(plan.fails(allocate_page_at));
        CHECK_FALSE(plan.fails(allocate_page));
    }
    CHECK(plan.failed() == 3);
    plan.fail_every(allocate_page_at, false);
    CHECK_FALSE(plan.fails(allocate_page_at));
}
