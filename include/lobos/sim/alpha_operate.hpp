// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What the integer operate instructions of an Alpha make of two numbers [alpha/arm §4.4 to §4.6]. No memory and no
/// state is in it, only what the processor is: one from before the 21164A has no instructions for a byte's or a word's
/// sign. Left out are those that trap on an overflow, and counts and vectors of the latest processors; whoever executes
/// them is told that there is no such instruction.

#include <bit>
#include <optional>

#include <lobos/sim/alpha_instruction.hpp>

namespace lobos::sim {

/// Which Alpha it is.
struct alpha_model {
    bool bytes = false;        ///< has BWX: loads and stores of bytes and words, and their signs
    std::uint64_t version = 0; ///< what implver says: 0 for a 21064, 1 for a 21164, 2 for a 21264

    static constexpr alpha_model ev4() { return {}; }
    static constexpr alpha_model ev67() { return {.bytes = true, .version = 2}; }
};

class alpha_operate {
public:
    explicit constexpr alpha_operate(alpha_model model) : model_{model} {}

    /// What `i` makes of ra's value `a` and rb's or the literal `b`, where rc holds `old`; nothing when there is no
    /// such instruction. A conditional move that moves nothing makes `old`.
    constexpr std::optional<std::uint64_t> result(
        alpha_instruction i, std::uint64_t a, std::uint64_t b, std::uint64_t old) const
    {
        switch (i.opcode()) {
        case alpha_opcode::arithmetic: return arithmetic(i.function(), a, b);
        case alpha_opcode::logical: return logical(i.function(), a, b, old);
        case alpha_opcode::shift: return shift(i.function(), a, b);
        case alpha_opcode::multiply: return multiply(i.function(), a, b);
        case alpha_opcode::extension: return extension(i.function(), b);
        default: return std::nullopt;
        }
    }

private:
    using number = std::uint64_t;
    using answer = std::optional<number>;

    static constexpr std::int64_t with_sign(number value) { return std::bit_cast<std::int64_t>(value); }
    /// A longword in a register.
    static constexpr number longword(number value) { return alpha_instruction::extended(value & 0xffff'ffff, 32); }

    static constexpr answer arithmetic(unsigned function, number a, number b)
    {
        switch (function) {
        case 0x00: return longword(a + b);              // addl
        case 0x02: return longword(4 * a + b);          // s4addl
        case 0x09: return longword(a - b);              // subl
        case 0x0b: return longword(4 * a - b);          // s4subl
        case 0x0f: return bytes_not_below(a, b);        // cmpbge
        case 0x12: return longword(8 * a + b);          // s8addl
        case 0x1b: return longword(8 * a - b);          // s8subl
        case 0x1d: return a < b;                        // cmpult
        case 0x20: return a + b;                        // addq
        case 0x22: return 4 * a + b;                    // s4addq
        case 0x29: return a - b;                        // subq
        case 0x2b: return 4 * a - b;                    // s4subq
        case 0x2d: return a == b;                       // cmpeq
        case 0x32: return 8 * a + b;                    // s8addq
        case 0x3b: return 8 * a - b;                    // s8subq
        case 0x3d: return a <= b;                       // cmpule
        case 0x4d: return with_sign(a) < with_sign(b);  // cmplt
        case 0x6d: return with_sign(a) <= with_sign(b); // cmple
        default: return std::nullopt;
        }
    }

    constexpr answer logical(unsigned function, number a, number b, number old) const
    {
        switch (function) {
        case 0x00: return a & b;                       // and
        case 0x08: return a & ~b;                      // bic
        case 0x14: return (a & 1) != 0 ? b : old;      // cmovlbs
        case 0x16: return (a & 1) == 0 ? b : old;      // cmovlbc
        case 0x20: return a | b;                       // bis
        case 0x24: return a == 0 ? b : old;            // cmoveq
        case 0x26: return a != 0 ? b : old;            // cmovne
        case 0x28: return a | ~b;                      // ornot
        case 0x40: return a ^ b;                       // xor
        case 0x44: return with_sign(a) < 0 ? b : old;  // cmovlt
        case 0x46: return with_sign(a) >= 0 ? b : old; // cmovge
        case 0x48: return a ^ ~b;                      // eqv
        case 0x61: return b & ~features();             // amask
        case 0x64: return with_sign(a) <= 0 ? b : old; // cmovle
        case 0x66: return with_sign(a) > 0 ? b : old;  // cmovgt
        case 0x6c: return model_.version;              // implver
        default: return std::nullopt;
        }
    }

    static constexpr answer shift(unsigned function, number a, number b)
    {
        switch (function) {
        case 0x02: return zap(a, low_part(1, b));                                        // mskbl
        case 0x12: return zap(a, low_part(2, b));                                        // mskwl
        case 0x22: return zap(a, low_part(4, b));                                        // mskll
        case 0x32: return zap(a, low_part(8, b));                                        // mskql
        case 0x52: return zap(a, high_part(2, b));                                       // mskwh
        case 0x62: return zap(a, high_part(4, b));                                       // msklh
        case 0x72: return zap(a, high_part(8, b));                                       // mskqh
        case 0x06: return zap(a >> bits_up(b), ~bytes(1));                               // extbl
        case 0x16: return zap(a >> bits_up(b), ~bytes(2));                               // extwl
        case 0x26: return zap(a >> bits_up(b), ~bytes(4));                               // extll
        case 0x36: return a >> bits_up(b);                                               // extql
        case 0x5a: return zap(a << bits_down(b), ~bytes(2));                             // extwh
        case 0x6a: return zap(a << bits_down(b), ~bytes(4));                             // extlh
        case 0x7a: return a << bits_down(b);                                             // extqh
        case 0x0b: return zap(a << bits_up(b), ~low_part(1, b));                         // insbl
        case 0x1b: return zap(a << bits_up(b), ~low_part(2, b));                         // inswl
        case 0x2b: return zap(a << bits_up(b), ~low_part(4, b));                         // insll
        case 0x3b: return zap(a << bits_up(b), ~low_part(8, b));                         // insql
        case 0x57: return zap(a >> bits_down(b), ~high_part(2, b));                      // inswh
        case 0x67: return zap(a >> bits_down(b), ~high_part(4, b));                      // inslh
        case 0x77: return zap(a >> bits_down(b), ~high_part(8, b));                      // insqh
        case 0x30: return zap(a, static_cast<unsigned>(b & 0xff));                       // zap
        case 0x31: return zap(a, ~static_cast<unsigned>(b & 0xff));                      // zapnot
        case 0x34: return a >> (b & 63);                                                 // srl
        case 0x39: return a << (b & 63);                                                 // sll
        case 0x3c: return static_cast<number>(with_sign(a) >> static_cast<int>(b & 63)); // sra
        default: return std::nullopt;
        }
    }

    static constexpr answer multiply(unsigned function, number a, number b)
    {
        switch (function) {
        case 0x00: return longword(a * b);  // mull
        case 0x20: return a * b;            // mulq
        case 0x30: return upper_half(a, b); // umulh
        default: return std::nullopt;
        }
    }

    constexpr answer extension(unsigned function, number b) const
    {
        if (!model_.bytes || function > 1)
            return std::nullopt;
        return function == 0 ? alpha_instruction::extended(b & 0xff, 8)     // sextb
                             : alpha_instruction::extended(b & 0xffff, 16); // sextw
    }

    /// What amask answers for: bit 0 is BWX.
    constexpr number features() const { return model_.bytes ? 1 : 0; }

    // Bytes of a quadword have a bit each, as zap takes them.

    static constexpr unsigned bytes(unsigned size) { return (1u << size) - 1; }
    /// Those of an operand at the address `b` that lie in the quadword which contains `b`, and in the next one.
    static constexpr unsigned low_part(unsigned size, number b) { return bytes(size) << (b & 7) & 0xff; }
    static constexpr unsigned high_part(unsigned size, number b) { return bytes(size) << (b & 7) >> 8; }
    static constexpr unsigned bits_up(number b) { return 8 * static_cast<unsigned>(b & 7); }
    static constexpr unsigned bits_down(number b) { return (64 - bits_up(b)) & 63; }

    static constexpr number zap(number value, unsigned which)
    {
        for (unsigned i = 0; i < 8; ++i)
            if ((which >> i & 1) != 0)
                value &= ~(number{0xff} << 8 * i);
        return value;
    }
    static constexpr number bytes_not_below(number a, number b)
    {
        number found = 0;
        for (unsigned i = 0; i < 8; ++i)
            found |= number{(a >> 8 * i & 0xff) >= (b >> 8 * i & 0xff)} << i;
        return found;
    }
    static constexpr number upper_half(number a, number b)
    {
        constexpr number low = 0xffff'ffff;
        const number first = (a & low) * (b >> 32) + ((a & low) * (b & low) >> 32);
        const number second = (a >> 32) * (b & low) + (first & low);
        return (a >> 32) * (b >> 32) + (first >> 32) + (second >> 32);
    }

    alpha_model model_;
};

// Sanity checks
static_assert(alpha_operate{alpha_model::ev4()}.result({0x4020'0003}, 0x7fff'ffff, 1, 0) == 0xffff'ffff'8000'0000);
static_assert(alpha_operate{alpha_model::ev4()}.result({0x4c20'0603}, ~0ull, ~0ull, 0) == ~1ull);
static_assert(!alpha_operate{alpha_model::ev4()}.result({0x73e1'0002}, 0, 0x80, 0));
static_assert(alpha_operate{alpha_model::ev67()}.result({0x73e1'0002}, 0, 0x80, 0) == 0xffff'ffff'ffff'ff80);

} // namespace lobos::sim
