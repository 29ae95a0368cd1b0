// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/linux16_stub.hpp>

#include <lobos/sim/x86_real_mode.hpp>

#include <tests/catch.hpp>
#include <tests/support/byte_memory.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

/// The stub at `base`, in 16-bit protected mode, as the hub's tables have it.
struct at_the_stub {
    explicit at_the_stub(std::uint32_t base) : segment{base}
    {
        memory.add_ram(phys_range::of(phys_addr::at(0), byte_count::of(0xa'0000)));
        using enum x86::segment_descriptor::type;
        const std::uint64_t words[] = {0, 0, 0x00cf'9b00'0000'ffff, 0x00cf'9300'0000'ffff,
            x86::segment_word::real(base, code_execute_read), x86::segment_word::real(base, data_read_write)};
        memory.write(phys_addr::at(0x800), std::as_bytes(std::span{words}));
        memory.write(phys_addr::at(base), std::as_bytes(std::span{linux16::stub}));
        r.gdt = {0x800, sizeof words - 1};
        r.idt = {0x7777, 0xff};
        mmu.load_cr0(0x11);
        segments.load(sim::x86_segments::cs, 0x10, r.gdt); // as nobody gets into a 16-bit segment from nowhere
        for (const auto name : {sim::x86_segments::ds, sim::x86_segments::es, sim::x86_segments::fs,
                 sim::x86_segments::gs, sim::x86_segments::ss})
            segments.load(name, x86::linux_data_selector, r.gdt);
        segments.load(sim::x86_segments::cs, x86::real_code_selector, r.gdt);
        using enum sim::x86_real_mode::register_name;
        r.wide = {0, 0, 0, 0, 0x9000, 0, 0, 0};
        r.wide[ax] = base >> 4;
        r.ip = linux16::stub_offset;
    }
    void run() { sim::x86_real_mode{memory, mmu, segments, record}.run(r); }

    std::uint32_t segment;
    sim::memory memory;
    sim::recorder record;
    sim::x86_mmu mmu{memory, &record};
    sim::x86_segments segments{memory, mmu, record};
    sim::x86_real_mode::registers r;
};

} // namespace

TEST_CASE("the stub leads from 16-bit protected mode to the setup code, wherever it lies", "[x86][linux16_stub]")
{
    const std::uint32_t base = GENERATE(0x1000u, 0x1'0000u, 0x8'f000u, 0x9'0000u);
    CAPTURE(base);
    at_the_stub s{base};
    s.run();
    CHECK((s.mmu.cr0() & 1) == 0);
    CHECK(s.mmu.cr0() == 0x10);
    CHECK(s.r.idt.base == 0);
    CHECK(s.r.idt.limit == 0x3ff);
    CHECK(s.r.ip == 0);
    using enum sim::x86_segments::name;
    for (const auto name : {ds, es, fs, gs, ss}) {
        CHECK(s.segments[name].selector == base >> 4);
        CHECK(s.segments[name].base == base);
        CHECK(s.segments[name].limit == 0xffff);
        CHECK_FALSE(s.segments[name].wide);
    }
    CHECK(s.segments[cs].base == base + 0x200);
    CHECK(s.segments[cs].limit == 0xffff);
    for (std::size_t i = 0; i < s.r.wide.size(); ++i)
        CHECK(s.r.wide[i] == (i == sim::x86_real_mode::sp ? 0xe000u : 0u));
}

TEST_CASE("the stub touches its segment and the descriptors, and writes to its stack only", "[x86][linux16_stub]")
{
    at_the_stub s{0x9'0000};
    s.record.clear();
    s.run();
    const auto within = [](std::uint64_t first, std::uint64_t size) {
        return std::array{phys_range::of(phys_addr::at(first), byte_count::of(size))};
    };
    using enum sim::access_kind;
    CHECK_FALSE(s.record.first_outside(fetch, within(0x9'0000, linux16::stub.size())));
    CHECK_FALSE(s.record.first_outside(write, within(0x9'dffc, 4)));
    CHECK_FALSE(s.record.first_outside(walk, within(0x800, 6 * 8)));
    CHECK(s.record.bytes(mark) == 0); // the accessed bits are set beforehand
}

TEST_CASE("a segment that is too short stops it before real mode", "[x86][linux16_stub]")
{
    at_the_stub s{0x9'0000};
    using enum x86::segment_descriptor::type;
    store(s.memory, phys_addr::at(0x828), x86::segment_word::real(0x9'0000, data_read_write) - 0x3000); // 0xcfff
    CHECK_THROWS_AS(s.run(), sim::machine_error);
    CHECK((s.mmu.cr0() & 1) != 0);
}
