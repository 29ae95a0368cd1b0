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
        memory.write(0x3000_pa, sim::x86_pieces::code()[x86::piece::guard_32]);
        segments.load(sim::x86_segments::cs, 0x08, descriptors);
        segments.load(sim::x86_segments::ss, 0x10, descriptors);
    }
    void gate(std::uint32_t v, std::uint32_t rights, std::uint32_t selector, std::uint32_t handler)
    {
        store(memory, phys_addr::at(0x2000 + 8 * v), std::uint32_t{selector << 16 | handler});
        store(memory, phys_addr::at(0x2004 + 8 * v), rights);
    }
    bool holds(std::uint32_t esp = 0x5000)
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

TEST_CASE("an instruction is found in one place of one piece")
{
    std::set<sim::x86_pieces::instruction_bytes> seen;
    std::size_t all = 0;
    const auto code = sim::x86_pieces::code();
    for (std::size_t i = 0; i < x86::pieces; ++i) {
        const auto p = static_cast<x86::piece>(i);
        if (p == x86::piece::copy_32)
            continue;
        for (std::size_t at = 0; at + 1 < code[p].size(); ++at, ++all)
            seen.insert({code[p][at], code[p][at + 1]});
    }
    CHECK(seen.size() == all);
    CHECK(std::ranges::equal(code[x86::piece::copy], code[x86::piece::copy_32]));
}
