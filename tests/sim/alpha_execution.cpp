// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// Instructions one by one, as GNU's assembler writes them.

#include <lobos/sim/alpha_execution.hpp>

#include <tests/catch.hpp>

using namespace lobos;
using namespace lobos::literals;
using sim::access_kind;
using sim::alpha_exception;
using reg = sim::alpha_register;

namespace {

constexpr std::uint64_t kseg = 0xffff'fc00'0000'0000;
constexpr std::uint64_t code = kseg + 0x2000;
constexpr std::uint64_t data = kseg + 0x4000;

/// Executes in kseg. t1 points to 64 bytes of data, of which each is 0x80 and its number.
struct processor : sim::alpha_execution {
    processor() : alpha_execution{ram}
    {
        ram.add_ram(phys_range::of(0_pa, 64_KiB));
        for (std::uint8_t i = 0; i < 64; ++i)
            store(ram, phys_addr::at(0x4000u + i), static_cast<std::uint8_t>(0x80 + i));
        general.set(2, data);
        stream.barrier();
    }
    /// Executes one instruction, at `code`. Where it goes from there.
    std::uint64_t run(std::uint32_t word, std::uint64_t at = code)
    {
        store(ram, phys_addr::at(at - kseg), word);
        stream.barrier();
        pc = at;
        pal = step();
        return pc;
    }
    /// What t0 is after it.
    std::uint64_t t0_after(std::uint32_t word)
    {
        CHECK(run(word) == code + 4);
        return general[1];
    }
    /// The quadword of the data at `offset` after it, where t0 is 0x1122'3344'5566'7788.
    std::uint64_t stored(std::uint32_t word, std::uint64_t offset = 0)
    {
        general.set(1, 0x1122'3344'5566'7788);
        CHECK(run(word) == code + 4);
        return load<std::uint64_t>(ram, phys_addr::at(0x4000 + offset));
    }
    /// The exception that it ends with.
    std::optional<alpha_exception> fault(std::uint32_t word)
    {
        try {
            run(word);
        } catch (const alpha_exception& e) {
            CHECK(pc == code);
            return e;
        }
        return std::nullopt;
    }

    sim::memory ram;
    std::optional<std::uint32_t> pal;
};

constexpr auto illegal = alpha_exception::instruction(alpha_exception::no_instruction);

} // namespace

TEST_CASE("addresses are computed with the sign of their displacement")
{
    processor p;
    CHECK(p.t0_after(0x2022'8000) == data - 0x8000);   // lda $1,-32768($2)
    CHECK(p.t0_after(0x2422'ffff) == data - 0x1'0000); // ldah $1,-1($2)
    CHECK(p.t0_after(0x243f'7fff) == 0x7fff'0000);     // ldah $1,32767($31)
    CHECK(p.run(0x23e2'0040) == code + 4);             // lda $31,64($2)
    CHECK(p.general[reg::zero] == 0);
    CHECK(p.run(0x4022'041f) == code + 4); // addq $1,$2,$31
    CHECK(p.general[reg::zero] == 0);
}

TEST_CASE("loads take what is there, longwords with their sign, bytes and words without")
{
    processor p;
    p.model = sim::alpha_model::ev67();
    CHECK(p.t0_after(0xa422'0008) == 0x8f8e'8d8c'8b8a'8988); // ldq $1,8($2)
    CHECK(p.t0_after(0xa022'000c) == 0xffff'ffff'8f8e'8d8c); // ldl $1,12($2)
    CHECK(p.t0_after(0x2c22'0005) == 0x8786'8584'8382'8180); // ldq_u $1,5($2)
    CHECK(p.t0_after(0x2822'0007) == 0x87);                  // ldbu $1,7($2)
    CHECK(p.t0_after(0x3022'0006) == 0x8786);                // ldwu $1,6($2)
    store(p.ram, 0x400c_pa, std::uint32_t{0x7fff'ffff});
    CHECK(p.t0_after(0xa022'000c) == 0x7fff'ffff);
}

TEST_CASE("stores change what they say, and nothing beside it")
{
    processor p;
    p.model = sim::alpha_model::ev67();
    CHECK(p.stored(0x3822'0001) == 0x8786'8584'8382'8880); // stb $1,1($2)
    CHECK(p.stored(0x3422'0002) == 0x8786'8584'7788'8880); // stw $1,2($2)
    CHECK(p.stored(0x3c22'0003) == 0x1122'3344'5566'7788); // stq_u $1,3($2)
    CHECK(p.stored(0xb7e2'0000) == 0);                     // stq $31,0($2)
    CHECK(load<std::uint64_t>(p.ram, 0x4008_pa) == 0x8f8e'8d8c'8b8a'8988);
    p.general.set(2, data + 16);
    CHECK(p.stored(0xb022'fffc, 8) == 0x5566'7788'8b8a'8988); // stl $1,-4($2)
    CHECK(p.stored(0xb422'fff8, 8) == 0x1122'3344'5566'7788); // stq $1,-8($2)
    CHECK(load<std::uint64_t>(p.ram, 0x4010_pa) == 0x9796'9594'9392'9190);
}

TEST_CASE("what an EV4 has not is illegal there")
{
    processor p;
    for (const std::uint32_t word : {0x2822'0007u, 0x3022'0006u, 0x3822'0001u, 0x3422'0002u, 0x73e1'0002u})
        CHECK(p.fault(word) == illegal);
    for (const std::uint32_t word : {
             0xac22'0000u, // ldq_l $1,0($2)
             0xbc22'0000u, // stq_c $1,0($2)
             0x8c22'0000u, // ldt $f1,0($2)
             0x5822'1403u, // addt $f1,$f2,$f3
             0xc43f'ffffu, // fbeq $f1,.
             0x6020'e000u, // rc $1
             0x6422'0000u, // the PALcode's own
         }) {
        CAPTURE(word);
        CHECK(p.fault(word) == illegal);
    }
    CHECK(p.record.bytes(access_kind::read) == 0);
    CHECK(p.record.bytes(access_kind::write) == 0);
}

TEST_CASE("an operand that is not aligned faults, and changes nothing")
{
    processor p;
    p.model = sim::alpha_model::ev67();
    p.general.set(2, data + 1);
    for (const auto& [word, opcode, at] : {std::array<std::uint64_t, 3>{0xa422'0008, 0x29, 9}, // ldq $1,8($2)
             {0xa022'000c, 0x28, 13},                                                          // ldl $1,12($2)
             {0xb422'fff8, 0x2d, ~std::uint64_t{6}},                                           // stq $1,-8($2)
             {0xb022'fffc, 0x2c, ~std::uint64_t{2}},                                           // stl $1,-4($2)
             {0x3022'0006, 0x0c, 7},                                                           // ldwu $1,6($2)
             {0x3422'0002, 0x0d, 3}}) {                                                        // stw $1,2($2)
        CAPTURE(word);
        CHECK(p.fault(static_cast<std::uint32_t>(word)) == alpha_exception::unaligned(data + at, opcode, 1));
    }
    CHECK(p.general[1] == 0);
    CHECK(p.record.bytes(access_kind::write) == 0);
}

TEST_CASE("a load into no register touches nothing, and a store of none stores 0")
{
    processor p;
    p.model = sim::alpha_model::ev67();
    p.general.set(2, 0x1234'5678'9abc'def1); // no address
    p.general.set(reg::sp, 0x1234'5678'9abc'def1);
    for (const std::uint32_t word : {0xa7e2'0000u, 0xa3e2'0001u, 0x2ffe'0000u, 0x2be2'0000u}) // ldq, ldl, unop, ldbu
        CHECK(p.run(word) == code + 4);
    CHECK(p.record.bytes(access_kind::read) == 0);
    CHECK(p.fault(0xb7e2'0001)); // stq $31,1($2)
}

TEST_CASE("branches ask for a sign, for 0, or for bit 0")
{
    constexpr std::uint64_t values[] = {0, 1, 2, 0x7fff'ffff'ffff'fffe, 0x8000'0000'0000'0000, ~std::uint64_t{0}};
    constexpr struct {
        std::uint32_t word;
        bool taken[6];
    } branches[] = {
        {0xe420'0001, {true, false, false, false, false, false}}, // beq $1,.+8
        {0xf420'0001, {false, true, true, true, true, true}},     // bne
        {0xe820'0001, {false, false, false, false, true, true}},  // blt
        {0xf820'0001, {true, true, true, true, false, false}},    // bge
        {0xec20'0001, {true, false, false, false, true, true}},   // ble
        {0xfc20'0001, {false, true, true, true, false, false}},   // bgt
        {0xe020'0001, {true, false, true, true, true, false}},    // blbc
        {0xf020'0001, {false, true, false, false, false, true}},  // blbs
    };
    processor p;
    for (const auto& b : branches)
        for (std::size_t i = 0; i < std::size(values); ++i) {
            CAPTURE(b.word, values[i]);
            p.general.set(1, values[i]);
            CHECK(p.run(b.word) == code + (b.taken[i] ? 8 : 4));
        }
}

TEST_CASE("jumps and calls leave where they came from")
{
    processor p;
    CHECK(p.run(0xc3ff'ffff) == code);      // br $31, to itself
    CHECK(p.run(0xd340'0003) == code + 16); // bsr $26,.+16
    CHECK(p.general[reg::ra] == code + 4);
    p.general.set(reg::pv, data + 3);  // the last two bits are no part of an address
    CHECK(p.run(0x6b5b'4000) == data); // jsr $26,($27)
    CHECK(p.general[reg::ra] == code + 4);
    CHECK(p.run(0x6bfa'8001, code + 64) == code + 4); // ret $31,($26),1
    CHECK(p.run(0x6be2'0000) == data);                // jmp $31,($2)
    CHECK(p.run(0x6842'4000) == data);                // jsr $2,($2)
    CHECK(p.general[2] == code + 4);
    CHECK(p.run(0x6b42'c000, code + 32) == code + 4); // jsr_coroutine $26,($2)
    CHECK(p.general[reg::ra] == code + 36);
}

TEST_CASE("barriers and hints do nothing, and the cycle counter counts")
{
    processor p;
    for (const std::uint32_t word :
        {0x6000'4000u, 0x6000'4400u, 0x6000'0000u, 0x6000'0400u, 0x63e2'8000u, 0x63e2'a000u})
        CHECK(p.run(word) == code + 4);
    p.cycle_offset = 0xffff'ffff;
    const std::uint64_t before = p.t0_after(0x603f'c000); // rpcc $1
    CHECK(before >> 32 == 0xffff'ffff);
    CHECK(p.t0_after(0x603f'c000) == before + 1);
    CHECK(p.executed == 8);
    CHECK_FALSE(p.pal);
    CHECK(p.run(0x0000'0086) == code + 4); // call_pal imb
    CHECK(p.pal == 0x86);
}

TEST_CASE("code is read through the translation, and only what can be executed")
{
    processor p;
    store(p.ram, 0x2000_pa, 0x4022'0401'4022'0401ull); // addq $1,$2,$1, twice
    p.pc = code;
    p.step();
    p.step();
    CHECK(p.record.bytes(access_kind::fetch, phys_range::of(0x2000_pa, 8_bytes)) == 8);
    p.pc = 0x1'0000'0000'0000;
    try {
        p.step();
        FAIL();
    } catch (const alpha_exception& e) {
        CHECK(e.a0 == 0x1'0000'0000'0000);
        CHECK(e.a2 == alpha_exception::by_fetch);
    }

    p.general.set(2, code + 16);
    p.run(0xb422'fff8); // stq $1,-8($2): the quadword behind this one's
    p.pc = code;
    p.step();
    p.pc = code + 8;
    CHECK_THROWS_AS(p.step(), sim::machine_error);
    p.store_physical(0x2010_pa, std::uint32_t{0}); // by the processor itself
    p.pc = code + 0x14;
    CHECK_THROWS_AS(p.step(), sim::machine_error);
    p.stream.barrier();
    p.pc = code + 0x10;
    CHECK(p.step() == 0u);                                                     // call_pal halt
    CHECK_THROWS_AS(p.run(0x4022'0401, kseg + 0x10'0000), sim::machine_error); // not RAM
}
