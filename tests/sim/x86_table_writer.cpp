// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/sim/x86_table_writer.hpp>

#include <lobos/sim/x86_mmu.hpp>

#include <tests/catch.hpp>

using namespace lobos;
using namespace lobos::literals;
using enum x86::paging_mode;
using sim::x86_mmu;

namespace {

struct world {
    world() { memory.add_ram(phys_range::of(0_pa, 1_MiB)); }

    /// A processor on the tables, in the mode that they are for.
    x86_mmu on(x86::paging_mode mode, phys_addr root)
    {
        using c = sim::x86_control;
        x86_mmu mmu{memory};
        mmu.load_cr4((mode == bits_32 ? 0 : c::pse) | (mode >= pae ? c::pae : 0) | (mode == five_level ? c::la57 : 0));
        mmu.load_cr3(root.raw());
        mmu.load_efer(mode >= four_level ? c::lme : 0);
        mmu.load_cr0(c::pg | c::wp | c::pe);
        return mmu;
    }
    sim::memory memory;
    phys_range room = phys_range::of(0x1'0000_pa, 128_KiB);
};

} // namespace

TEST_CASE("what is mapped is where the processor finds it, small or large, and nothing else is there")
{
    const auto mode = GENERATE(bits_32, bits_32_pse, pae, four_level, five_level);
    CAPTURE(to_string(mode));
    world w;
    const phys_addr root = w.room.first() + byte_count::of(mode == pae ? 0xfe0 : 0);
    for (std::uint64_t i = 0; i < 4096; i += 8)
        store(w.memory, w.room.first() + byte_count::of(i), std::uint64_t{0});
    sim::x86_table_writer writer{w.memory, mode, root, w.room};
    const std::uint64_t high = mode == five_level ? 0xff11'0000'0040'0000
        : mode == four_level                      ? 0xffff'8880'0040'0000
                                                  : 0xc040'0000;
    writer.map(0x3000, 0x4000, 0, 1);        // read-only
    writer.map(high + 0x5000, 0x6000, 0, 3); // writable
    if (mode != bits_32)
        writer.map(high + 0x40'0000, 0x80'0000, 1, 0x83);

    auto mmu = w.on(mode, root);
    CHECK(mmu.mode() == mode);
    CHECK(mmu.translate(0x3123, x86_mmu::intent::read) == 0x4123_pa);
    CHECK_THROWS_AS(mmu.translate(0x3123, x86_mmu::intent::write), sim::machine_error);
    CHECK(mmu.translate(high + 0x5fff, x86_mmu::intent::write) == 0x6fff_pa);
    CHECK_THROWS_AS(mmu.translate(high + 0x6000, x86_mmu::intent::read), sim::machine_error);
    CHECK_THROWS_AS(mmu.translate(0x2000, x86_mmu::intent::read), sim::machine_error);
    if (mode != bits_32)
        CHECK(mmu.translate(high + 0x41'2345, x86_mmu::intent::write) == 0x81'2345_pa);
}

TEST_CASE("tables come from the room they are given, and from nowhere else")
{
    world w;
    w.room = phys_range::of(0x1'0000_pa, 8_KiB);
    for (std::uint64_t i = 0; i < 4096; i += 8)
        store(w.memory, w.room.first() + byte_count::of(i), std::uint64_t{0});
    sim::x86_table_writer writer{w.memory, bits_32, w.room.first(), w.room};
    writer.map(0x1000, 0x1000, 0, 3);
    writer.map(0x2000, 0x1000, 0, 3);
    CHECK_THROWS_AS(writer.map(0x40'0000, 0x1000, 0, 3), sim::machine_error);
}
