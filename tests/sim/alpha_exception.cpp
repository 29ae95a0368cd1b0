// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/sim/alpha_exception.hpp>

#include <tests/catch.hpp>

using namespace lobos::sim;

TEST_CASE("an exception says what the kernel is told, and where it was")
{
    const auto fault = alpha_exception::memory(0x1234, alpha_fault::fault_on_execute, alpha_exception::by_fetch);
    CHECK(fault.entry == alpha_entry::memory);
    CHECK(fault.a0 == 0x1234);
    CHECK(fault.a1 == 3);
    CHECK(fault.a2 == ~std::uint64_t{0});
    CHECK_FALSE(fault.behind); // the instruction can be tried again

    const auto odd = alpha_exception::unaligned(0x1001, 0x29, 5);
    CHECK(odd.entry == alpha_entry::unaligned);
    CHECK(odd.a1 == 0x29);
    CHECK(odd.a2 == 5);
    CHECK(odd.behind);

    const auto illegal = alpha_exception::instruction(alpha_exception::no_instruction);
    CHECK(illegal.entry == alpha_entry::instruction);
    CHECK(illegal.a0 == 4);

    const auto check = alpha_exception::machine_check(0x660, 0xffff'fc00'0000'6000);
    CHECK(check.entry == alpha_entry::interrupt);
    CHECK(check.a0 == 2);
    CHECK(check.level == 7);
    CHECK(check.not_masked);
    CHECK_FALSE(alpha_exception::clock().not_masked);
    CHECK(alpha_exception::device(3, 0x800).level == 3);
}
