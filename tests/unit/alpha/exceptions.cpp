// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/alpha/exceptions.hpp>

#include <tests/catch.hpp>

using namespace lobos;

TEST_CASE("an Alpha's entries have names, and two of them an address", "[alpha][exceptions]")
{
    CHECK(alpha::exceptions::name(0) == "interrupt");
    CHECK(alpha::exceptions::name(2) == "memory management fault");
    CHECK(alpha::exceptions::name(5) == "system call");
    for (const std::uint32_t nameless : {6u, 31u, ~0u})
        CHECK(alpha::exceptions::name(nameless).empty());
    for (std::uint32_t entry = 0; entry < 8; ++entry)
        CHECK(alpha::exceptions::has_address(entry) == (entry == 2 || entry == 4));
}
