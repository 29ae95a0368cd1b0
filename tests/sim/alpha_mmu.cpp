// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/sim/alpha_mmu.hpp>

#include <tests/catch.hpp>

using namespace lobos;
using namespace lobos::literals;
using sim::alpha_exception;
using sim::alpha_fault;
constexpr auto reading = sim::alpha_mmu::intent::read;
constexpr auto writing = sim::alpha_mmu::intent::write;
constexpr auto executing = sim::alpha_mmu::intent::execute;
using search = sim::alpha_mmu::search;

namespace {

constexpr std::uint64_t vptb = 0xffff'fffe'0000'0000;

/// Tables at 0x2000 to 0x7fff: the root, which names itself for VPTB, a table of level 2 at 0x4000 for the first 8 GB,
/// and one of level 3 at 0x6000 for the first 8 MB. Page 5 is at 0x1'2000, page 6 at 0x1'4000 and read-only.
struct tables {
    explicit tables(search looks = search::virtual_table) : mmu{memory, &record}
    {
        memory.add_ram(phys_range::of(0_pa, 1_MiB));
        for (std::uint64_t at = 0x2000; at < 0x8000; at += 8)
            put(at, 0);
        root(0, entry(0x4000, 0x1101));
        root(1023, entry(0x2000, 0x1101));
        put(0x4000, entry(0x6000, 0x1101));
        page(5, entry(0x1'2000, 0x1101));
        page(6, entry(0x1'4000, 0x0101));
        mmu.root_page = 1;
        mmu.vptb = vptb;
        mmu.looks = looks;
    }
    static std::uint64_t entry(std::uint64_t at, std::uint64_t bits) { return at >> 13 << 32 | bits; }
    void put(std::uint64_t at, std::uint64_t word) { store(memory, phys_addr::at(at), word); }
    void root(std::uint64_t i, std::uint64_t word) { put(0x2000 + 8 * i, word); }
    void page(std::uint64_t i, std::uint64_t word) { put(0x6000 + 8 * i, word); }

    /// What a fault tells, or nothing when there is none.
    std::optional<alpha_exception> fault(std::uint64_t at, sim::alpha_mmu::intent wanted)
    {
        try {
            (void)mmu.translate(at, wanted);
        } catch (const alpha_exception& e) {
            return e;
        }
        return std::nullopt;
    }
    static alpha_exception of(std::uint64_t at, alpha_fault what, std::uint64_t cause)
    {
        return alpha_exception::memory(at, what, cause);
    }

    sim::memory memory;
    sim::recorder record;
    sim::alpha_mmu mmu;
};

constexpr auto by_load = alpha_exception::by_load;
constexpr auto by_store = alpha_exception::by_store;
constexpr auto by_fetch = alpha_exception::by_fetch;

} // namespace

TEST_CASE("kseg is physical memory one to one, and its upper half is I/O")
{
    tables t;
    t.mmu.root_page = 0xffff'ffff; // no tables are asked
    CHECK(t.mmu.translate(0xffff'fc00'0000'0000, executing) == 0_pa);
    CHECK(t.mmu.translate(0xffff'fc00'0001'2345, writing) == 0x1'2345_pa);
    CHECK(t.mmu.translate(0xffff'fcff'ffff'ffff, reading) == phys_addr::at(0xff'ffff'ffff));
    CHECK(t.mmu.translate(0xffff'fd01'fc00'03f8, writing) == phys_addr::at(0x801'fc00'03f8));
    CHECK(t.record.count() == 0);
}

TEST_CASE("an address is of 43 bits, with their sign in all others")
{
    tables t;
    for (const std::uint64_t at :
        {0x0000'0400'0000'a000ull, 0xffff'f800'0000'a000ull, 0x8000'0000'0000'a000ull, 0x0000'0c00'0001'2345ull}) {
        CAPTURE(at);
        CHECK(t.fault(at, writing) == tables::of(at, alpha_fault::access_violation, by_store));
    }
}

TEST_CASE("tables are walked as the manual says, wherever entries are looked for")
{
    const auto looks = GENERATE(search::virtual_table, search::virtual_table_or_walk, search::walk);
    tables t{looks};
    CHECK(t.mmu.translate(0xa123, reading) == 0x1'2123_pa);
    CHECK(t.mmu.translate(0xbfff, writing) == 0x1'3fff_pa);
    CHECK(t.mmu.translate(0xa000, executing) == 0x1'2000_pa);
    CHECK(t.mmu.translate(0xc008, reading) == 0x1'4008_pa);
    CHECK(t.fault(0xc008, writing) == tables::of(0xc008, alpha_fault::access_violation, by_store));
    CHECK(t.fault(0x8000, reading) == tables::of(0x8000, alpha_fault::access_violation, by_load)); // entry of zeros

    SECTION("what an entry forbids")
    {
        const auto check = [&](std::uint64_t bits, auto wanted, std::optional<alpha_fault> what) {
            CAPTURE(bits);
            t.page(7, tables::entry(0x1'6000, bits));
            const auto found = t.fault(0xe000, wanted);
            CHECK(found.has_value() == what.has_value());
            CHECK((!found || found->a1 == static_cast<std::uint64_t>(*what)));
            t.mmu.forget_all();
        };
        using enum alpha_fault;
        check(0x1101, writing, {});
        check(0x1100, writing, translation_not_valid);
        check(0x1100, executing, translation_not_valid);
        check(0x0100, writing, access_violation); // rights first
        check(0x1001, reading, access_violation);
        check(0x1001, executing, access_violation);
        check(0x3301, reading, {});
        check(0x2201, reading, access_violation); // the user's rights are not the kernel's
        check(0x1103, reading, fault_on_read);
        check(0x1103, writing, {});
        check(0x1105, writing, fault_on_write);
        check(0x1109, executing, fault_on_execute);
        check(0x1109, reading, {});
        check(0x010f, writing, access_violation);
    }
    SECTION("entries above the last have to be valid and readable")
    {
        t.put(0x4000, tables::entry(0x6000, 0x101));
        CHECK(t.mmu.translate(0xa000, writing) == 0x1'2000_pa);
        t.mmu.forget_all();
        t.put(0x4000, tables::entry(0x6000, 0x100));
        CHECK(t.fault(0xa000, reading) == tables::of(0xa000, alpha_fault::translation_not_valid, by_load));
        t.put(0x4000, tables::entry(0x6000, 0x001));
        CHECK(t.fault(0xa000, executing) == tables::of(0xa000, alpha_fault::access_violation, by_fetch));
        t.put(0x4000, tables::entry(0x6000, 0x101));
        t.root(0, 0x100);
        CHECK(t.fault(0xa000, writing) == tables::of(0xa000, alpha_fault::translation_not_valid, by_store));
    }
    SECTION("the last page, and memory above 4 GiB")
    {
        t.put(0x4000 + 8 * 1023, tables::entry(0x6000, 0x101));
        t.page(1023, tables::entry(0x1fff'ffff'e000, 0x1101));
        CHECK(t.mmu.translate(0x1'ffff'ffff, reading) == phys_addr::at(0x1fff'ffff'ffff));
    }
}

TEST_CASE("what was translated is remembered until it is told to be forgotten, for code and for data")
{
    tables t;
    t.mmu.space = 3;
    (void)t.mmu.translate(0xa000, reading);
    (void)t.mmu.translate(0xa000, executing);
    const auto walks = t.record.count();
    (void)t.mmu.translate(0xa000, writing);
    CHECK(t.record.count() == walks);
    t.page(5, tables::entry(0x1'8000, 0x1101));
    CHECK(t.mmu.translate(0xa000, reading) == 0x1'2000_pa);
    CHECK(t.mmu.translate(0xa000, executing) == 0x1'2000_pa);
    t.mmu.forget_data_page(0xa000);
    CHECK(t.mmu.translate(0xa000, reading) == 0x1'8000_pa);
    CHECK(t.mmu.translate(0xa000, executing) == 0x1'2000_pa);
    t.mmu.forget_instruction_page(0xa000);
    CHECK(t.mmu.translate(0xa000, executing) == 0x1'8000_pa);

    SECTION("another address space does not know it, and does not forget it")
    {
        t.page(5, tables::entry(0x1'a000, 0x1101));
        t.mmu.space = 4;
        CHECK(t.mmu.translate(0xa000, reading) == 0x1'a000_pa);
        t.mmu.space = 3;
        CHECK(t.mmu.translate(0xa000, reading) == 0x1'8000_pa);
    }
    SECTION("what is for every space survives another root, another space, and tbiap")
    {
        t.page(5, tables::entry(0x1'a000, 0x1111));
        t.mmu.forget_spaces();
        CHECK(t.mmu.translate(0xa000, reading) == 0x1'a000_pa);
        store(t.memory, 0x8'1ff8_pa, std::uint64_t{0x100});
        t.mmu.root_page = 0x40; // where nothing is mapped
        t.mmu.space = 9;
        t.mmu.forget_spaces();
        CHECK(t.mmu.translate(0xa000, reading) == 0x1'a000_pa);
        t.mmu.forget_all();
        CHECK(t.fault(0xa000, reading)); // nobody has written there
    }
    SECTION("that there is nothing is not remembered")
    {
        CHECK(t.fault(0x8000, reading));
        t.page(4, tables::entry(0x1'a000, 0x1101));
        CHECK(t.mmu.translate(0x8000, reading) == 0x1'a000_pa);
    }
}

TEST_CASE("without an entry by which the root names itself, it depends on the PALcode")
{
    const auto looks = GENERATE(search::virtual_table, search::virtual_table_or_walk, search::walk);
    tables t{looks};
    t.root(1023, 0x100);
    if (looks == search::virtual_table)
        CHECK(t.fault(0xa000, writing) == tables::of(0xa000, alpha_fault::translation_not_valid, by_store));
    else
        CHECK(t.mmu.translate(0xa000, writing) == 0x1'2000_pa);
}

TEST_CASE("VPTB is where the entries are looked for, and the buffer for data knows its pages")
{
    tables t;
    t.root(1, tables::entry(0x2000, 0x1101));
    t.root(1023, 0);
    t.mmu.vptb = 0x2'0000'0000;
    CHECK(t.mmu.translate(0xa000, executing) == 0x1'2000_pa);
    // Its page of entries is known now, whatever becomes of the tables: a stale one is worse than none.
    t.root(1, 0x100);
    CHECK(t.mmu.translate(0xc000, reading) == 0x1'4000_pa);
    t.mmu.forget_all();
    CHECK(t.fault(0xa000, reading));

    t.root(1, tables::entry(0x2000, 0x1101));
    t.put(0x4000, tables::entry(0x6000, 0x1103)); // faults on reads, which the PALcode has no use for
    CHECK_THROWS_AS(t.mmu.translate(0xa000, reading), sim::machine_error);
    t.mmu.vptb = 0xffff'fc00'0000'0000;
    CHECK_THROWS_AS(t.mmu.translate(0xa000, reading), sim::machine_error);
}

TEST_CASE("to look into the mapping leaves no trace")
{
    tables t;
    CHECK(t.mmu.peek(0xa123, writing) == 0x1'2123_pa);
    CHECK(t.record.count() == 0);
    t.page(5, 0);
    CHECK_THROWS_AS(t.mmu.peek(0xa123, writing), alpha_exception);
    (void)t.mmu.translate(0xc000, reading);
    CHECK(t.record.count() == 4); // three levels for the entry's address, and the entry
    CHECK(t.record.bytes(sim::access_kind::walk) == 32);
    t.record.clear();
    t.page(6, 0);
    CHECK(t.mmu.peek(0xc010, reading) == 0x1'4010_pa); // as the buffer has it
}
