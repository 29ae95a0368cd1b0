// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/alpha/departure.hpp>

#include <array>

#include <tests/catch.hpp>

using namespace lobos;
using namespace lobos::alpha;

TEST_CASE("pieces follow each other on multiples of 16, behind what comes first", "[alpha][departure]")
{
    constexpr std::array<std::byte, 64> some{};
    const auto bytes = std::span{some};
    const overlay_code code{{bytes.first(20), bytes.first(16), bytes.first(4), bytes.first(60)}};
    CHECK(code[piece::copy].size() == 16);
    const std::size_t wanted[] = {16, 48, 64, 80, 144};
    for (std::size_t p = 0; p <= pieces; ++p) {
        CAPTURE(p);
        CHECK(code.place(p, 16_bytes) == byte_count::of(wanted[p]));
        CHECK(code.place(p, 1_bytes) == byte_count::of(wanted[p]));
    }
    CHECK(code.place(0, byte_count{}) == byte_count{});
    CHECK(overlay_code{}.place(pieces, 16_bytes) == 16_bytes);
}
