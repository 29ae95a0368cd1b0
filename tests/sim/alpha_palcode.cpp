// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/sim/alpha_palcode.hpp>

#include <tests/catch.hpp>

using namespace lobos;
using namespace lobos::literals;
using sim::access_kind;
using sim::alpha_entry;
using sim::alpha_exception;
using reg = sim::alpha_register;

namespace {

constexpr std::uint64_t kseg = 0xffff'fc00'0000'0000;
constexpr std::uint64_t code = kseg + 0x2000;
constexpr std::uint64_t stack = kseg + 0x6000;
constexpr std::uint64_t handler = kseg + 0xa000;

/// Runs in kseg, with the context at 0x8000 and a stack that ends at 0x6000.
struct processor : sim::alpha_palcode {
    processor() : alpha_palcode{ram}
    {
        ram.add_ram(phys_range::of(0_pa, 1_MiB));
        for (unsigned i = 0; i < reg::count; ++i)
            general.set(i, old(i));
        general.set(reg::sp, stack);
        pcbb = 0x8000;
        pc = code;
        kernel_gp = 0x6b67'7000;
    }
    static std::uint64_t old(unsigned which) { return 0x0ead'0000 + which; }

    /// Calls the PALcode. What it returns.
    std::uint64_t call(std::uint32_t function, std::uint64_t a0 = old(reg::a0), std::uint64_t a1 = old(reg::a1))
    {
        general.set(reg::a0, a0);
        general.set(reg::a1, a1);
        run(function);
        return general[reg::v0];
    }
    void run(std::uint32_t word)
    {
        store(ram, phys_addr::at(code - kseg), word);
        stream.barrier();
        pc = code;
        run_instruction();
    }
    template <class T = std::uint64_t> T at(std::uint64_t physical) { return load<T>(ram, phys_addr::at(physical)); }

    sim::memory ram;
};

/// Whether registers other than `lost` are as they were.
bool kept(const processor& p, std::initializer_list<unsigned> lost)
{
    for (unsigned i = 0; i < reg::zero; ++i) {
        const bool may_change = std::ranges::find(lost, i) != lost.end();
        if (!may_change && i != reg::sp && p.general[i] != processor::old(i))
            return false;
    }
    return true;
}

} // namespace

TEST_CASE("a call returns what it returns, spoils what it may, and goes on behind itself")
{
    processor p;
    p.number = 3;
    p.user_sp = 0x1234;
    CHECK(p.call(0x3c) == 3); // whami
    CHECK(p.pc == code + 4);
    CHECK(kept(p, {reg::v0, reg::t0, reg::t8, reg::t9, reg::t10, reg::t11, reg::a0}));
    for (const unsigned lost : {reg::t0, reg::t8, reg::t9, reg::t10, reg::t11, reg::a0})
        CHECK(p.general[lost] != processor::old(lost));
    const std::uint64_t rubbish = p.general[reg::t0];

    CHECK(p.call(0x3a) == 0x1234); // rdusp
    CHECK(p.general[reg::t0] != rubbish);
    p.call(0x38, 0x5678); // wrusp
    CHECK(p.call(0x3a) == 0x5678);
    CHECK(p.call(0x35, 7) == 0); // swpipl
    CHECK(p.call(0x36) == 7);    // rdps
    CHECK(p.call(0x35, 0x12) == 7);
    CHECK(p.priority == 2);
    p.call(0x37, 0x4711); // wrkgp
    CHECK(p.kernel_gp == 0x4711);
    p.call(0x2d, 0x2'0000'0000); // wrvptptr
    CHECK(p.mmu.vptb == 0x2'0000'0000);

    p.general.set(reg::v0, 17);
    CHECK(p.call(0x02) == 17); // draina
    CHECK(p.call(0x34, handler + 3, 2) == 17);
    CHECK(p.entries[2] == handler);
    CHECK(p.general[reg::a1] != 2);
    CHECK_THROWS_AS(p.call(0x34, handler, 6), sim::machine_error);
    CHECK_THROWS_AS(p.call(0x09), sim::machine_error); // cserve
}

TEST_CASE("imb makes visible what was written")
{
    processor p;
    p.call(0x86);
    p.store_physical(0x2004_pa, std::uint32_t{0x0000'0086});
    CHECK(p.stream.may_be_stale(0x2004_pa));
    p.pc = code; // written too, with its quadword
    CHECK_THROWS_AS(p.run_instruction(), sim::machine_error);
    p.call(0x86);
    CHECK_FALSE(p.stream.may_be_stale(0x2004_pa));
    CHECK(p.pc == code + 4);
    p.run_instruction();
}

TEST_CASE("swpctx saves a context and loads another")
{
    processor p;
    p.user_sp = 0x1111;
    p.unique = 0x2222;
    p.cycle_offset = 1000;
    p.mmu.space = 4;
    const std::uint64_t next[] = {kseg + 0x4000, 0x3333, 0x77, 9ull << 32 | 5000, 0x4444, 1};
    p.ram.write(0x9080_pa, std::as_bytes(std::span{next}));
    CHECK(p.call(0x30, 0x9080) == 0x8000);
    CHECK(kept(p, {reg::v0, reg::t0, reg::t8, reg::t9, reg::t10, reg::t11, reg::a0}));
    CHECK(p.at(0x8000) == stack);
    CHECK(p.at(0x8008) == 0x1111);
    CHECK(p.at<std::uint32_t>(0x8018) == 1001);
    CHECK(p.at(0x8020) == 0x2222);
    CHECK(p.pcbb == 0x9080);
    CHECK(p.general[reg::sp] == kseg + 0x4000);
    CHECK(p.user_sp == 0x3333);
    CHECK(p.mmu.root_page == 0x77);
    CHECK(p.mmu.space == 9);
    CHECK(p.cycle_counter() + p.cycle_offset == 5000);
    CHECK(p.unique == 0x4444);
    CHECK(p.floating_point);
    CHECK(p.ram.unwritten_reads() == 0);
    CHECK(p.record.first(access_kind::mark, phys_range::of(0x8000_pa, 8_bytes)));
    CHECK(p.record.first(access_kind::walk, phys_range::of(0x9080_pa, 8_bytes)));

    CHECK_THROWS_AS(p.call(0x30, 0x9040), sim::machine_error);
    CHECK_THROWS_AS(p.call(0x30, kseg + 0x9000), sim::machine_error); // no physical address
}

TEST_CASE("tbi forgets all, what is of no space in particular or not, or a page of code or of data")
{
    processor p;
    // 0x5000'0000 is mapped by entries that are there no longer.
    const auto fill = [&] {
        p.mmu.looks = sim::alpha_mmu::search::walk;
        p.mmu.root_page = 8;
        const std::uint64_t pages[][2] = {{0x1'0000, 9ull << 32 | 0x101}, {0x1'2000 + 8 * 160, 10ull << 32 | 0x101},
            {0x1'4000, 5ull << 32 | 0x1101}, {0x1'4008, 6ull << 32 | 0x1111}};
        for (const auto& [at, entry] : pages)
            store(p.ram, phys_addr::at(at), entry);
        for (const std::uint64_t at : {0x5000'0000u, 0x5000'2000u})
            for (const auto wanted : {sim::alpha_mmu::intent::read, sim::alpha_mmu::intent::execute})
                (void)p.mmu.translate(at, wanted);
        for (const auto& [at, entry] : pages)
            store(p.ram, phys_addr::at(at), std::uint64_t{0x100});
    };
    const auto knows = [&](std::uint64_t at, sim::alpha_mmu::intent wanted) {
        try {
            (void)p.mmu.peek(at, wanted);
            return true;
        } catch (const alpha_exception&) {
            return false;
        }
    };
    const auto known = [&] {
        return std::array{knows(0x5000'0000, sim::alpha_mmu::intent::read),
            knows(0x5000'0000, sim::alpha_mmu::intent::execute), knows(0x5000'2000, sim::alpha_mmu::intent::read),
            knows(0x5000'2000, sim::alpha_mmu::intent::execute)};
    };
    const auto after = [&](std::uint64_t what, std::uint64_t address = 0) {
        fill();
        CHECK(known() == std::array{true, true, true, true});
        p.call(0x33, what, address);
        return known();
    };
    const auto minus = [](std::uint64_t n) { return ~n + 1; };
    CHECK(after(minus(2)) == std::array{false, false, false, false});
    CHECK(after(minus(1)) == std::array{false, false, true, true});
    CHECK(after(1, 0x5000'0000) == std::array{true, false, true, true});
    CHECK(after(2, 0x5000'2abc) == std::array{true, true, false, true});
    CHECK(after(3, 0x5000'2000) == std::array{true, true, false, false});
    CHECK_THROWS_AS(p.call(0x33, 0), sim::machine_error);
}

TEST_CASE("halt gives the processor to the console, with the context saved")
{
    processor p;
    p.continued_halts = 1;
    p.call(0x00);
    CHECK(p.pc == code + 4); // somebody said so
    try {
        p.call(0x00);
        FAIL();
    } catch (const sim::alpha_halted& e) {
        CHECK(e.state.pc == code + 4);
        CHECK(e.state.pcbb == 0x8000);
        CHECK(e.state.general[reg::sp] == stack);
    }
    CHECK(p.at(0x8000) == stack);
}

TEST_CASE("an exception leaves status, pc, gp and arguments on the stack, and says what it is in registers")
{
    processor p;
    p.priority = 2;
    for (unsigned i = 0; i < sim::alpha_entries; ++i)
        p.entries[i] = handler + 0x100 * i;
    const auto frame = [&](std::uint64_t pc) {
        const std::uint64_t sp = p.general[reg::sp] - kseg;
        CHECK(sp == stack - kseg - 48);
        CHECK(p.at(sp) == 2);
        CHECK(p.at(sp + 8) == pc);
        CHECK(p.at(sp + 16) == processor::old(reg::gp));
        CHECK(p.at(sp + 24) == processor::old(reg::a0));
        CHECK(p.at(sp + 32) == processor::old(reg::a1));
        CHECK(p.at(sp + 40) == processor::old(reg::a2));
        CHECK(p.general[reg::gp] == 0x6b67'7000);
        CHECK(kept(p, {1, reg::a0, reg::a1, reg::a2, reg::gp}));
    };

    SECTION("a memory fault: address, what, and by whom, of the instruction that is to be tried again")
    {
        p.general.set(1, 0x0000'0400'0000'0000);
        p.run(0xb7e1'0000); // stq $31,0($1)
        CHECK(p.pc == handler + 0x200);
        CHECK(p.general[reg::a0] == 0x0000'0400'0000'0000);
        CHECK(p.general[reg::a1] == 1);
        CHECK(p.general[reg::a2] == 1);
        CHECK(p.priority == 2);
        frame(code);
    }
    SECTION("of a fetch")
    {
        p.pc = 0x0000'0400'0000'0000;
        p.run_instruction();
        CHECK(p.pc == handler + 0x200);
        CHECK(p.general[reg::a2] == ~std::uint64_t{0});
        frame(0x0000'0400'0000'0000);
    }
    SECTION("an unaligned operand: address, opcode and register, of what is done")
    {
        p.general.set(1, stack + 1);
        p.run(0xa441'0000); // ldq $2,0($1)
        CHECK(p.pc == handler + 0x400);
        CHECK(p.general[reg::a0] == stack + 1);
        CHECK(p.general[reg::a1] == 0x29);
        CHECK(p.general[reg::a2] == 2);
        frame(code + 4);
    }
    SECTION("no instruction")
    {
        p.run(0x2842'0000); // ldbu, on a processor without
        CHECK(p.pc == handler + 0x300);
        CHECK(p.general[reg::a0] == 4);
        frame(code + 4);
    }
    SECTION("calls that are exceptions")
    {
        p.run(0x81); // bugchk
        CHECK(p.pc == handler + 0x300);
        CHECK(p.general[reg::a0] == 1);
        frame(code + 4);
    }
    SECTION("interrupts come through where the priority is lower, machine checks always, but not twice")
    {
        CHECK_FALSE(p.deliver(alpha_exception::device(2, 0x800)));
        CHECK(p.pc == code);
        CHECK(p.deliver(alpha_exception::device(3, 0x810)));
        CHECK(p.pc == handler);
        CHECK(p.priority == 3);
        CHECK(p.general[reg::a0] == 3);
        CHECK(p.general[reg::a1] == 0x810);
        frame(code);
        p.priority = 7;
        CHECK_FALSE(p.deliver(alpha_exception::clock()));
        CHECK(p.deliver(alpha_exception::machine_check(0x660, kseg + 0x6000)));
        CHECK(p.priority == 7);
        CHECK(p.general[reg::a0] == 2);
        CHECK(p.general[reg::a1] == 0x660);
        CHECK_THROWS_AS(p.deliver(alpha_exception::machine_check(0x660, 0)), sim::machine_error);
    }
}

TEST_CASE("an exception that the kernel cannot be told of is the end")
{
    processor p;
    CHECK_THROWS_AS(p.run(0x2842'0000), sim::machine_error); // no entry
    p.entries[3] = handler;
    for (const std::uint64_t sp :
        {kseg + 0x10'0030, stack + 4, std::uint64_t{0x0000'0400'0000'0000}}) { // no RAM, not aligned, no address
        CAPTURE(sp);
        p.general.set(reg::sp, sp);
        CHECK_THROWS_AS(p.run(0x2842'0000), sim::machine_error);
        CHECK(p.pc == code);
    }
}
