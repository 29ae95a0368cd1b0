// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// The modes with entries of 64 bits; those of 32 are in x86_mmu.cpp.

#include <lobos/sim/x86_mmu.hpp>

#include <tests/catch.hpp>

using namespace lobos;
using namespace lobos::literals;
constexpr auto reading = sim::x86_mmu::intent::read;
constexpr auto writing = sim::x86_mmu::intent::write;
constexpr auto executing = sim::x86_mmu::intent::execute;
using privilege = sim::x86_mmu::privilege;

namespace {

constexpr std::uint64_t xd = 0x8000'0000'0000'0000;
constexpr std::uint64_t pge = 0x80, la57 = 0x1000, pcide = 1u << 17, smep = 1u << 20, smap = 1u << 21;

/// Tables at 0x1000 (page table), 0x2000 (directory), 0x3000 (pointers), 0x4000 (PML4), 0x5000 (PML5), each naming the
/// one before in its entry 0. Page 5 is at 0x9000, page 6 at 0xa000 and read-only.
struct tables {
    tables() : mmu{memory, &record}
    {
        memory.add_ram(phys_range::of(0_pa, 64_KiB));
        for (std::uint64_t at = 0; at < 0x1'0000; at += 8)
            store(memory, phys_addr::at(at), std::uint64_t{0});
        put(0x1000, 5, 0x9003);
        put(0x1000, 6, 0xa001);
        put(0x2000, 0, 0x1003);
        put(0x3000, 0, 0x2003);
        put(0x4000, 0, 0x3003);
        put(0x5000, 0, 0x4003);
    }
    void four_level(std::uint64_t cr4 = 0, std::uint64_t efer = 0x800)
    {
        mmu.load_cr4(0x20 | cr4);
        mmu.load_cr3(cr4 & la57 ? 0x5000 : 0x4000);
        mmu.load_efer(0x100 | efer);
        mmu.load_cr0(0x8001'0001);
    }
    void pae(std::uint64_t cr4 = 0, std::uint64_t efer = 0x800)
    {
        put(0x3000, 0, 0x2001);
        mmu.load_cr4(0x20 | cr4);
        mmu.load_cr3(0x3000);
        mmu.load_efer(efer);
        mmu.load_cr0(0x8001'0001);
    }

    void put(std::uint64_t table, unsigned i, std::uint64_t entry)
    {
        store(memory, phys_addr::at(table + 8 * i), entry);
    }
    std::uint64_t get(std::uint64_t table, unsigned i)
    {
        return load<std::uint64_t>(memory, phys_addr::at(table + 8 * i));
    }

    /// The vector and error code of the exception, or nothing when there is none.
    std::optional<sim::exception_code> exception(
        std::uint64_t at, sim::x86_mmu::intent wanted, privilege who = privilege::supervisor)
    {
        try {
            (void)mmu.translate(at, wanted, who);
        } catch (const sim::machine_error& e) {
            CHECK(e.address() == at);
            return e.code();
        }
        return std::nullopt;
    }
    std::optional<std::uint32_t> fault(
        std::uint64_t at, sim::x86_mmu::intent wanted, privilege who = privilege::supervisor)
    {
        const auto code = exception(at, wanted, who);
        if (!code)
            return std::nullopt;
        CHECK(code->vector == 14);
        return code->error;
    }

    sim::memory memory;
    sim::recorder record;
    sim::x86_mmu mmu;
};

constexpr sim::exception_code protection{13, 0};

} // namespace

TEST_CASE("4-level paging translates pages of three sizes")
{
    tables t;
    t.put(0x2000, 1, 0x7'0020'0083);
    t.put(0x3000, 1, 0x9'4000'0083);
    t.put(0x4000, 511, 0x3003);
    t.four_level();
    CHECK(t.mmu.efer() == 0xd00);
    CHECK(t.mmu.translate(0x5678, writing) == 0x9678_pa);
    CHECK(t.mmu.translate(0x3f'ffff, reading) == phys_addr::at(0x7'003f'ffff));
    CHECK(t.mmu.translate(0x7fff'ffff, reading) == phys_addr::at(0x9'7fff'ffff));
    CHECK(t.mmu.translate(0xffff'ff80'0000'5678, reading) == 0x9678_pa);
    CHECK(t.fault(0x7000, reading) == 0u);
    CHECK(t.fault(0x80'0000'0000, reading) == 0u);
}

TEST_CASE("addresses are canonical in 48 bits or in 57")
{
    tables t;
    SECTION("four levels")
    {
        t.four_level();
        for (const std::uint64_t v : {0x8000'0000'0000u, 0xffff'7fff'ffff'f000u, 0x1'0000'0000'5000u})
            CHECK(t.exception(v, reading) == protection);
        CHECK(t.fault(0x7fff'ffff'f000, reading) == 0u);
        CHECK(t.fault(0xffff'8000'0000'0000, reading) == 0u);
    }
    SECTION("five levels")
    {
        t.put(0x5000, 0x100, 0x4003);
        t.four_level(la57);
        for (const std::uint64_t v : {0x100'0000'0000'0000u, 0xfeff'ffff'ffff'f000u, 0x200'0000'0000'5000u})
            CHECK(t.exception(v, reading) == protection);
        CHECK(t.mmu.translate(0x5678, reading) == 0x9678_pa);
        CHECK(t.mmu.translate(0xff00'0000'0000'5678, reading) == 0x9678_pa);
        CHECK(t.fault(0x8000'0000'0000, reading) == 0u);
        CHECK(t.fault(0xff'ffff'ffff'ffff, reading) == 0u);
    }
    SECTION("32 bits have no more than 32")
    {
        t.pae();
        CHECK_THROWS_AS(t.mmu.translate(0x1'0000'5000, reading), sim::machine_error);
    }
}

TEST_CASE("PAE paging reads its four pointers when CR3 is loaded and keeps them")
{
    tables t;
    t.put(0x3000, 3, 0x2001);
    t.pae();
    CHECK(t.mmu.translate(0x5678, writing) == 0x9678_pa);
    CHECK(t.mmu.translate(0xc000'5678, writing) == 0x9678_pa);
    CHECK(t.fault(0x4000'5678, reading) == 0u);
    CHECK(t.get(0x3000, 0) == 0x2001); // a pointer is never marked
    CHECK(t.get(0x2000, 0) == 0x1023);
    t.put(0x3000, 1, 0x2001);
    t.put(0x3000, 3, 0);
    t.mmu.invalidate(0xc000'5678);
    CHECK(t.mmu.translate(0xc000'5678, reading) == 0x9678_pa); // not in the caches: in registers
    CHECK(t.fault(0x4000'5678, reading) == 0u);
    t.mmu.load_cr3(0x3000);
    CHECK(t.fault(0xc000'5678, reading) == 0u);
    CHECK(t.mmu.translate(0x4000'5678, reading) == 0x9678_pa);
    // Any multiple of 32.
    t.put(0x6fe0, 0, 0);
    t.put(0x6fe0, 2, 0x2001);
    t.mmu.load_cr3(0x6fe0);
    CHECK(t.mmu.translate(0x8000'5678, reading) == 0x9678_pa);
    CHECK(t.fault(0x5678, reading) == 0u);
}

TEST_CASE("a reserved bit in a present pointer is refused by the load and nothing changes")
{
    for (unsigned bit = 1; bit < 64; ++bit) {
        tables t;
        t.pae();
        const bool reserved = bit <= 2 || (bit >= 5 && bit <= 8) || bit >= 52;
        const std::uint64_t pointer = 0x2000 | std::uint64_t{1} << bit;
        CAPTURE(bit);
        t.put(0x7000, 2, pointer);
        CHECK_NOTHROW(t.mmu.load_cr3(0x7000)); // absent
        t.mmu.load_cr3(0x3000);
        t.put(0x7000, 2, pointer | 1);
        if (!reserved) {
            CHECK_NOTHROW(t.mmu.load_cr3(0x7000));
            continue;
        }
        try {
            t.mmu.load_cr3(0x7000);
            FAIL("loaded");
        } catch (const sim::machine_error& e) {
            CHECK(e.code() == protection);
            CHECK(e.address() == 0x7010);
        }
        CHECK(t.mmu.cr3() == 0x3000);
        CHECK(t.mmu.translate(0x5000, reading) == 0x9000_pa);
    }
}

TEST_CASE("the pointers are read by loads of CR0 and CR4 that could change what they mean")
{
    tables t;
    t.pae();
    const auto read_by = [&](auto load) {
        t.put(0x3000, 1, 0x2003); // bad
        bool refused = false;
        try {
            load();
        } catch (const sim::machine_error&) {
            refused = true;
        }
        t.put(0x3000, 1, 0);
        return refused;
    };
    CHECK(read_by([&] { t.mmu.load_cr4(0x20 | pge); }));
    CHECK(read_by([&] { t.mmu.load_cr4(0x30); }));
    CHECK(read_by([&] { t.mmu.load_cr4(0x20 | smep); }));
    CHECK(read_by([&] { t.mmu.load_cr0(0xc001'0001); }));
    CHECK_FALSE(read_by([&] { t.mmu.load_cr4(0x20 | smap); }));
    CHECK_FALSE(read_by([&] { t.mmu.load_cr0(0x8000'0001); }));
    t.mmu.load_cr0(1);
    CHECK(read_by([&] { t.mmu.load_cr0(0x8001'0001); }));
    CHECK(t.mmu.cr0() == 1);
}

TEST_CASE("XD forbids a fetch on any level, and is reserved without NXE")
{
    for (const unsigned level : {1u, 2u, 3u, 4u}) {
        CAPTURE(level);
        const std::uint64_t table = 0x1000u * level;
        const unsigned i = level == 1 ? 5 : 0;
        tables with;
        with.put(table, i, with.get(table, i) | xd);
        with.four_level();
        CHECK(with.mmu.translate(0x5000, writing) == 0x9000_pa);
        CHECK(with.fault(0x5000, executing) == 0x11u); // known from writing
        with.mmu.load_cr3(0x4000);
        CHECK(with.fault(0x5000, executing) == 0x11u);
        CHECK(with.fault(0x5000, executing, privilege::user) == 0x15u);
        tables without;
        without.put(table, i, without.get(table, i) | xd);
        without.four_level(0, 0);
        CHECK(without.fault(0x5000, reading) == 9u);
        CHECK(without.fault(0x5000, executing) == 9u); // and no bit for the fetch
    }
    tables t;
    t.put(0x1000, 5, 0x9003 | xd);
    t.pae();
    CHECK(t.fault(0x5000, executing) == 0x11u);
    CHECK_FALSE(t.fault(0x5000, reading));
    t.mmu.load_efer(0);
    t.mmu.load_cr3(0x3000);
    CHECK(t.fault(0x5000, reading) == 9u);
}

TEST_CASE("XD of a table is remembered with it")
{
    tables t;
    t.put(0x2000, 0, 0x1003 | xd);
    t.put(0x1000, 7, 0xb003);
    t.four_level();
    CHECK(t.mmu.translate(0x5000, reading) == 0x9000_pa);
    CHECK(t.fault(0x7000, executing) == 0x11u); // through the directory entry that is known
}

TEST_CASE("reserved bits of 64-bit entries are faults")
{
    const auto said = [](auto prepare, std::uint64_t v, bool pae = false) {
        tables t;
        prepare(t);
        pae ? t.pae() : t.four_level();
        return t.fault(v, reading);
    };
    CHECK(said([](tables& t) { t.put(0x2000, 1, 0x20'2083); }, 0x20'0000) == 9u);
    CHECK(said([](tables& t) { t.put(0x2000, 1, 0x20'1083); }, 0x20'0000) == std::nullopt); // PAT
    CHECK(said([](tables& t) { t.put(0x3000, 1, 0x4020'0083); }, 0x4000'0000) == 9u);
    CHECK(said([](tables& t) { t.put(0x4000, 0, 0x3083); }, 0x5000) == 9u);
    CHECK(said([](tables& t) { t.put(0x1000, 5, 0x0010'0000'0000'9003); }, 0x5000) == std::nullopt);
    CHECK(said([](tables& t) { t.put(0x1000, 5, 0x0010'0000'0000'9003); }, 0x5000, true) == 9u);
    CHECK(said([](tables& t) { t.put(0x2000, 0, 0x4000'0000'0000'1003); }, 0x5000, true) == 9u);
    CHECK(said([](tables& t) { t.put(0x3000, 1, 0x4000'0083), t.mmu.gigabyte_pages = false; }, 0x4000'0000) == 9u);
    CHECK(said([](tables& t) { t.put(0x1000, 5, 0x40'0000'9003), t.mmu.physical_bits(38); }, 0x5000) == 9u);
    CHECK(said([](tables& t) { t.put(0x1000, 5, 0x20'0000'9003), t.mmu.physical_bits(38); }, 0x5000) == std::nullopt);
}

TEST_CASE("SMEP, SMAP and CR0.WP hold in 64-bit tables as in others")
{
    tables t;
    for (const std::uint64_t table : {0x2000u, 0x3000u, 0x4000u})
        t.put(table, 0, t.get(table, 0) | 4);
    t.put(0x1000, 7, 0xb007);
    t.four_level(smep | smap);
    CHECK(t.fault(0x7000, executing) == 0x11u);
    CHECK(t.fault(0x7000, reading) == 1u);
    CHECK(t.fault(0x7000, writing) == 3u);
    CHECK_FALSE(t.fault(0x7000, executing, privilege::user));
    CHECK_FALSE(t.fault(0x5000, executing));
    t.mmu.alignment_check = true;
    CHECK_FALSE(t.fault(0x7000, writing));
    CHECK(t.fault(0x7000, executing) == 0x11u);
    CHECK(t.fault(0x6000, writing) == 3u);
    t.mmu.load_cr0(0x8000'0001);
    CHECK_FALSE(t.fault(0x6000, writing));
    // One level that is not the user's makes the page the supervisor's.
    tables u;
    u.put(0x1000, 7, 0xb007);
    u.four_level(smep | smap);
    CHECK_FALSE(u.fault(0x7000, executing));
    CHECK(u.fault(0x7000, reading, privilege::user) == 5u);
    // A pointer of PAE paging has no say in it.
    tables p;
    p.put(0x2000, 0, 0x1007);
    p.put(0x1000, 7, 0xb007);
    p.pae(smap);
    CHECK(p.fault(0x7000, reading) == 1u);
    CHECK_FALSE(p.fault(0x7000, reading, privilege::user));
}

TEST_CASE("all levels are marked as used, the last one as written")
{
    tables t;
    t.four_level(la57);
    t.mmu.translate(0x5000, reading);
    CHECK(t.get(0x5000, 0) == 0x4023);
    CHECK(t.get(0x4000, 0) == 0x3023);
    CHECK(t.get(0x3000, 0) == 0x2023);
    CHECK(t.get(0x2000, 0) == 0x1023);
    CHECK(t.get(0x1000, 5) == 0x9023);
    CHECK(t.record.bytes(sim::access_kind::mark) == 40);
    CHECK(t.record.bytes(sim::access_kind::walk) == 40);
    t.mmu.translate(0x5000, writing);
    CHECK(t.get(0x1000, 5) == 0x9063);
    CHECK(t.get(0x2000, 0) == 0x1023);
    CHECK(t.record.bytes(sim::access_kind::walk) == 48); // the directory entry was known
}

TEST_CASE("a table is remembered on the lowest level that is known")
{
    tables t;
    t.put(0x2000, 1, 0x1003);
    t.put(0x3000, 1, 0x2003);
    t.four_level();
    t.mmu.translate(0x5000, reading);
    t.put(0x4000, 0, 0);
    CHECK(t.mmu.translate(0x20'5000, reading) == 0x9000_pa);   // past a pointer that is known
    CHECK(t.mmu.translate(0x4000'5000, reading) == 0x9000_pa); // past a PML4 entry that is known
    t.mmu.invalidate(0x1234'5000);                             // another page: and all tables
    CHECK(t.mmu.translate(0x5000, reading) == 0x9000_pa);
    CHECK(t.fault(0x20'6000, reading) == 0u);
}

TEST_CASE("INVLPG forgets a large page whole")
{
    tables t;
    t.put(0x2000, 1, 0x80'0083);
    t.four_level();
    CHECK(t.mmu.translate(0x20'0000, reading) == 0x80'0000_pa);
    CHECK(t.mmu.translate(0x3f'f000, reading) == 0x9f'f000_pa);
    t.put(0x2000, 1, 0xc0'0083);
    CHECK(t.mmu.translate(0x20'0000, reading) == 0x80'0000_pa);
    t.mmu.invalidate(0x2a'0000);
    CHECK(t.mmu.translate(0x20'0000, reading) == 0xc0'0000_pa);
    CHECK(t.mmu.translate(0x3f'f000, reading) == 0xdf'f000_pa);
}

TEST_CASE("what a context has translated stays its own until CR3 is loaded for it without bit 63")
{
    constexpr std::uint64_t keep = 0x8000'0000'0000'0000;
    tables t;
    t.four_level(pge);
    t.mmu.load_cr4(0x20 | pge | pcide);
    t.mmu.load_cr3(0x4001);
    const auto change = [&](std::uint64_t entry) { t.put(0x1000, 5, entry); };
    const auto at = [&] { return t.mmu.translate(0x5000, reading).raw(); };
    CHECK(at() == 0x9000);
    change(0xc003);
    t.mmu.load_cr3(0x4002);
    CHECK(at() == 0xc000);
    change(0xd003);
    t.mmu.load_cr3(0x4001 | keep);
    CHECK(t.mmu.cr3() == 0x4001);
    CHECK(at() == 0x9000); // its own, stale
    t.mmu.load_cr3(0x4002 | keep);
    CHECK(at() == 0xc000);
    t.mmu.load_cr3(0x4001);
    CHECK(at() == 0xd000);
    t.mmu.load_cr3(0x4002 | keep);
    CHECK(at() == 0xc000); // the other was not touched
    t.mmu.invalidate(0x5000);
    CHECK(at() == 0xd000);
    change(0xe003);
    t.mmu.load_cr3(0x4001 | keep);
    CHECK(at() == 0xd000); // INVLPG is for the current context
}

TEST_CASE("tables that name tables are remembered per context too")
{
    constexpr std::uint64_t keep = 0x8000'0000'0000'0000;
    tables t;
    t.put(0x1000, 7, 0xb003);
    t.four_level();
    t.mmu.load_cr4(0x20 | pcide);
    t.mmu.load_cr3(0x4001);
    t.mmu.translate(0x5000, reading);
    t.put(0x2000, 0, 0);
    t.mmu.load_cr3(0x4002);
    CHECK(t.fault(0x7000, reading) == 0u);
    t.mmu.load_cr3(0x4001 | keep);
    CHECK(t.mmu.translate(0x7000, reading) == 0xb000_pa);
}

TEST_CASE("a global page is every context's until CR4.PGE goes, and so is what the contexts had")
{
    constexpr std::uint64_t keep = 0x8000'0000'0000'0000;
    tables t;
    t.put(0x1000, 7, 0xb103);
    t.four_level(pge);
    t.mmu.load_cr4(0x20 | pge | pcide);
    t.mmu.load_cr3(0x4001);
    CHECK(t.mmu.translate(0x7000, reading) == 0xb000_pa);
    CHECK(t.mmu.translate(0x5000, reading) == 0x9000_pa);
    t.put(0x1000, 7, 0xc103);
    t.put(0x1000, 5, 0xd003);
    t.mmu.load_cr3(0x4002);
    CHECK(t.mmu.translate(0x7000, reading) == 0xb000_pa);
    SECTION("PGE")
    {
        t.mmu.load_cr4(0x20 | pcide);
        CHECK(t.mmu.translate(0x7000, reading) == 0xc000_pa);
        t.mmu.load_cr3(0x4001 | keep);
        CHECK(t.mmu.translate(0x5000, reading) == 0xd000_pa); // of all contexts
        t.put(0x1000, 7, 0xe103);
        t.mmu.load_cr3(0x4001);
        CHECK(t.mmu.translate(0x7000, reading) == 0xe000_pa); // global means nothing
    }
    SECTION("PCIDE")
    {
        t.mmu.load_cr4(0x20 | pge);
        CHECK(t.mmu.translate(0x7000, reading) == 0xc000_pa);
        CHECK(t.mmu.translate(0x5000, reading) == 0xd000_pa);
    }
    SECTION("SMEP")
    {
        t.mmu.load_cr4(0x20 | pge | pcide | smep);
        CHECK(t.mmu.translate(0x7000, reading) == 0xc000_pa);
        t.mmu.load_cr3(0x4001 | keep);
        CHECK(t.mmu.translate(0x5000, reading) == 0x9000_pa); // of the current context only
    }
    SECTION("INVLPG")
    {
        t.mmu.invalidate(0x7000);
        t.mmu.load_cr3(0x4001 | keep);
        CHECK(t.mmu.translate(0x7000, reading) == 0xc000_pa);
        CHECK(t.mmu.translate(0x5000, reading) == 0x9000_pa);
    }
}

TEST_CASE("without process contexts bit 63 of CR3 is reserved and every load forgets")
{
    tables t;
    t.four_level();
    CHECK(t.mmu.translate(0x5000, reading) == 0x9000_pa);
    CHECK_THROWS_AS(t.mmu.load_cr3(0x8000'0000'0000'4000), sim::machine_error);
    t.put(0x1000, 5, 0xc003);
    CHECK(t.mmu.translate(0x5000, reading) == 0x9000_pa);
    t.mmu.load_cr3(0x4018); // PCD and PWT, no context
    CHECK(t.mmu.translate(0x5000, reading) == 0xc000_pa);
}

TEST_CASE("what the processor refuses changes nothing and forgets nothing")
{
    tables t;
    t.four_level();
    t.mmu.load_cr4(0x20 | pcide);
    CHECK(t.mmu.translate(0x5000, reading) == 0x9000_pa);
    t.put(0x1000, 5, 0xc003);
    CHECK_THROWS_AS(t.mmu.load_cr0(0x0001'0001), sim::machine_error);         // PG before PCIDE
    CHECK_THROWS_AS(t.mmu.load_cr4(pcide), sim::machine_error);               // PAE
    CHECK_THROWS_AS(t.mmu.load_cr4(0x20 | pcide | la57), sim::machine_error); // LA57
    CHECK_THROWS_AS(t.mmu.load_efer(0x800), sim::machine_error);              // LME
    t.mmu.runs_64_bit_code(true);
    CHECK(t.mmu.cr0() == 0x8001'0001);
    CHECK(t.mmu.cr4() == (0x20 | pcide));
    CHECK(t.mmu.efer() == 0xd00);
    CHECK(t.mmu.translate(0x5000, reading) == 0x9000_pa);
    t.mmu.load_cr4(0x20);
    CHECK_THROWS_AS(t.mmu.load_cr0(0x0001'0001), sim::machine_error); // 64-bit code
    t.mmu.runs_64_bit_code(false);
    CHECK_NOTHROW(t.mmu.load_cr0(0x0001'0001));
    CHECK(t.mmu.efer() == 0x900);
    CHECK(t.mmu.translate(0x5000, reading) == 0x5000_pa);
}

TEST_CASE("the way from long mode down to 32-bit paging is the manual's")
{
    tables t;
    t.put(0x8000, 0, 0x0000'0083); // a 4 MB page at 0
    t.four_level(pge);
    CHECK(t.mmu.translate(0x5000, reading) == 0x9000_pa);
    t.mmu.load_cr0(0x0001'0001);
    t.mmu.load_efer(0);
    t.mmu.load_cr4(0x10);
    t.mmu.load_cr3(0x8000);
    t.mmu.load_cr0(0x8001'0001);
    CHECK(t.mmu.translate(0x5678, writing) == 0x5678_pa);
    CHECK(load<std::uint32_t>(t.memory, 0x8000_pa) == 0xe3);
    CHECK(load<std::uint32_t>(t.memory, 0x8004_pa) == 0); // entries of 4 bytes
}
