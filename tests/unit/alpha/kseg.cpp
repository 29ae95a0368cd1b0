// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/alpha/kseg.hpp>

#include <tests/catch.hpp>

using namespace lobos;
using namespace lobos::alpha;

TEST_CASE("memory and kseg are one to one", "[alpha][kseg]")
{
    for (const std::uint64_t p : {0ull, 1ull, 0x1'e000ull, 0x101'0000ull, 0x7'ffff'ffffull, 0xff'ffff'ffffull}) {
        CAPTURE(p);
        const auto v = to_kseg(phys_addr::at(p));
        REQUIRE(v);
        CHECK(v->raw() == (0xffff'fc00'0000'0000 | p));
        CHECK(from_kseg(*v) == phys_addr::at(p));
    }
}

TEST_CASE("what is no memory in kseg has no other side", "[alpha][kseg]")
{
    for (const std::uint64_t p : {0x100'0000'0000ull, 0x801'fc00'03f8ull, ~0ull}) {
        CAPTURE(p);
        CHECK_FALSE(to_kseg(phys_addr::at(p)));
    }
    for (const std::uint64_t v : {0ull, 0x1000'0000ull, 0xffff'fbff'ffff'ffffull, 0xffff'fd00'0000'0000ull,
             0xffff'fdff'ffff'ffffull, 0xffff'fe00'0000'0000ull, ~0ull}) {
        CAPTURE(v);
        CHECK_FALSE(from_kseg(virt_addr::at(v)));
    }
}
