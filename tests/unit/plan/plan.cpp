// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/plan/plan.hpp>

#include <utility>

#include <tests/catch.hpp>
#include <tests/support/byte_memory.hpp>
#include <tests/support/overlay_memory.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

constexpr std::uint64_t pages[] = {0x3000, 0x1000, 0x2000};

/// Step `i`, recognisable.
constexpr overlay_step numbered(std::uint64_t i)
{
    return {i, i * 3 + 1, i * 5 + 2};
}

struct chain {
    byte_memory memory{0x4000};
    std::vector<overlay_step> steps;
    std::vector<overlay_step> seen;
    std::uint64_t first = plan_page::no_page;

    chain(std::size_t count, std::size_t per_page)
    {
        for (std::size_t i = 0; i < count; ++i)
            steps.push_back(numbered(i));
        first = put_steps(memory, steps, pages, per_page);
    }
    result<void> visit(std::size_t most_pages)
    {
        seen.clear();
        return for_each_step(memory, first, most_pages, [&](const overlay_step& s, std::uint64_t time) -> result<void> {
            CHECK(time == seen.size());
            seen.push_back(s);
            return {};
        });
    }
};

fault bad(std::uint64_t page)
{
    return {fault_code::bad_range, stage::verifying, page};
}

} // namespace

TEST_CASE("the steps of a chain are visited in their order", "[plan]")
{
    const auto [count, per_page] = GENERATE(values<std::pair<std::size_t, std::size_t>>(
        {{0, 1}, {1, 1}, {3, 1}, {5, 2}, {170, 170}, {171, 170}, {510, 170}}));
    CAPTURE(count, per_page);
    chain c{count, per_page};
    REQUIRE(c.visit(3));
    CHECK((c.seen == c.steps));
}

TEST_CASE("a page without steps is passed by", "[plan]")
{
    chain c{3, 1};
    store(c.memory, phys_addr::at(pages[1] + 8), std::uint64_t{0});
    REQUIRE(c.visit(3));
    CHECK((c.seen == std::vector{numbered(0), numbered(2)}));
}

TEST_CASE("a page holds no more steps than fit in it", "[plan]")
{
    chain c{3, 1};
    store(c.memory, phys_addr::at(pages[1] + 8), std::uint64_t{plan_page::capacity});
    CHECK(c.visit(3));
    CHECK(c.seen.size() == plan_page::capacity + 2);
    for (const std::uint64_t count : {std::uint64_t{plan_page::capacity + 1}, ~std::uint64_t{0}}) {
        store(c.memory, phys_addr::at(pages[1] + 8), count);
        CHECK(fault_of(c.visit(3)) == bad(pages[1]));
        CHECK(c.seen.size() == 1);
    }
}

TEST_CASE("a chain longer than it may be ends with a fault", "[plan]")
{
    chain c{3, 1};
    CHECK(fault_of(c.visit(2)) == bad(pages[2]));
    CHECK(c.seen.size() == 2);
    CHECK(fault_of(c.visit(0)) == bad(pages[0]));
    store(c.memory, phys_addr::at(pages[2]), pages[1]); // in a circle
    CHECK(fault_of(c.visit(100)) == bad(pages[2]));
    CHECK(c.seen.size() == 100);
    CHECK(chain{0, 1}.visit(0));
}

TEST_CASE("a page that leaves the address space is not read", "[plan]")
{
    for (const std::uint64_t page : {~0ull - 1, ~0ull - 8, ~0ull - 4094}) {
        chain c{3, 1};
        store(c.memory, phys_addr::at(pages[1]), page);
        CHECK(fault_of(c.visit(3)) == bad(page));
        CHECK(c.seen.size() == 2);
        c.first = page;
        CHECK(fault_of(c.visit(3)) == bad(page));
    }
}

TEST_CASE("the visitor's fault ends the visit", "[plan]")
{
    chain c{5, 2};
    int visits = 0;
    const auto stopped = for_each_step(c.memory, c.first, 3, [&](const overlay_step& s, std::uint64_t) -> result<void> {
        ++visits;
        if (s == numbered(3))
            return refuse(fault_code::step_not_in_image, stage::verifying, s.destination);
        return {};
    });
    CHECK(fault_of(stopped) == fault{fault_code::step_not_in_image, stage::verifying, 3});
    CHECK(visits == 4);
}
