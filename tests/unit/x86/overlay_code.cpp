// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/overlay_code.hpp>

#include <tests/catch.hpp>

using namespace lobos::x86;

TEST_CASE("a machine without code has none of the pieces", "[x86][overlay_code]")
{
    const overlay_code none{};
    for (std::size_t i = 0; i < pieces; ++i)
        CHECK(none[static_cast<piece>(i)].empty());
}

TEST_CASE("each piece is found by its name", "[x86][overlay_code]")
{
    STATIC_REQUIRE(pieces == 13);
    STATIC_REQUIRE(static_cast<std::size_t>(piece::guard_64) == 12);
    std::byte bytes[pieces + 1] = {};
    overlay_code code{};
    for (std::size_t i = 0; i < pieces; ++i)
        code.parts[i] = std::span{bytes}.subspan(i, 1);
    std::size_t i = 0;
    for (const piece p :
        {piece::depart, piece::arrive, piece::copy, piece::copy_32, piece::down, piece::hub, piece::leave_flat,
            piece::up, piece::enter_long, piece::switch_long, piece::leave_long, piece::guard_32, piece::guard_64}) {
        CAPTURE(i);
        CHECK(code[p].data() == bytes + i);
        CHECK(code[p].size() == 1);
        ++i;
    }
    CHECK(i == pieces);
}

TEST_CASE("depart comes first and what falls through comes before what it falls into", "[x86][overlay_code]")
{
    // The departure goes to the first byte behind the head of the code page.
    CHECK(static_cast<unsigned>(piece::depart) == 0);
    // arch/x86/lobos/machine: both end where leave_long begins. Of the two an exec takes one, so one lies between.
    CHECK(static_cast<unsigned>(piece::switch_long) + 1 == static_cast<unsigned>(piece::leave_long));
    CHECK(static_cast<unsigned>(piece::enter_long) + 2 == static_cast<unsigned>(piece::leave_long));
}

TEST_CASE("a guard has 32 stubs of 5 bytes and the NMI's handler behind them", "[x86][overlay_code]")
{
    STATIC_REQUIRE(guard_stub_size == 5); // a call with a displacement of 32 bits
    STATIC_REQUIRE(guard_nmi == 160);
}
