// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/systems/lobos.hpp>

#include <tests/catch.hpp>

using composed = ::lobos::systems::lobos;
using enum ::lobos::x86::entry_state;

TEST_CASE("LOBOS keeps virtual memory on and calls no BIOS", "[systems][lobos]")
{
    STATIC_REQUIRE(composed::copy == ::lobos::copy_regime::paged);
    for (const auto state : {as_running, flat_32, paged_32, long_64})
        CHECK(composed::enters(state));
    CHECK_FALSE(composed::enters(real_16));
}
