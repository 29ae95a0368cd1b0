// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/plan/program.hpp>

#include <type_traits>

#include <tests/catch.hpp>

using namespace lobos;

namespace {

// The layout is an interface between kernels of different compilers and word sizes: concrete numbers.
static_assert(sizeof(stored_step) == 24);
static_assert(offsetof(stored_step, distance) == 0);
static_assert(offsetof(stored_step, source) == 8);
static_assert(offsetof(stored_step, size) == 16);

static_assert(sizeof(plan_page) == 4096);
static_assert(offsetof(plan_page, next) == 0);
static_assert(offsetof(plan_page, count) == 8);
static_assert(offsetof(plan_page, steps) == 16);
static_assert(sizeof(plan_page::steps) / sizeof(stored_step) == plan_page::capacity);
static_assert(sizeof(plan_page) - sizeof(plan_page::steps) - 16 < sizeof(stored_step)); // no step more would fit

static_assert(sizeof(skip_range) == 16);
static_assert(offsetof(skip_range, first) == 0);
static_assert(offsetof(skip_range, last) == 8);

static_assert(sizeof(breadcrumb) == 56);
static_assert(offsetof(breadcrumb, stage) == 0);
static_assert(offsetof(breadcrumb, ticks_per_ms) == 4);
static_assert(offsetof(breadcrumb, steps) == 8);
static_assert(offsetof(breadcrumb, began) == 16);
static_assert(offsetof(breadcrumb, ended) == 24);
static_assert(offsetof(breadcrumb, exception) == 32);
static_assert(offsetof(breadcrumb, error) == 36);
static_assert(offsetof(breadcrumb, at) == 40);
static_assert(offsetof(breadcrumb, touched) == 48);

static_assert(offsetof(overlay_program, first_page) == 0);
static_assert(offsetof(overlay_program, trail) == 8);
static_assert(offsetof(overlay_program, skip_count) == 16);
static_assert(offsetof(overlay_program, skips) == 24);
static_assert(offsetof(overlay_program, untold) == 24 + overlay_program::max_skips * sizeof(skip_range));
static_assert(sizeof(overlay_program) == offsetof(overlay_program, untold) + sizeof(breadcrumb));

static_assert(std::is_trivially_copyable_v<plan_page> && std::is_standard_layout_v<plan_page>);
static_assert(std::is_trivially_copyable_v<overlay_program> && std::is_standard_layout_v<overlay_program>);
static_assert(std::is_trivially_copyable_v<breadcrumb> && std::is_standard_layout_v<breadcrumb>);

} // namespace

TEST_CASE("a step fills when it would copy its destination onto itself", "[overlay][program]")
{
    STATIC_REQUIRE(overlay_step::fill(1, 2) == overlay_step{1, 1, 2});
    STATIC_REQUIRE(overlay_step::fill(1, 2).fills());
    STATIC_REQUIRE_FALSE(overlay_step{1, 0, 2}.fills());
    STATIC_REQUIRE_FALSE(overlay_step{1, no_source, 2}.fills());
    STATIC_REQUIRE(overlay_step{1, 2, 3} == overlay_step{1, 2, 3});
    STATIC_REQUIRE_FALSE(overlay_step{1, 2, 3} == overlay_step{1, 2, 4});
}

TEST_CASE("a step is stored by its distance, round the address space", "[overlay][program]")
{
    STATIC_REQUIRE(stored_step::of({0x5000, 0x1000, 8}).distance == 0x4000);
    STATIC_REQUIRE(stored_step::of({0x1000, 0x5000, 8}).distance == ~std::uint64_t{0x3fff});
    STATIC_REQUIRE(stored_step::of(overlay_step::fill(0x1000, 8)).distance == 0);
    for (const overlay_step s : {overlay_step{0x5000, 0x1000, 8}, overlay_step{0x1000, 0x5000, 8},
             overlay_step::fill(0x1000, 8), overlay_step{0, ~std::uint64_t{0}, 1}})
        CHECK(stored_step::of(s).step() == s);
}

TEST_CASE("what says none can be no address of a page or a breadcrumb", "[overlay][program]")
{
    STATIC_REQUIRE(plan_page::no_page % sizeof(plan_page) != 0);
    STATIC_REQUIRE(overlay_program::no_trail > ~std::uint64_t{0} - sizeof(breadcrumb));
}

TEST_CASE("the numbers of the stages are fixed", "[overlay][program]")
{
    STATIC_REQUIRE(static_cast<std::uint32_t>(overlay_stage::prepared) == 1);
    STATIC_REQUIRE(static_cast<std::uint32_t>(overlay_stage::copying) == 2);
    STATIC_REQUIRE(static_cast<std::uint32_t>(overlay_stage::copied) == 3);
}

TEST_CASE("a clock of 32 bits may wrap while the copy runs", "[overlay][program]")
{
    breadcrumb crumb{};
    crumb.began = 0x1'0000'0005;
    crumb.ended = 0x2'0000'0009;
    CHECK(crumb.copy_ticks() == 0x1'0000'0004);
    crumb.began = 0xffff'fff0;
    crumb.ended = 0x10;
    CHECK(crumb.copy_ticks() == 0x20);
}
