// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/core/fixed_list.hpp>

#include <algorithm>
#include <utility>

#include <lobos/core/range.hpp>

#include <tests/catch.hpp>
#include <tests/contract.hpp>

using namespace lobos;

namespace {

static_assert(!std::is_default_constructible_v<phys_range>, "the point of the next test");
using ranges = fixed_list<phys_range, 3>;
static_assert(ranges::capacity() == 3 && std::is_trivially_copyable_v<ranges>);

template <class T>
concept can_hold = requires { sizeof(fixed_list<T, 1>); };

bool filling()
{
    ranges list;
    if (!list.empty() || list.size() != 0 || list.begin() != list.end())
        return false;
    for (unsigned i = 0; i < 3; ++i)
        if (!list.push_back(phys_range::of(phys_addr::at(i * 16), 16_bytes)) || list.size() != i + 1)
            return false;
    const ranges full = list;
    if (list.push_back(phys_range::of(0x1000_pa, 1_bytes)) || list.size() != 3 || list.empty())
        return false;
    return std::equal(list.begin(), list.end(), full.begin(), full.end()) && list[0].first() == 0_pa &&
        list[2].first() == 0x20_pa && list.data() == list.begin();
}

} // namespace

TEST_CASE("a fixed list takes what fits and says when it is full", "[core][fixed_list]")
{
    CHECK(filling());
}

TEST_CASE("a fixed list of plain numbers works in constant expressions", "[core][fixed_list]")
{
    constexpr auto sum = [] {
        fixed_list<int, 2> list;
        int total = 0;
        for (const int i : {1, 2, 4})
            if (list.push_back(i))
                total += list[list.size() - 1];
        return total;
    };
    STATIC_REQUIRE(sum() == 3);
    CHECK(sum() == 3);
}

TEST_CASE("a fixed list is a span of its elements, and its copies are its own", "[core][fixed_list]")
{
    fixed_list<int, 4> list;
    REQUIRE(list.push_back(1));
    REQUIRE(list.push_back(2));
    fixed_list<int, 4> copy = list;
    copy[0] = 7;
    REQUIRE(copy.push_back(3));
    const std::span<const int> seen = list;
    CHECK(seen.size() == 2);
    CHECK(seen[0] == 1);
    CHECK(copy.size() == 3);
    CHECK(copy[0] == 7);
    list = copy;
    CHECK(list.size() == 3);
    CHECK(list[2] == 3);
}

TEST_CASE("an index past the end is a broken contract", "[core][fixed_list]")
{
    fixed_list<int, 2> list;
    CHECK_THROWS_AS(list[0], contract_error);
    REQUIRE(list.push_back(1));
    CHECK(list[0] == 1);
    CHECK_THROWS_AS(list[1], contract_error);
    CHECK_THROWS_AS(std::as_const(list)[2], contract_error);
}
