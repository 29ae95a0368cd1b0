// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/exceptions.hpp>

#include <tests/catch.hpp>

using namespace lobos;

TEST_CASE("an x86's exceptions have the manual's names", "[x86][exceptions]")
{
    CHECK(x86::exceptions::name(0) == "divide error");
    CHECK(x86::exceptions::name(14) == "page fault");
    CHECK(x86::exceptions::name(21) == "control protection exception");
    for (const std::uint32_t nameless : {15u, 22u, 31u, 255u, ~0u})
        CHECK(x86::exceptions::name(nameless).empty());
    for (std::uint32_t vector = 0; vector < 32; ++vector)
        CHECK(x86::exceptions::has_address(vector) == (vector == 14));
}
