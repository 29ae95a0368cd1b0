// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/sim/alpha_instruction_stream.hpp>

#include <tests/catch.hpp>

using namespace lobos::literals;

TEST_CASE("until the first barrier nothing that is in memory need be what is executed")
{
    lobos::sim::alpha_instruction_stream stream;
    CHECK(stream.may_be_stale(0x2000_pa));
    stream.wrote(0x2000_pa, 8);
    stream.barrier();
    CHECK_FALSE(stream.may_be_stale(0x2000_pa));
}

TEST_CASE("what was written since the last barrier may be executed as it was, and what lies beside it is what it is")
{
    lobos::sim::alpha_instruction_stream stream;
    stream.barrier();
    stream.wrote(0x3ffc_pa, 8); // across a page
    stream.wrote(0x1'0000'0008_pa, 1);
    CHECK_FALSE(stream.may_be_stale(0x3ff4_pa));
    CHECK(stream.may_be_stale(0x3ff8_pa)); // its quadword was written
    CHECK(stream.may_be_stale(0x3ffc_pa));
    CHECK(stream.may_be_stale(0x4004_pa));
    CHECK_FALSE(stream.may_be_stale(0x4008_pa));
    CHECK(stream.may_be_stale(0x1'0000'000c_pa));
    CHECK_FALSE(stream.may_be_stale(0x0000'000c_pa));
    stream.barrier();
    CHECK_FALSE(stream.may_be_stale(0x3ffc_pa));
    CHECK_FALSE(stream.may_be_stale(0x1'0000'000c_pa));
}
