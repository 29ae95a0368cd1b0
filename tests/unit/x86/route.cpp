// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/route.hpp>

#include <set>
#include <vector>

#include <tests/catch.hpp>

using namespace lobos;
using namespace lobos::x86;

namespace {

using enum piece;
using enum entry_state;

std::set<piece> pieces_of(const route& way)
{
    std::set<piece> taken;
    for (std::size_t i = 0; i < pieces; ++i)
        if (way.takes(static_cast<piece>(i)))
            taken.insert(static_cast<piece>(i));
    return taken;
}

struct way_case {
    entry_state state;
    copy_regime regime;
    bool from_long;
    bool same_tables;
    std::set<piece> expected; ///< beside depart and arrive
};

constexpr auto paged = copy_regime::paged;
constexpr auto unpaged = copy_regime::unpaged;

// The grid of the two choices, for kernels of both widths.
const std::vector<way_case> ways{
    {as_running, paged, false, true, {copy, leave_flat, guard_32}},
    {as_running, paged, true, true, {copy, leave_long, guard_64}},
    {flat_32, paged, false, false, {copy, down, hub, leave_flat, guard_32}},
    {flat_32, paged, true, false, {copy, down, hub, leave_flat, guard_32, guard_64}},
    {flat_32, unpaged, false, false, {copy_32, down, hub, leave_flat, guard_32}},
    {flat_32, unpaged, true, false, {copy_32, down, hub, leave_flat, guard_32, guard_64}},
    {paged_32, paged, false, true, {copy, down, hub, up, leave_flat, guard_32}},
    {paged_32, unpaged, true, false, {copy_32, down, hub, up, leave_flat, guard_32, guard_64}},
    {long_64, paged, true, true, {copy, switch_long, leave_long, guard_64}},
    {long_64, paged, true, false, {copy, down, hub, up, enter_long, leave_long, guard_32, guard_64}},
    {long_64, unpaged, true, true, {copy_32, down, hub, up, enter_long, leave_long, guard_32, guard_64}},
    {long_64, paged, false, false, {copy, down, hub, up, enter_long, leave_long, guard_32, guard_64}},
    {long_64, unpaged, false, false, {copy_32, down, hub, up, enter_long, leave_long, guard_32, guard_64}},
};

} // namespace

TEST_CASE("each way takes the pieces that it needs and no others", "[x86][route]")
{
    for (const way_case& w : ways) {
        CAPTURE(static_cast<int>(w.state), static_cast<int>(w.regime), w.from_long, w.same_tables);
        const auto way = route_to(w.state, w.regime, w.from_long, w.same_tables);
        REQUIRE(way);
        auto expected = w.expected;
        expected.insert({depart, arrive});
        CHECK(pieces_of(*way) == expected);
    }
}

TEST_CASE("what stays in the kernel's own mode is copied paged or not at all", "[x86][route]")
{
    for (const bool from_long : {false, true}) {
        const auto way = route_to(as_running, unpaged, from_long, true);
        REQUIRE(!way);
        CHECK(way.error() == fault{fault_code::unsupported, stage::mapping, 0});
    }
}

TEST_CASE("every way has a guard for each width of code on it", "[x86][route]")
{
    for (const entry_state state : {as_running, flat_32, paged_32, long_64, real_16})
        for (const copy_regime regime : {paged, unpaged})
            for (const bool from_long : {false, true})
                for (const bool same : {false, true}) {
                    const auto way = route_to(state, regime, from_long, same);
                    if (!way)
                        continue;
                    CAPTURE(static_cast<int>(state), static_cast<int>(regime), from_long, same);
                    const bool code_32 = !from_long || way->hub;
                    const bool code_64 = from_long || state == long_64;
                    CHECK(way->takes(guard_32) == code_32);
                    CHECK(way->takes(guard_64) == code_64);
                    CHECK(way->takes(copy) != way->takes(copy_32));
                    CHECK(way->takes(leave_flat) != way->takes(leave_long));
                    CHECK(way->entry_page() == (state == long_64));
                    CHECK((!way->up || way->hub));
                }
}
