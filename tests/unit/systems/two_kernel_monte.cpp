// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/systems/two_kernel_monte.hpp>

#include <tests/catch.hpp>

using ::lobos::systems::two_kernel_monte;
using enum ::lobos::x86::entry_state;

TEST_CASE("Two Kernel Monte copies unpaged and leaves in real mode, or in 32-bit code", "[systems][two_kernel_monte]")
{
    STATIC_REQUIRE(two_kernel_monte::copy == ::lobos::copy_regime::unpaged);
    CHECK(two_kernel_monte::enters(real_16));
    CHECK(two_kernel_monte::enters(flat_32));
    for (const auto state : {as_running, paged_32, long_64})
        CHECK_FALSE(two_kernel_monte::enters(state));
}
