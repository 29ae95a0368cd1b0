// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/systems/bootimg.hpp>

#include <tests/catch.hpp>

using ::lobos::systems::bootimg;
using enum ::lobos::x86::entry_state;

TEST_CASE("bootimg copies unpaged and enters 32-bit code", "[systems][bootimg]")
{
    STATIC_REQUIRE(bootimg::copy == ::lobos::copy_regime::unpaged);
    CHECK(bootimg::enters(flat_32));
    for (const auto state : {as_running, paged_32, long_64, real_16})
        CHECK_FALSE(bootimg::enters(state));
}
