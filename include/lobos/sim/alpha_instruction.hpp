// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// An instruction of an Alpha taken apart: 32 bits, of which the upper six say which of the five formats the rest has
/// [alpha/arm §3.3].
///
///      31  26 25  21 20  16 15  13 12 11      5 4    0
///     +------+------+------+------+--+---------+------+
///     | code |  ra  |  rb  |      | 0| function|  rc  |   operate
///     | code |  ra  |   literal   | 1| function|  rc  |   operate, with a literal in place of rb
///     | code |  ra  |  rb  |      displacement        |   memory, and with a function or a hint in its place
///     | code |  ra  |          displacement           |   branch, in instructions
///     | code |               function                 |   call of the PALcode
///     +------+------+------+------+--+---------+------+

#include <cstdint>

namespace lobos::sim {

/// The first six bits, as far as integer code has them [alpha/arm §C.1].
enum class alpha_opcode : std::uint8_t {
    call_pal = 0x00,
    lda = 0x08,
    ldah,
    ldbu,
    ldq_u,
    ldwu,
    stw,
    stb,
    stq_u,
    arithmetic, ///< additions and comparisons
    logical,    ///< and conditional moves
    shift,      ///< and all that is done to bytes
    multiply,
    miscellaneous = 0x18,
    jump = 0x1a,
    extension = 0x1c, ///< of later processors: bytes' signs, counts, vectors
    ldl = 0x28,
    ldq,
    stl = 0x2c,
    stq,
    br = 0x30,
    bsr = 0x34,
    blbc = 0x38,
    beq,
    blt,
    ble,
    blbs,
    bne,
    bge,
    bgt,
};

struct alpha_instruction {
    std::uint32_t word = 0;

    constexpr alpha_opcode opcode() const { return static_cast<alpha_opcode>(word >> 26); }
    constexpr unsigned ra() const { return word >> 21 & 31; }
    constexpr unsigned rb() const { return word >> 16 & 31; }

    // Of operate instructions.
    constexpr unsigned rc() const { return word & 31; }
    constexpr unsigned function() const { return word >> 5 & 0x7f; }
    constexpr bool has_literal() const { return (word >> 12 & 1) != 0; }
    constexpr std::uint64_t literal() const { return word >> 13 & 0xff; }

    // Of the others.
    constexpr std::uint64_t displacement() const { return extended(word & 0xffff, 16); }               ///< in bytes
    constexpr std::uint64_t branch_displacement() const { return extended(word & 0x1f'ffff, 21) * 4; } ///< in bytes
    constexpr std::uint32_t memory_function() const { return word & 0xffff; }
    constexpr std::uint32_t pal_function() const { return word & 0x3ff'ffff; }

    /// The lowest `bits` of a number that has no others, with their sign.
    static constexpr std::uint64_t extended(std::uint64_t number, unsigned bits)
    {
        const std::uint64_t sign = std::uint64_t{1} << (bits - 1);
        return (number ^ sign) - sign;
    }
};

/// The numbers of registers that have a meaning to the PALcode or to callers.
struct alpha_register {
    static constexpr unsigned v0 = 0, t0 = 1, a0 = 16, a1 = 17, a2 = 18;
    static constexpr unsigned t8 = 22, t9 = 23, t10 = 24, t11 = 25, ra = 26, pv = 27, gp = 29, sp = 30;
    static constexpr unsigned zero = 31; ///< reads as 0; what is written to it is lost
    static constexpr unsigned count = 32;
};

// Sanity checks
static_assert(alpha_instruction{0x43f0'1411}.opcode() == alpha_opcode::arithmetic); // addq zero, 0x80, a1
static_assert(alpha_instruction{0x43f0'1411}.literal() == 0x80 && alpha_instruction{0x43f0'1411}.rc() == 17);
static_assert(alpha_instruction{0x23de'fff0}.displacement() == ~std::uint64_t{15});       // lda sp, -16(sp)
static_assert(alpha_instruction{0xc3ff'ffff}.branch_displacement() == ~std::uint64_t{3}); // br to itself
static_assert(alpha_opcode::stq_u == alpha_opcode{0x0f} && alpha_opcode::bgt == alpha_opcode{0x3f});

} // namespace lobos::sim
