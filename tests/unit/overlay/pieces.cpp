// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/overlay/pieces.hpp>

#include <algorithm>
#include <array>

#include <tests/catch.hpp>

LOBOS_OVERLAY_PIECE(lobos_test_piece, ".byte 1, 2, 3");
LOBOS_OVERLAY_PIECE(lobos_test_branches, ".byte 4\n1:\n\t.byte 5, 1b - lobos_test_branches\n");

namespace {

/// In the loop's place: this program has no other.
[[LOBOS_OVERLAY_CODE]] int in_the_place_of_the_loop(int a)
{
    return a + 1;
}

std::uintptr_t number(const void* at)
{
    return reinterpret_cast<std::uintptr_t>(at);
}

} // namespace

TEST_CASE("a piece is what lies between its symbols", "[overlay]")
{
    CHECK(std::ranges::equal(
        LOBOS_OVERLAY_BYTES(lobos_test_piece), std::array{std::byte{1}, std::byte{2}, std::byte{3}}));
    CHECK(std::ranges::equal(
        LOBOS_OVERLAY_BYTES(lobos_test_branches), std::array{std::byte{4}, std::byte{5}, std::byte{1}}));
}

TEST_CASE("what is compiled for the overlay lies in the loop's section", "[overlay]")
{
    CHECK(in_the_place_of_the_loop(6) == 7);
    const auto loop = lobos::overlay::copy_loop_bytes();
    CHECK(!loop.empty());
    const auto at = number(reinterpret_cast<const void*>(in_the_place_of_the_loop));
    CHECK(number(loop.data()) <= at);
    CHECK(at < number(loop.data() + loop.size()));
}
