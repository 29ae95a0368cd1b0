// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/sim/alpha_instruction.hpp>

#include <tests/catch.hpp>

using namespace lobos::sim;

TEST_CASE("an instruction is taken apart by its format")
{
    constexpr alpha_instruction store{0xb55e'0008}; // stq s1, 8(sp)
    CHECK(store.opcode() == alpha_opcode::stq);
    CHECK(store.ra() == 10);
    CHECK(store.rb() == alpha_register::sp);
    CHECK(store.displacement() == 8);

    constexpr alpha_instruction high{0x27bb'8000}; // ldah gp, -32768(pv)
    CHECK(high.opcode() == alpha_opcode::ldah);
    CHECK(high.displacement() == 0xffff'ffff'ffff'8000);

    constexpr alpha_instruction add{0x4022'0403}; // addq t0, t1, t2
    CHECK(add.opcode() == alpha_opcode::arithmetic);
    CHECK_FALSE(add.has_literal());
    CHECK(add.ra() == 1);
    CHECK(add.rb() == 2);
    CHECK(add.rc() == 3);
    CHECK(add.function() == 0x20);

    constexpr alpha_instruction literal{0x403f'f403}; // addq t0, 255, t2
    CHECK(literal.has_literal());
    CHECK(literal.literal() == 255);
    CHECK(literal.function() == 0x20);

    CHECK(alpha_instruction{0xf43f'ffff}.opcode() == alpha_opcode::bne); // bne t0, to itself
    CHECK(alpha_instruction{0xf43f'ffff}.branch_displacement() == ~std::uint64_t{3});
    CHECK(alpha_instruction{0xe42f'ffff}.branch_displacement() == 0x3f'fffc); // the furthest
    CHECK(alpha_instruction{0xe430'0000}.branch_displacement() == ~std::uint64_t{0x3f'ffff});

    CHECK(alpha_instruction{0x0000'0086}.opcode() == alpha_opcode::call_pal); // imb
    CHECK(alpha_instruction{0x0000'0086}.pal_function() == 0x86);
    CHECK(alpha_instruction{0x6000'4400}.memory_function() == 0x4400); // wmb
}
