// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/sim/machine_error.hpp>

#include <tests/catch.hpp>

using namespace lobos::sim;

TEST_CASE("an error of the machine says what, where, and which exception")
{
    const machine_error plain{"executes what is no code", 0x1234};
    CHECK(std::string{plain.what()} == "executes what is no code at 0x1234");
    CHECK(plain.address() == 0x1234);
    CHECK_FALSE(plain.code());

    const machine_error exception{"page fault: write to a read-only page", 0xc000'0000, {14, 3}};
    CHECK(std::string{exception.what()} ==
        "page fault: write to a read-only page at 0xc0000000 (vector 14, error code 0x3)");
    CHECK(exception.code() == exception_code{14, 3});
}
