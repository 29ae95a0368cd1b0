// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/sim/alpha_operate.hpp>

#include <array>

#include <tests/catch.hpp>

using namespace lobos::sim;

namespace {

constexpr std::uint64_t all = ~std::uint64_t{0};
constexpr std::uint64_t old = 0x1122'3344'5566'7788;

/// What a 21264 makes of a word whose operands are t0, t1 and t2.
std::optional<std::uint64_t> made(
    std::uint32_t word, std::uint64_t a, std::uint64_t b, alpha_model model = alpha_model::ev67())
{
    return alpha_operate{model}.result({word}, a, b, old);
}

constexpr std::uint64_t operands[][2] = {
    {0, 0},
    {0x7fff'ffff, 1},
    {all, 1},
    {0x8000'0000'0000'0000, 0x7fff'ffff'ffff'ffff},
    {0x0123'4567'89ab'cdef, 0xfedc'ba98'7654'3213},
};

/// As GNU's assembler writes them, and what QEMU's 21264A makes of the pairs above.
constexpr struct {
    std::uint32_t word;
    std::uint64_t results[std::size(operands)];
} instructions[] = {
    {0x4022'0003, {0, 0xffff'ffff'8000'0000, 0, all, 2}},                                                  // addl
    {0x4022'0043, {0, 0xffff'ffff'ffff'fffd, 0xffff'ffff'ffff'fffd, all, 0xffff'ffff'9d03'69cf}},          // s4addl
    {0x4022'0123, {0, 0x7fff'fffe, 0xffff'ffff'ffff'fffe, 1, 0x1357'9bdc}},                                // subl
    {0x4022'0163, {0, 0xffff'ffff'ffff'fffb, 0xffff'ffff'ffff'fffb, 1, 0xffff'ffff'b05b'05a9}},            // s4subl
    {0x4022'01e3, {0xff, 0xff, 0xff, 0x80, 0xf}},                                                          // cmpbge
    {0x4022'0243, {0, 0xffff'ffff'ffff'fff9, 0xffff'ffff'ffff'fff9, all, 0xffff'ffff'c3b2'a18b}},          // s8addl
    {0x4022'0363, {0, 0xffff'ffff'ffff'fff7, 0xffff'ffff'ffff'fff7, 1, 0xffff'ffff'd70a'3d65}},            // s8subl
    {0x4022'03a3, {0, 0, 0, 0, 1}},                                                                        // cmpult
    {0x4022'0403, {0, 0x8000'0000, 0, all, 2}},                                                            // addq
    {0x4022'0443, {0, 0x1'ffff'fffd, 0xffff'ffff'ffff'fffd, 0x7fff'ffff'ffff'ffff, 0x369'd036'9d03'69cf}}, // s4addq
    {0x4022'0523, {0, 0x7fff'fffe, 0xffff'ffff'ffff'fffe, 1, 0x246'8acf'1357'9bdc}},                       // subq
    {0x4022'0563, {0, 0x1'ffff'fffb, 0xffff'ffff'ffff'fffb, 0x8000'0000'0000'0001, 0x5b0'5b05'b05b'05a9}}, // s4subq
    {0x4022'05a3, {1, 0, 0, 0, 0}},                                                                        // cmpeq
    {0x4022'0643, {0, 0x3'ffff'fff9, 0xffff'ffff'ffff'fff9, 0x7fff'ffff'ffff'ffff, 0x7f6'e5d4'c3b2'a18b}}, // s8addq
    {0x4022'0763, {0, 0x3'ffff'fff7, 0xffff'ffff'ffff'fff7, 0x8000'0000'0000'0001, 0xa3d'70a3'd70a'3d65}}, // s8subq
    {0x4022'07a3, {1, 0, 0, 0, 1}},                                                                        // cmpule
    {0x4022'09a3, {0, 0, 1, 1, 0}},                                                                        // cmplt
    {0x4022'0da3, {1, 0, 1, 1, 0}},                                                                        // cmple
    {0x4422'0003, {0, 1, 1, 0, 3}},                                                                        // and
    {0x4422'0103, {0, 0x7fff'fffe, 0xffff'ffff'ffff'fffe, 0x8000'0000'0000'0000, 0x123'4567'89ab'cdec}},   // bic
    {0x4422'0283, {0x1122'3344'5566'7788, 1, 1, 0x1122'3344'5566'7788, 0xfedc'ba98'7654'3213}},            // cmovlbs
    {0x4422'02c3,
        {0, 0x1122'3344'5566'7788, 0x1122'3344'5566'7788, 0x7fff'ffff'ffff'ffff, 0x1122'3344'5566'7788}}, // cmovlbc
    {0x4422'0403, {0, 0x7fff'ffff, all, all, all}},                                                       // bis
    {0x4422'0483,
        {0, 0x1122'3344'5566'7788, 0x1122'3344'5566'7788, 0x1122'3344'5566'7788, 0x1122'3344'5566'7788}}, // cmoveq
    {0x4422'04c3, {0x1122'3344'5566'7788, 1, 1, 0x7fff'ffff'ffff'ffff, 0xfedc'ba98'7654'3213}},           // cmovne
    {0x4422'0503, {all, all, all, 0x8000'0000'0000'0000, 0x123'4567'89ab'cdef}},                          // ornot
    {0x4422'0803, {0, 0x7fff'fffe, 0xffff'ffff'ffff'fffe, all, 0xffff'ffff'ffff'fffc}},                   // xor
    {0x4422'0883,
        {0x1122'3344'5566'7788, 0x1122'3344'5566'7788, 1, 0x7fff'ffff'ffff'ffff, 0x1122'3344'5566'7788}}, // cmovlt
    {0x4422'08c3, {0, 1, 0x1122'3344'5566'7788, 0x1122'3344'5566'7788, 0xfedc'ba98'7654'3213}},           // cmovge
    {0x4422'0903, {all, 0xffff'ffff'8000'0001, 1, 0, 3}},                                                 // eqv
    {0x4422'0c83, {0, 0x1122'3344'5566'7788, 1, 0x7fff'ffff'ffff'ffff, 0x1122'3344'5566'7788}},           // cmovle
    {0x4422'0cc3,
        {0x1122'3344'5566'7788, 1, 0x1122'3344'5566'7788, 0x1122'3344'5566'7788, 0xfedc'ba98'7654'3213}}, // cmovgt
    {0x4822'0603, {0, 0x7fff'ff00, 0xffff'ffff'ffff'ff00, 0, 0x123'4500'89ab'0000}},                      // zap
    {0x4822'0623, {0, 0xff, 0xff, 0x8000'0000'0000'0000, 0x67'0000'cdef}},                                // zapnot
    {0x4822'0683, {0, 0x3fff'ffff, 0x7fff'ffff'ffff'ffff, 1, 0x24'68ac'f135}},                            // srl
    {0x4822'0723, {0, 0xffff'fffe, 0xffff'ffff'ffff'fffe, 0, 0x2b3c'4d5e'6f78'0000}},                     // sll
    {0x4822'0783, {0, 0x3fff'ffff, all, all, 0x24'68ac'f135}},                                            // sra
    {0x4c22'0003, {0, 0x7fff'ffff, all, 0, 0xffff'ffff'8264'f6bd}},                                       // mull
    {0x4c22'0403, {0, 0x7fff'ffff, all, 0x8000'0000'0000'0000, 0x25a0'a8c6'8264'f6bd}},                   // mulq
    {0x4c22'0603, {0, 0, 0, 0x3fff'ffff'ffff'ffff, 0x121'fa00'ad77'd742}},                                // umulh
};

/// For operands of 1, 2, 4 and 8 bytes.
constexpr struct {
    std::size_t size;
    std::uint32_t extract_low, extract_high, insert_low, insert_high, mask_low, mask_high;
} byte_instructions[] = {
    {1, 0x4822'00c3, 0, 0x4822'0163, 0, 0x4822'0043, 0},
    {2, 0x4822'02c3, 0x4822'0b43, 0x4822'0363, 0x4822'0ae3, 0x4822'0243, 0x4822'0a43},
    {4, 0x4822'04c3, 0x4822'0d43, 0x4822'0563, 0x4822'0ce3, 0x4822'0443, 0x4822'0c43},
    {8, 0x4822'06c3, 0x4822'0f43, 0x4822'0763, 0x4822'0ee3, 0x4822'0643, 0x4822'0e43},
};

std::uint64_t number(const std::uint8_t* bytes, std::size_t size)
{
    std::uint64_t value = 0;
    for (std::size_t i = size; i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

} // namespace

TEST_CASE("operate instructions make of two numbers what a processor makes of them")
{
    for (const auto& i : instructions)
        for (std::size_t n = 0; n < std::size(operands); ++n) {
            CAPTURE(i.word, n);
            CHECK(made(i.word, operands[n][0], operands[n][1]) == i.results[n]);
        }
}

TEST_CASE("operands at any address are taken out of two quadwords and put into them")
{
    std::array<std::uint8_t, 16> memory{};
    for (std::size_t i = 0; i < memory.size(); ++i)
        memory[i] = static_cast<std::uint8_t>(0x81 + 7 * i);
    const std::uint64_t low = number(memory.data(), 8);
    const std::uint64_t high = number(memory.data() + 8, 8);
    constexpr std::uint64_t value = 0xf0e1'd2c3'b4a5'9687;

    for (const auto& of : byte_instructions)
        for (std::size_t at = 0; at < 8; ++at) {
            CAPTURE(of.size, at);
            const std::uint64_t address = 0xffff'fc00'0000'1230 + at;
            const std::uint64_t wanted = number(memory.data() + at, of.size);
            auto after = memory;
            for (std::size_t i = 0; i < of.size; ++i)
                after[at + i] = static_cast<std::uint8_t>(value >> 8 * i & 0xff);

            CHECK((*made(of.mask_low, low, address) | *made(of.insert_low, value, address)) == number(after.data(), 8));
            if (of.size == 1) {
                CHECK(made(of.extract_low, low, address) == wanted);
                continue;
            }
            // As compilers do it: the second quadword is the one that the last byte lies in.
            const std::uint64_t last = at + of.size > 8 ? high : low;
            CHECK((*made(of.extract_low, low, address) | *made(of.extract_high, last, address)) == wanted);
            CHECK((*made(of.mask_high, high, address) | *made(of.insert_high, value, address)) ==
                number(after.data() + 8, 8));
        }
}

TEST_CASE("what a processor has not is no instruction of its")
{
    constexpr std::uint32_t sextb = 0x73e2'0003, sextw = 0x73e2'0023;
    CHECK(made(sextb, 0, 0x1280) == 0xffff'ffff'ffff'ff80);
    CHECK(made(sextb, 0, 0x7f) == 0x7f);
    CHECK(made(sextw, 0, 0x12'8000) == 0xffff'ffff'ffff'8000);
    CHECK_FALSE(made(sextb, 0, 0x80, alpha_model::ev4()));
    CHECK_FALSE(made(sextw, 0, 0x80, alpha_model::ev4()));
    constexpr std::uint32_t amask = 0x47e2'0c23, implver = 0x47e0'3d83;
    CHECK(made(amask, 0, 0x303) == 0x302);
    CHECK(made(amask, 0, 0x303, alpha_model::ev4()) == 0x303);
    CHECK(made(implver, 0, 1) == 2);
    CHECK(made(implver, 0, 1, alpha_model::ev4()) == 0);
    constexpr std::uint32_t others[] = {
        0x4022'0803, // addl/v
        0x4022'0c03, // addq/v
        0x4422'0fe3, // no function of this number
        0x73e2'0643, // cttz
        0x5fff'041f, // fnop
        0x6bfa'8001, // ret
    };
    for (const std::uint32_t word : others)
        CHECK_FALSE(made(word, 0, 0));
}
