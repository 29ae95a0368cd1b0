// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/sim/x86_mmu.hpp>

#include <tests/catch.hpp>

using namespace lobos;
using namespace lobos::literals;
constexpr auto reading = sim::x86_mmu::intent::read;
constexpr auto writing = sim::x86_mmu::intent::write;
constexpr auto executing = sim::x86_mmu::intent::execute;

namespace {

/// A directory at 0x1000 with a table at 0x2000 for 0x0000'0000, a 4 MB page at 0x0040'0000, and nothing else.
struct tables {
    tables() : mmu{memory}
    {
        memory.add_ram(phys_range::of(0_pa, 64_KiB));
        for (std::uint32_t i = 0; i < 1024; ++i) {
            store(memory, phys_addr::at(0x1000 + 4 * i), std::uint32_t{0});
            store(memory, phys_addr::at(0x2000 + 4 * i), std::uint32_t{0});
        }
        directory(0, 0x2003);
        directory(1, 0x00c0'0083);
        table(5, 0x0000'9003);
        table(6, 0x0000'a001);
        mmu.load_cr4(0x10);
        mmu.load_cr3(0x1000);
        mmu.load_cr0(0x8001'0001);
    }
    void directory(std::uint32_t i, std::uint32_t entry) { store(memory, phys_addr::at(0x1000 + 4 * i), entry); }
    void table(std::uint32_t i, std::uint32_t entry) { store(memory, phys_addr::at(0x2000 + 4 * i), entry); }

    sim::memory memory;
    sim::x86_mmu mmu;
};

} // namespace

TEST_CASE("without paging an address is what it is")
{
    sim::memory m;
    sim::x86_mmu mmu{m};
    CHECK(mmu.translate(0xdead'beef, executing) == 0xdead'beef_pa);
}

TEST_CASE("4 KiB and 4 MB pages translate as the manual says")
{
    tables t;
    CHECK(t.mmu.translate(0x5678, reading) == 0x9678_pa);
    CHECK(t.mmu.translate(0x0040'0000, writing) == 0x00c0'0000_pa);
    CHECK(t.mmu.translate(0x007f'ffff, reading) == 0x00ff'ffff_pa);
    CHECK_THROWS_AS(t.mmu.translate(0x4fff, reading), sim::machine_error);
    CHECK_THROWS_AS(t.mmu.translate(0x0080'0000, reading), sim::machine_error);

    SECTION("PSE-36 reaches above 4 GiB")
    {
        t.directory(2, 0x0000'0083 | 3u << 13);
        CHECK(t.mmu.translate(0x0080'1234, reading) == 0x3'0000'1234_pa);
    }
    SECTION("a reserved bit is a fault")
    {
        t.directory(2, 0x0020'0083);
        CHECK_THROWS_AS(t.mmu.translate(0x0080'0000, reading), sim::machine_error);
    }
    SECTION("without CR4.PSE the size bit means nothing")
    {
        t.mmu.load_cr4(0);
        t.directory(1, 0x2083);
        CHECK(t.mmu.translate(0x0040'5000, reading) == 0x9000_pa);
    }
}

TEST_CASE("read-only is for everybody when CR0.WP is set, and all levels have to agree")
{
    tables t;
    CHECK(t.mmu.translate(0x6000, reading) == 0xa000_pa);
    CHECK_THROWS_AS(t.mmu.translate(0x6000, writing), sim::machine_error);
    t.mmu.load_cr0(0x8000'0001);
    CHECK(t.mmu.translate(0x6000, writing) == 0xa000_pa);
    t.mmu.load_cr0(0x8001'0001);
    t.directory(0, 0x2001);
    t.mmu.load_cr3(0x1000);
    CHECK_THROWS_AS(t.mmu.translate(0x5000, writing), sim::machine_error);
}

TEST_CASE("what was translated once stays so until CR3 is loaded, and a global page until CR4.PGE is changed")
{
    tables t;
    t.mmu.load_cr4(0x90);
    t.table(7, 0x0000'b103); // global
    CHECK(t.mmu.translate(0x5000, reading) == 0x9000_pa);
    CHECK(t.mmu.translate(0x7000, reading) == 0xb000_pa);
    t.table(5, 0x0000'c003);
    t.table(7, 0x0000'd103);
    CHECK(t.mmu.translate(0x5000, reading) == 0x9000_pa); // stale
    t.mmu.load_cr3(0x1000);
    CHECK(t.mmu.translate(0x5000, reading) == 0xc000_pa);
    CHECK(t.mmu.translate(0x7000, reading) == 0xb000_pa); // still stale
    t.mmu.load_cr4(0x10);
    CHECK(t.mmu.translate(0x7000, reading) == 0xd000_pa);
}
