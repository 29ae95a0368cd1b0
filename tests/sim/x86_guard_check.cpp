// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// The check by itself, without paging. That the processor asks it at every instruction is tested in x86_processor.cpp.

#include <lobos/sim/x86_guard_check.hpp>

#include <set>

#include <tests/catch.hpp>

using namespace lobos;
using namespace lobos::literals;

namespace {

/// Descriptors at 0x1000, gates at 0x2000, the guard at 0x3000, a stack below 0x5000.
struct guarded_machine {
    guarded_machine()
    {
        memory.add_ram(phys_range::of(0_pa, 64_KiB));
        const std::uint64_t table[] = {0, 0x00cf'9b00'0000'ffff, 0x00cf'9300'0000'ffff};
        memory.write(0x1000_pa, std::as_bytes(std::span{table}));
        for (std::uint32_t v = 0; v < 32; ++v)
            gate(v, 0x8e00, 8, v == 2 ? 0x3000 + 160 : 0x3000 + 5 * v);
        memory.write(0x3000_pa, sim::x86_pieces::code(false)[x86::piece::guard_32]);
        segments.load(sim::x86_segments::cs, 0x08, descriptors);
        segments.load(sim::x86_segments::ss, 0x10, descriptors);
    }
    void gate(std::uint32_t v, std::uint32_t rights, std::uint32_t selector, std::uint32_t handler)
    {
        store(memory, phys_addr::at(0x2000 + 8 * v), std::uint32_t{selector << 16 | handler});
        store(memory, phys_addr::at(0x2004 + 8 * v), rights);
    }
    bool holds(std::uint64_t esp = 0x5000)
    {
        return sim::x86_guard_check{memory, mmu, segments}.holds(gates, descriptors, esp, pages);
    }

    sim::memory memory;
    sim::recorder record;
    sim::x86_mmu mmu{memory, &record};
    sim::x86_segments segments{memory, mmu, record};
    sim::x86_descriptor_table descriptors{0x1000, 0x17};
    sim::x86_descriptor_table gates{0x2000, 0xff};
    std::vector<std::uint64_t> pages;
};

} // namespace

TEST_CASE("an exception finds the guard, and the pages it rests on are named")
{
    guarded_machine m;
    const std::uint64_t count = m.record.count();
    CHECK(m.holds());
    CHECK(std::set(m.pages.begin(), m.pages.end()) == std::set<std::uint64_t>{0, 1, 2, 3}); // CR3 is 0
    CHECK(m.record.count() == count);
}

TEST_CASE("each thing on the way of an exception counts")
{
    guarded_machine m;
    SECTION("every gate")
    {
        for (std::uint32_t v = 0; v < 32; ++v) {
            const auto good = load<std::uint64_t>(m.memory, phys_addr::at(0x2000 + 8 * v));
            for (const std::uint32_t rights : {0x0e00u, 0x8f00u, 0x8600u, 0x8500u, 0xee00u}) {
                m.gate(v, rights, 8, static_cast<std::uint32_t>(good & 0xffff));
                CHECK_FALSE(m.holds());
            }
            m.gate(v, 0x8e00, 8, static_cast<std::uint32_t>(good & 0xffff) + 1);
            CHECK_FALSE(m.holds());
            store(m.memory, phys_addr::at(0x2000 + 8 * v), good);
            CHECK(m.holds());
        }
    }
    SECTION("the selector")
    {
        for (const std::uint32_t selector : {0x00u, 0x0bu, 0x0cu, 0x10u, 0x18u}) {
            m.gate(14, 0x8e00, selector, 0x3000 + 70);
            CHECK_FALSE(m.holds());
        }
    }
    SECTION("the descriptor")
    {
        for (const std::uint64_t word :
            std::initializer_list<std::uint64_t>{0x00cf'9800'0000'ffffull, 0x00df'9f00'0000'ffffull}) {
            store(m.memory, 0x1008_pa, word);
            CHECK(m.holds());
        }
        for (const std::uint64_t word : std::initializer_list<std::uint64_t>{0x00cf'1b00'0000'ffffull,
                 0x00cf'fb00'0000'ffffull, 0x00cf'9b01'0000'ffffull, 0x00c0'9b00'0000'ffffull, 0x008f'9b00'0000'ffffull,
                 0x00af'9b00'0000'ffffull, 0x004f'9b00'0000'ffffull}) {
            CAPTURE(word);
            store(m.memory, 0x1008_pa, word);
            CHECK_FALSE(m.holds());
        }
    }
    SECTION("the limits")
    {
        m.gates.limit = 0xfe;
        CHECK_FALSE(m.holds());
        m.gates.limit = 0xff;
        m.descriptors.limit = 0x0e;
        CHECK_FALSE(m.holds());
        m.descriptors.limit = 0x0f;
        CHECK(m.holds());
    }
    SECTION("room on the stack, in memory")
    {
        CHECK(m.holds(0x1'0000));
        CHECK_FALSE(m.holds(0x1'0010));
        CHECK_FALSE(m.holds(0x1'0001));
        CHECK_FALSE(m.holds(0x8)); // goes round
    }
}

namespace {

/// The same in long mode, on tables that map 2 MB one to one and nothing else: compatibility mode first.
struct guarded_long_machine : guarded_machine {
    guarded_long_machine()
    {
        store(memory, 0x8000_pa, std::uint64_t{0x9003});
        store(memory, 0x9000_pa, std::uint64_t{0xa003});
        store(memory, 0xa000_pa, std::uint64_t{0x83});
        const std::uint64_t table[] = {
            0, 0x00cf'9b00'0000'ffff, 0x00cf'9300'0000'ffff, 0x00af'9b00'0000'ffff, 0x00cf'9300'0000'ffff};
        memory.write(0x1000_pa, std::as_bytes(std::span{table}));
        descriptors.limit = sizeof table - 1;
        gates.limit = 0x1ff;
        for (std::uint32_t v = 0; v < 32; ++v)
            gate_64(v, 0x8e00, 0x18, handler(v));
        memory.write(0x3000_pa, sim::x86_pieces::code(true)[x86::piece::guard_64]);
        mmu.load_cr4(0x20);
        mmu.load_cr3(0x8000);
        mmu.load_efer(0x100);
        mmu.load_cr0(0x8001'0001);
    }
    static std::uint64_t handler(std::uint32_t v) { return v == 2 ? 0x3000 + 160 : 0x3000 + 5 * v; }
    void gate_64(std::uint32_t v, std::uint64_t rights, std::uint64_t selector, std::uint64_t handler)
    {
        store(memory, phys_addr::at(0x2000 + 16 * v),
            (handler & 0xffff) | selector << 16 | rights << 32 | (handler >> 16 & 0xffff) << 48);
        store(memory, phys_addr::at(0x2008 + 16 * v), handler >> 32);
    }
};

} // namespace

TEST_CASE("in long mode an exception finds the guard through gates of 16 bytes, whatever code it comes from")
{
    guarded_long_machine m;
    CHECK_FALSE(m.segments.code_64());
    CHECK(m.holds());
    m.segments.load(sim::x86_segments::cs, 0x18, m.descriptors);
    CHECK(m.segments.code_64());
    CHECK(m.holds());
    CHECK(std::set(m.pages.begin(), m.pages.end()) == std::set<std::uint64_t>{1, 2, 3, 8});
    m.segments.load(sim::x86_segments::ss, 0, m.descriptors); // nobody asks the stack's segment
    CHECK(m.holds());
}

TEST_CASE("each thing on the way of an exception in long mode counts")
{
    guarded_long_machine m;
    REQUIRE(m.holds());
    const std::uint32_t v = GENERATE(0u, 2u, 14u, 31u);
    const std::uint64_t handler = m.handler(v);
    SECTION("the gate: 32 bits wide, a trap's, a user's, absent, with a stack of its own, too far")
    {
        for (const std::uint64_t rights : {0x8f00u, 0xee00u, 0x0e00u, 0x8e01u, 0x8600u}) {
            m.gate_64(v, rights, 0x18, handler);
            CHECK_FALSE(m.holds());
        }
        m.gate_64(v, 0x8e00, 0x18, handler + 1);
        CHECK_FALSE(m.holds());
        m.gate_64(v, 0x8e00, 0x18, handler | std::uint64_t{1} << 32);
        CHECK_FALSE(m.holds());
        m.gate_64(v, 0x8e00, 0x18, handler | std::uint64_t{1} << 47); // not canonical
        CHECK_FALSE(m.holds());
    }
    SECTION("the selector: of 32-bit code, of data, of none")
    {
        for (const std::uint64_t selector : {0x00u, 0x08u, 0x10u, 0x1bu, 0x20u, 0x28u}) {
            m.gate_64(v, 0x8e00, selector, handler);
            CHECK_FALSE(m.holds());
        }
    }
    SECTION("the descriptor; its base and limit do not matter")
    {
        store(m.memory, 0x1018_pa, std::uint64_t{0x1120'9822'3344'0000});
        CHECK(m.holds());
        for (const std::uint64_t word : std::initializer_list<std::uint64_t>{
                 0x00ef'9b00'0000'ffff, 0x00af'1b00'0000'ffff, 0x00af'fb00'0000'ffff, 0x00af'8b00'0000'ffff}) {
            store(m.memory, 0x1018_pa, word);
            CHECK_FALSE(m.holds());
        }
    }
    SECTION("the limits")
    {
        m.gates.limit = 0x1fe;
        CHECK_FALSE(m.holds());
        m.gates.limit = 0x1ff;
        m.descriptors.limit = 0x1e;
        CHECK_FALSE(m.holds());
    }
    SECTION("room on the stack, from a multiple of 16 down, in memory")
    {
        CHECK(m.holds(0x1'0008));
        CHECK_FALSE(m.holds(0x1'0010 + 48));
        CHECK_FALSE(m.holds(0x20));
        CHECK_FALSE(m.holds(0xffff'8000'0000'0000));
    }
}
