// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/sim/x86_real_mode.hpp>

#include <tests/catch.hpp>

using namespace lobos;
using namespace lobos::literals;
using enum sim::x86_segments::name;
using enum sim::x86_real_mode::register_name;

namespace {

constexpr std::uint64_t flat_code = 0x00cf'9b00'0000'ffff;
constexpr std::uint64_t flat_data = 0x00cf'9300'0000'ffff;
constexpr std::uint64_t code_16 = 0x0000'9b00'2000'ffff; // 64 KB at 0x2000
constexpr std::uint64_t data_16 = 0x0000'9300'2000'ffff;

/// 16-bit code at 0x2000, in protected mode, without paging; data and stack are flat.
struct processor {
    processor() : segments{memory, mmu, record}
    {
        memory.add_ram(phys_range::of(0_pa, 256_KiB));
        const std::uint64_t words[] = {0, flat_code, flat_data, code_16, data_16};
        memory.write(0x1000_pa, std::as_bytes(std::span{words}));
        r.gdt = {0x1000, sizeof words - 1};
        r.idt = {0x3000, 0xff};
        mmu.load_cr0(1);
        segments.load(cs, 0x08, r.gdt);
        for (const auto name : {ds, es, fs, gs, ss})
            segments.load(name, 0x10, r.gdt);
        segments.load(cs, 0x18, r.gdt);
        r.wide = {0xaaaa'1111, 0xbbbb'2222, 0xcccc'3333, 0xdddd'4444, 0x0001'8000, 0x5555'5555, 0x6666'6666, 7};
    }
    void put(std::initializer_list<std::uint8_t> code)
    {
        const std::vector bytes(code);
        memory.write(0x2000_pa, std::as_bytes(std::span{bytes}));
    }
    void run(std::initializer_list<std::uint8_t> code, std::uint32_t from = 0)
    {
        put(code);
        r.ip = from;
        sim::x86_real_mode{memory, mmu, segments, record}.run(r);
    }
    /// The vector that `code` ends with; 0 when it is not known to the simulator.
    unsigned exception(std::initializer_list<std::uint8_t> code, std::uint32_t from = 0)
    {
        try {
            run(code, from);
        } catch (const sim::machine_error& e) {
            return e.code() ? e.code()->vector : 0;
        }
        FAIL("no exception");
        return ~0u;
    }

    sim::memory memory;
    sim::recorder record;
    sim::x86_mmu mmu{memory, &record};
    sim::x86_segments segments;
    sim::x86_real_mode::registers r;
};

constexpr unsigned gp = sim::x86_vector::general_protection;
constexpr unsigned ss_fault = sim::x86_vector::stack_fault;

} // namespace

TEST_CASE("registers, halves of them, and numbers with a sign", "[sim][x86_real_mode]")
{
    processor p;
    // movw $0x1234, %ax; movl $0x89abcdef, %ebx; movw %ax, %cx; xorw %dx, %dx; xorl %esi, %esi; addw $-2, %di;
    // andb $0xf0, %bl; movl %cr0, %ebp; and then nothing that it knows
    CHECK(p.exception({0xb8, 0x34, 0x12, 0x66, 0xbb, 0xef, 0xcd, 0xab, 0x89, 0x89, 0xc1, 0x31, 0xd2, 0x66, 0x31, 0xf6,
              0x83, 0xc7, 0xfe, 0x80, 0xe3, 0xf0, 0x0f, 0x20, 0xc5, 0xf4}) == 0);
    CHECK(p.r.wide[ax] == 0xaaaa'1234);
    CHECK(p.r.wide[bx] == 0x89ab'cde0);
    CHECK(p.r.wide[cx] == 0xbbbb'1234);
    CHECK(p.r.wide[dx] == 0xcccc'0000);
    CHECK(p.r.wide[si] == 0);
    CHECK(p.r.wide[di] == 5);
    CHECK(p.r.wide[bp] == 1);
}

TEST_CASE("a stack is as wide as its segment", "[sim][x86_real_mode]")
{
    processor p;
    CHECK(p.exception({0x50, 0x68, 0x78, 0x56, 0x6a, 0xff, 0xf4}) == 0); // pushw %ax; pushw $0x5678; pushw $-1
    CHECK(p.r.wide[sp] == 0x0001'7ffa);
    CHECK(load<std::uint64_t>(p.memory, 0x1'7ffa_pa) << 16 == 0x1111'5678'ffff'0000);

    processor narrow;
    narrow.segments.load(ss, 0x20, narrow.r.gdt);
    narrow.r.wide[sp] = 0x7777'0000;
    CHECK(narrow.exception({0x50, 0xf4}) == 0);
    CHECK(narrow.r.wide[sp] == 0x7777'fffe); // round, within 64 KB
    CHECK(load<std::uint16_t>(narrow.memory, 0x1'1ffe_pa) == 0x1111);
}

TEST_CASE("protected mode checks what is loaded, and limits", "[sim][x86_real_mode]")
{
    processor p;
    CHECK(p.exception({0x8e, 0xd9}) == gp); // movw %cx, %ds: 0x2222 is outside the table
    CHECK(p.exception({0xb9, 0x20, 0x00, 0x8e, 0xd9, 0x8e, 0xd1, 0xb9, 0x18, 0x00, 0x8e, 0xd1}) == gp); // code as stack
    CHECK(p.segments[ds].base == 0x2000);
    CHECK(p.segments[ss].limit == 0xffff);

    processor low;
    low.segments.load(ss, 0x20, low.r.gdt);
    low.r.wide[sp] = 1;
    CHECK(low.exception({0x50}) == ss_fault); // across the end
    processor end;
    CHECK(end.exception({0xf4}, 0x1'0000) == gp);
}

TEST_CASE("protection goes, and the next far transfer is real mode's", "[sim][x86_real_mode]")
{
    processor p;
    p.segments.load(ds, 0x20, p.r.gdt);
    p.segments.load(ss, 0x20, p.r.gdt);
    store(p.memory, 0x2040_pa, std::uint64_t{0x1234'5678'03ff});
    // at 0x2000: movw $0x900, %ax; pushw $0x200; pushw $2f; movw %sp, %bp; movl %cr0, %edx; andb $0xfe, %dl;
    //            lidtl table; movl %edx, %cr0; ljmpw *(%bp)
    // 2:         movw %ax, %es; pushw %ax; pushw $0x10; lretw
    p.run({0xb8, 0x00, 0x09, 0x68, 0x00, 0x02, 0x68, 0x1d, 0x00, 0x89, 0xe5, 0x0f, 0x20, 0xc2, 0x80, 0xe2, 0xfe, 0x66,
        0x0f, 0x01, 0x1e, 0x40, 0x00, 0x0f, 0x22, 0xc2, 0xff, 0x6e, 0x00, 0x8e, 0xc0, 0x50, 0x6a, 0x10, 0xcb});
    CHECK(p.mmu.cr0() == 0);
    CHECK(p.r.ip == 0x10);
    CHECK(p.segments[cs].selector == 0x900);
    CHECK(p.segments[cs].base == 0x9000);
    CHECK(p.segments[es].base == 0x9000);
    CHECK(p.segments[es].limit == 0xffff'ffff); // flat, as it was loaded in protected mode
    CHECK(p.segments[ss].base == 0x2000);       // not loaded since
    CHECK(p.r.idt.base == 0x1234'5678);
    CHECK(p.r.idt.limit == 0x3ff);
}

TEST_CASE("a far return in protected mode is not the end", "[sim][x86_real_mode]")
{
    processor p;
    // pushw $0x18; pushw $6; lretw; 6: hlt, of which it looks at the byte behind too
    CHECK(p.exception({0x6a, 0x18, 0x6a, 0x06, 0xcb, 0x90, 0xf4}) == 0);
    CHECK(p.r.ip == 8);
    CHECK(p.r.wide[sp] == 0x0001'8000);
}

TEST_CASE("what it does not know it says", "[sim][x86_real_mode]")
{
    for (const auto& code : {std::initializer_list<std::uint8_t>{0x90}, {0xcc}, {0x8e, 0xc8}, {0x8e, 0xf0},
             {0x66, 0x50}, {0x0f, 0x01, 0x16, 0, 0}, {0x0f, 0x01, 0x1e, 0, 0}, {0x0f, 0x20, 0xd8}, {0x80, 0xe4, 0},
             {0x80, 0xc0, 1}, {0x83, 0xe8, 1}, {0x89, 0x00}, {0xff, 0x66, 0}, {0xff, 0x6f, 0}}) {
        processor p;
        CAPTURE(std::vector(code));
        CHECK(p.exception(code) == 0);
    }
    processor p;
    CHECK(p.exception({0x83, 0xc0, 0x00, 0xcb}) == gp); // what is on the stack is no selector
}

TEST_CASE("code that goes round is stopped", "[sim][x86_real_mode]")
{
    processor p;
    p.segments.load(ss, 0x20, p.r.gdt);
    store(p.memory, 0x2100_pa, std::uint32_t{0x0018'0000});
    p.r.wide[bp] = 0x100;
    CHECK_THROWS_AS(p.run({0xff, 0x6e, 0x00}), sim::machine_error); // ljmpw *(%bp), to itself
}
