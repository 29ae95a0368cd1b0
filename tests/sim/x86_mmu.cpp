// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/sim/x86_mmu.hpp>

#include <tests/catch.hpp>

using namespace lobos;
using namespace lobos::literals;
constexpr auto reading = sim::x86_mmu::intent::read;
constexpr auto writing = sim::x86_mmu::intent::write;
constexpr auto executing = sim::x86_mmu::intent::execute;
using privilege = sim::x86_mmu::privilege;

namespace {

/// A directory at 0x1000 with a table at 0x2000 for 0x0000'0000, a 4 MB page at 0x0040'0000, and nothing else.
struct tables {
    tables() : mmu{memory, &record}
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

    std::uint32_t directory(std::uint32_t i) { return load<std::uint32_t>(memory, phys_addr::at(0x1000 + 4 * i)); }
    std::uint32_t table(std::uint32_t i) { return load<std::uint32_t>(memory, phys_addr::at(0x2000 + 4 * i)); }

    /// The error code of the page fault, or nothing when there is none.
    std::optional<std::uint32_t> fault(
        std::uint32_t at, sim::x86_mmu::intent wanted, privilege who = privilege::supervisor)
    {
        try {
            (void)mmu.translate(at, wanted, who);
        } catch (const sim::machine_error& e) {
            CHECK(e.address() == at);
            REQUIRE(e.code());
            CHECK(e.code()->vector == 14);
            return e.code()->error;
        }
        return std::nullopt;
    }

    sim::memory memory;
    sim::recorder record;
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

TEST_CASE("a page fault says what was wrong")
{
    tables t;
    CHECK(t.fault(0x4fff, reading) == 0u);
    CHECK(t.fault(0x4fff, writing) == 2u);
    CHECK(t.fault(0x0080'0000, executing) == 0u); // no fetch bit without SMEP
    CHECK(t.fault(0x6000, writing) == 3u);
    CHECK(t.fault(0x5000, reading, privilege::user) == 5u);
    CHECK(t.fault(0x5000, writing, privilege::user) == 7u);
    t.directory(2, 0x0020'0083);
    CHECK(t.fault(0x0080'0000, reading) == 9u);
    t.mmu.load_cr4(0x10 | 1u << 20);
    CHECK(t.fault(0x4fff, executing) == 16u);
}

TEST_CASE("a user's page is a user's on every level, and read-only to him whatever CR0.WP says")
{
    tables t;
    t.mmu.load_cr0(0x8000'0001);
    t.table(7, 0x0000'b007);
    CHECK(t.fault(0x7000, reading, privilege::user) == 5u); // the directory says no
    t.directory(0, 0x2007);
    t.table(8, 0x0000'b005);
    t.mmu.load_cr3(0x1000);
    CHECK(t.mmu.translate(0x7000, writing, privilege::user) == 0xb000_pa);
    CHECK(t.mmu.translate(0x7000, executing, privilege::user) == 0xb000_pa);
    CHECK(t.fault(0x8000, writing, privilege::user) == 7u);
    CHECK_FALSE(t.fault(0x8000, writing)); // the supervisor, without WP
    CHECK(t.fault(0x5000, executing, privilege::user) == 5u);
    CHECK_FALSE(t.fault(0x5000, reading, privilege::implicit));
}

TEST_CASE("SMEP and SMAP keep the supervisor off the user's pages")
{
    tables t;
    t.directory(3, 0x0000'0087);
    CHECK_FALSE(t.fault(0x00c0'0000, executing));
    CHECK_FALSE(t.fault(0x00c0'0000, writing));
    t.mmu.load_cr4(0x10 | 1u << 20);
    CHECK(t.fault(0x00c0'0000, executing) == 0x11u);
    CHECK_FALSE(t.fault(0x00c0'0000, reading));
    t.mmu.load_cr4(0x10 | 1u << 21);
    CHECK_FALSE(t.fault(0x00c0'0000, executing));
    CHECK(t.fault(0x00c0'0000, reading) == 1u);
    CHECK(t.fault(0x00c0'0000, writing) == 3u);
    t.mmu.alignment_check = true; // EFLAGS.AC
    CHECK_FALSE(t.fault(0x00c0'0000, writing));
    CHECK(t.fault(0x00c0'0000, reading, privilege::implicit) == 1u);
    CHECK_FALSE(t.fault(0x00c0'0000, reading, privilege::user));
}

TEST_CASE("the processor marks what it used: accessed on the way, dirty where it ends")
{
    using enum sim::access_kind;
    tables t;
    t.mmu.translate(0x5000, reading);
    CHECK(t.directory(0) == 0x2023);
    CHECK(t.table(5) == 0x9023);
    CHECK(t.record.bytes(mark) == 8);
    t.mmu.translate(0x5000, reading);
    CHECK(t.record.bytes(walk) == 8); // once, then it is known
    t.mmu.translate(0x5000, writing);
    CHECK(t.table(5) == 0x9063);
    CHECK(t.directory(0) == 0x2023); // dirty means nothing there
    t.mmu.translate(0x0040'0000, writing);
    CHECK(t.directory(1) == 0x00c0'00e3);

    const auto marks = t.record.bytes(mark);
    t.mmu.load_cr3(0x1000);
    t.mmu.translate(0x5000, writing);
    t.mmu.translate(0x0040'0000, writing);
    CHECK(t.record.bytes(mark) == marks); // all of it is set already
    CHECK_FALSE(t.record.first_outside(mark, {phys_range::of(0x1000_pa, 8_KiB)}));

    CHECK(t.fault(0x6000, writing)); // who may not is not noted
    CHECK(t.table(6) == 0xa001);
}

TEST_CASE("a directory entry is remembered like a page, and INVLPG forgets both")
{
    tables t;
    t.mmu.load_cr4(0x90);
    t.table(7, 0x0000'b103); // global
    CHECK(t.mmu.translate(0x5000, reading) == 0x9000_pa);
    CHECK(t.mmu.translate(0x7000, reading) == 0xb000_pa);
    t.directory(0, 0);
    t.table(7, 0x0000'd103);
    t.table(8, 0x0000'e003);
    CHECK(t.mmu.translate(0x8000, reading) == 0xe000_pa); // through the entry that is gone
    t.mmu.invalidate(0x7000);
    CHECK(t.mmu.translate(0x5000, reading) == 0x9000_pa); // another page
    CHECK(t.fault(0x7000, reading) == 0u);
    t.directory(0, 0x2003);
    CHECK(t.mmu.translate(0x7000, reading) == 0xd000_pa);
}

TEST_CASE("turning paging on or off, or SMEP on, forgets everything")
{
    tables t;
    t.mmu.load_cr4(0x90);
    t.table(7, 0x0000'b103);
    const auto stale = [&](auto change) {
        t.table(7, 0x0000'b103);
        t.mmu.invalidate(0x7000);
        CHECK(t.mmu.translate(0x7000, reading) == 0xb000_pa);
        t.table(7, 0x0000'd103);
        change();
        return t.mmu.translate(0x7000, reading) == 0xb000_pa;
    };
    CHECK(stale([&] { t.mmu.load_cr3(0x1000); }));
    CHECK(stale([&] { t.mmu.load_cr0(0x8000'0001); })); // write protection is looked at each time
    CHECK(stale([&] { t.mmu.load_cr4(0x90 | 1u << 21); }));
    CHECK_FALSE(stale([&] { t.mmu.load_cr4(0x90 | 1u << 20); }));
    CHECK_FALSE(stale([&] {
        t.mmu.load_cr0(1);
        t.mmu.load_cr0(0x8000'0001);
    }));
    CHECK_FALSE(stale([&] {
        t.mmu.load_cr4(0x10);
        t.mmu.load_cr4(0x90);
    }));
    CHECK_THROWS_AS(t.mmu.load_cr0(0x8000'0000), sim::machine_error); // paging without protection
    CHECK_THROWS_AS(t.mmu.load_cr4(0x30), sim::machine_error);        // these tables are no pointers of PAE paging
}

TEST_CASE("a look says what a translation would, and leaves nothing behind")
{
    tables t;
    const sim::x86_mmu& looked_at = t.mmu;
    const auto looks = [&](std::uint32_t at, sim::x86_mmu::intent wanted) -> std::optional<phys_addr> {
        try {
            return looked_at.peek(at, wanted);
        } catch (const sim::machine_error& e) {
            CHECK(e.address() == at);
            return std::nullopt;
        }
    };
    CHECK(looks(0x5678, writing) == 0x9678_pa);
    CHECK(looks(0x007f'ffff, executing) == 0x00ff'ffff_pa);
    CHECK(looks(0x6000, reading) == 0xa000_pa);
    CHECK_FALSE(looks(0x6000, writing));
    CHECK_FALSE(looks(0x7000, reading));
    CHECK(t.record.count() == 0);
    CHECK(t.directory(0) == 0x2003);
    CHECK(t.directory(1) == 0x00c0'0083);
    CHECK(t.table(5) == 0x9003);

    t.table(5, 0x0000'b003); // nothing of the look is remembered
    CHECK(t.mmu.translate(0x5000, reading) == 0xb000_pa);
    t.table(5, 0x0000'9003);
    CHECK(looks(0x5000, reading) == 0xb000_pa); // but what is remembered counts
    CHECK(looks(0x5000, writing) == 0x9000_pa); // unless it is for reading
}
