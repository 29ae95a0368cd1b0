// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/sim/state_hash.hpp>

#include <array>

#include <tests/catch.hpp>

using lobos::sim::state_hash;

TEST_CASE("the hash is FNV-1a")
{
    constexpr std::array<std::byte, 1> a = {std::byte{'a'}};
    state_hash hash;
    CHECK(hash.value() == 0xcbf2'9ce4'8422'2325);
    hash.add(a);
    CHECK(hash.value() == 0xaf63'dc4c'8601'ec8c);
}

TEST_CASE("order, value and number of what is added count")
{
    const auto of = [](auto... values) {
        state_hash hash;
        (hash.add(values), ...);
        return hash.value();
    };
    CHECK(of(1, 2) == of(1, 2));
    CHECK(of(1, 2) != of(2, 1));
    CHECK(of(0) != of(0, 0));
    CHECK(of(std::uint64_t{1} << 63) != of(0));
    CHECK(of(std::uint8_t{7}) == of(std::uint64_t{7}));
}
