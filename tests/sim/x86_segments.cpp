// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/sim/x86_segments.hpp>

#include <tests/catch.hpp>

using namespace lobos;
using namespace lobos::literals;
using enum sim::x86_segments::name;
constexpr auto reading = sim::x86_mmu::intent::read;
constexpr auto writing = sim::x86_mmu::intent::write;
constexpr auto executing = sim::x86_mmu::intent::execute;

namespace {

constexpr std::uint64_t flat_code = 0x00cf'9b00'0000'ffff;
constexpr std::uint64_t flat_data = 0x00cf'9300'0000'ffff;

/// A descriptor table at 0x1000, without paging; code at 0x08, data at 0x10, the one under test at 0x18.
struct processor {
    processor() : segments{memory, mmu, record}
    {
        memory.add_ram(phys_range::of(0_pa, 64_KiB));
        put(0, 0);
        put(1, flat_code);
        put(2, flat_data);
    }
    void put(std::uint32_t i, std::uint64_t word) { store(memory, phys_addr::at(0x1000 + 8 * i), word); }
    void load(sim::x86_segments::name which, std::uint16_t selector) { segments.load(which, selector, table); }

    /// The exception that `act` ends with; vector 0 for none.
    template <class Act> static sim::exception_code exception(Act act)
    {
        try {
            act();
        } catch (const sim::machine_error& e) {
            REQUIRE(e.code());
            return *e.code();
        }
        return {0, 0};
    }
    sim::exception_code loading(sim::x86_segments::name which, std::uint16_t selector)
    {
        return exception([&] { load(which, selector); });
    }
    unsigned using_it(
        sim::x86_segments::name which, std::uint64_t offset, std::size_t size, sim::x86_mmu::intent wanted)
    {
        return exception([&] { (void)segments.linear(which, offset, size, wanted); }).vector;
    }

    sim::memory memory;
    sim::recorder record;
    sim::x86_mmu mmu{memory, &record};
    sim::x86_segments segments;
    sim::x86_descriptor_table table{0x1000, 0x1f};
};

constexpr unsigned gp = sim::x86_vector::general_protection;
constexpr unsigned ss_fault = sim::x86_vector::stack_fault;
constexpr unsigned np = sim::x86_vector::segment_not_present;
constexpr sim::exception_code none{0, 0};

} // namespace

TEST_CASE("a loaded descriptor stays in force when its table changes, until it is loaded again")
{
    processor p;
    p.load(cs, 0x08);
    p.load(ds, 0x10);
    CHECK(p.segments[ds].flat());
    p.put(2, 0x1240'9356'789a'000f); // base 0x1256'789a, 16 bytes
    CHECK(p.segments.linear(ds, 0x1234'5678, 4, writing) == 0x1234'5678);
    p.table.limit = 0;
    CHECK(p.segments.linear(ds, 0, 4, reading) == 0);
    CHECK(p.loading(ds, 0x10) == sim::exception_code{gp, 0x10});
    CHECK(p.segments[ds].flat()); // a load that fails changes nothing
    p.table.limit = 0x1f;
    p.load(ds, 0x10);
    CHECK_FALSE(p.segments[ds].flat());
    CHECK(p.segments.linear(ds, 4, 4, reading) == 0x1256'789e); // as hardware would: elsewhere
}

TEST_CASE("limits count, in bytes and pages, upwards and downwards")
{
    processor p;
    p.load(cs, 0x08);
    p.put(3, 0x0040'9200'0000'000f); // 16 bytes
    p.load(ds, 0x18);
    CHECK(p.using_it(ds, 12, 4, reading) == 0);
    CHECK(p.using_it(ds, 13, 4, reading) == gp);
    CHECK(p.using_it(ds, 0xffff'fffe, 4, reading) == gp);
    p.load(ss, 0x18);
    CHECK(p.using_it(ss, 16, 1, reading) == ss_fault);
    p.put(3, 0x00c0'9200'0000'0001); // 8 KiB
    p.load(ds, 0x18);
    CHECK(p.segments[ds].limit == 0x1fff);
    p.put(3, 0x00c0'9600'0000'0001); // from 8 KiB up
    p.load(ds, 0x18);
    CHECK(p.using_it(ds, 0x1fff, 4, reading) == gp);
    CHECK(p.using_it(ds, 0x2000, 4, reading) == 0);
    CHECK(p.using_it(ds, 0xffff'fffc, 4, writing) == 0);
    CHECK_FALSE(p.segments[ds].flat());
    p.put(3, 0x0080'9600'0000'0001); // B clear: up to 64 KiB
    p.load(ds, 0x18);
    CHECK(p.using_it(ds, 0x1'0000, 1, reading) == gp);
    CHECK(p.using_it(ds, 0xffff, 1, reading) == 0);
}

TEST_CASE("rights count: read-only data, code that cannot be read, nothing at all")
{
    processor p;
    p.load(cs, 0x08);
    CHECK(p.using_it(cs, 0, 4, executing) == 0);
    CHECK(p.using_it(cs, 0, 4, reading) == 0);
    CHECK(p.using_it(cs, 0, 4, writing) == gp);
    p.put(3, 0x00cf'9100'0000'ffff); // read-only data
    p.load(ds, 0x18);
    CHECK(p.using_it(ds, 0, 4, reading) == 0);
    CHECK(p.using_it(ds, 0, 4, writing) == gp);
    CHECK(p.loading(ss, 0x18) == sim::exception_code{gp, 0x18});
    p.put(3, 0x00cf'9900'0000'ffff); // execute-only code
    CHECK(p.loading(ds, 0x18) == sim::exception_code{gp, 0x18});
    p.load(cs, 0x18);
    CHECK(p.using_it(cs, 0, 4, reading) == gp);
    p.load(es, 0); // null
    CHECK(p.using_it(es, 0, 1, reading) == gp);
    CHECK(p.using_it(fs, 0, 1, reading) == gp); // never loaded
}

TEST_CASE("a load is refused as the manual says")
{
    processor p;
    p.load(cs, 0x08);
    CHECK(p.loading(cs, 0).vector == gp);
    CHECK(p.loading(ss, 3).vector == gp);
    CHECK(p.loading(gs, 3) == none);
    CHECK(p.loading(ds, 0x14).vector == gp); // a local table
    p.put(4, flat_data);
    CHECK(p.loading(ds, 0x20) == sim::exception_code{gp, 0x20}); // beyond the limit
    p.put(3, flat_data);
    p.table.limit = 0x1e;
    CHECK(p.loading(ds, 0x18) == sim::exception_code{gp, 0x18}); // by a byte
    p.table.limit = 0x1f;
    CHECK(p.loading(ds, 0x18) == none);
    CHECK(p.loading(cs, 0x10) == sim::exception_code{gp, 0x10}); // data
    CHECK(p.loading(ss, 0x08).vector == gp);                     // code
    CHECK(p.loading(ds, 0x08) == none);                          // readable code
    p.put(3, 0x0000'8900'0000'0067);
    CHECK(p.loading(ds, 0x18) == sim::exception_code{gp, 0x18}); // a system descriptor
    p.put(3, flat_data & ~(std::uint64_t{1} << 47));
    CHECK(p.loading(ds, 0x18) == sim::exception_code{np, 0x18});
    CHECK(p.loading(ss, 0x18) == sim::exception_code{ss_fault, 0x18});
    p.put(3, flat_code & ~(std::uint64_t{1} << 47));
    CHECK(p.loading(cs, 0x18) == sim::exception_code{np, 0x18});
}

TEST_CASE("privileges count: of the selector, of the descriptor, of who runs")
{
    constexpr std::uint64_t user = std::uint64_t{3} << 45;
    processor p;
    p.load(cs, 0x08);
    CHECK(p.loading(ds, 0x13).vector == gp); // RPL 3, DPL 0
    CHECK(p.loading(ss, 0x13).vector == gp);
    CHECK(p.loading(cs, 0x0b).vector == gp);
    p.put(3, flat_data | user);
    CHECK(p.loading(ds, 0x18) == none); // less privileged data
    CHECK(p.loading(ss, 0x18).vector == gp);
    p.put(3, flat_code | user);
    CHECK(p.loading(cs, 0x18).vector == gp);
    p.put(3, (flat_code | user) ^ std::uint64_t{1} << 42); // conforming, but of less privilege
    CHECK(p.loading(cs, 0x18).vector == gp);
    CHECK(p.loading(ds, 0x1b) == none);
    p.put(3, flat_code ^ std::uint64_t{1} << 42);
    CHECK(p.loading(cs, 0x18) == none);
    CHECK(p.segments.level() == 0);
}

TEST_CASE("the accessed bit is written where it is not set, and only there")
{
    using enum sim::access_kind;
    processor p;
    p.load(cs, 0x08);
    p.load(ds, 0x10);
    CHECK(p.record.bytes(mark) == 0);
    CHECK(p.record.bytes(walk) == 16);
    p.put(3, flat_data & ~(std::uint64_t{1} << 40));
    p.load(ds, 0x18);
    CHECK(load<std::uint64_t>(p.memory, 0x1018_pa) == flat_data);
    REQUIRE(p.record.bytes(mark) == 1);
    CHECK(p.record.first(mark, phys_range::of(0_pa, 64_KiB))->physical == 0x101d_pa);
    p.load(ds, 0x18);
    CHECK(p.record.bytes(mark) == 1);
}

namespace {

constexpr std::uint64_t long_code = 0x00af'9b00'0000'ffff;

/// In long mode, on tables that map 2 MB one to one: 64-bit code at 0x20, flat data at 0x10.
struct long_processor : processor {
    long_processor()
    {
        table.limit = 0x2f;
        put(4, long_code);
        store(memory, 0x8000_pa, std::uint64_t{0x9003});
        store(memory, 0x9000_pa, std::uint64_t{0xa003});
        store(memory, 0xa000_pa, std::uint64_t{0x83});
        for (const auto name : {cs, ds, es, fs, gs, ss})
            load(name, name == cs ? 0x08 : 0x10);
        mmu.load_cr4(0x20);
        mmu.load_cr3(0x8000);
        mmu.load_efer(0x100);
        mmu.load_cr0(0x8000'0001);
    }
};

} // namespace

TEST_CASE("compatibility mode is 32-bit code as ever, until a segment says that it is 64-bit code")
{
    long_processor p;
    CHECK_FALSE(p.segments.code_64());
    CHECK(p.using_it(ds, 0xffff'ffff, 2, reading) == gp);
    p.load(cs, 0x20);
    CHECK(p.segments.code_64());
    CHECK_THROWS_AS(p.mmu.load_cr0(1), sim::machine_error); // the processor knows too
    p.load(cs, 0x08);
    CHECK_FALSE(p.segments.code_64());
    CHECK_NOTHROW(p.mmu.load_cr0(1));
    // Outside of long mode the bit says nothing.
    p.load(cs, 0x20);
    CHECK_FALSE(p.segments.code_64());
}

TEST_CASE("64-bit code asks no limit, no right and no base, but addresses are canonical")
{
    long_processor p;
    p.put(3, 0x5640'9012'3456'000f); // read-only, 16 bytes at 0x56123456
    p.load(ds, 0x18);
    p.load(fs, 0x18);
    p.load(gs, 0);
    p.load(cs, 0x20);
    CHECK(p.segments.linear(ds, 0x1234'5678'9abc, 8, writing) == 0x1234'5678'9abc);
    CHECK(p.segments.linear(cs, 0xffff'8000'0000'0000, 8, writing) == 0xffff'8000'0000'0000);
    CHECK(p.segments.linear(fs, 0x10, 4, writing) == 0x5612'3466);
    CHECK(p.segments.linear(gs, 0x10, 4, writing) == 0x10);
    CHECK(p.using_it(ds, 0x7fff'ffff'fff8, 8, reading) == 0);
    CHECK(p.using_it(ds, 0x7fff'ffff'fff9, 8, reading) == gp);
    CHECK(p.using_it(ds, 0xffff'7fff'ffff'ffff, 1, reading) == gp);
    CHECK(p.using_it(cs, 0x8000'0000'0000, 1, executing) == gp);
    CHECK(p.using_it(ss, 0x8000'0000'0000, 1, writing) == ss_fault);
    // What is loaded is checked as ever.
    p.put(3, flat_code);
    CHECK(p.loading(ss, 0x18) == sim::exception_code{gp, 0x18});
    CHECK(p.loading(ds, 0x30) == sim::exception_code{gp, 0x30});
}

TEST_CASE("a null stack selector is 64-bit code's alone, and code of two widths is nobody's")
{
    long_processor p;
    CHECK(p.loading(ss, 0) == sim::exception_code{gp, 0});
    p.put(5, long_code | std::uint64_t{1} << 54);
    CHECK(p.loading(cs, 0x28) == sim::exception_code{gp, 0x28});
    p.load(cs, 0x20);
    CHECK(p.loading(ss, 0) == none);
    CHECK(p.segments.linear(ss, 0x1000, 8, writing) == 0x1000);
    CHECK(p.loading(ss, 1) == sim::exception_code{gp, 0}); // of another privilege
    CHECK(p.loading(cs, 0) == sim::exception_code{gp, 0});
    CHECK(p.loading(cs, 0x28) == sim::exception_code{gp, 0x28});
}

TEST_CASE("in real mode a number is a base, and limit and rights stay")
{
    processor p;
    p.put(3, 0x0000'9309'0000'1fff); // 8 KB at 0x90000
    p.load(ds, 0x18);
    p.load(es, 0x10);
    for (const auto name : {ds, es})
        p.segments.load_real(name, 0x1234);
    CHECK(p.segments[ds].selector == 0x1234);
    CHECK(p.segments[ds].base == 0x1'2340);
    CHECK(p.segments[ds].limit == 0x1fff);
    CHECK(p.segments[es].limit == 0xffff'ffff);
    CHECK(p.segments.linear(ds, 0x1fff, 1, writing) == 0x1'433f);
    CHECK(p.using_it(ds, 0x2000, 1, reading) == gp);
    p.segments.load_real(ss, 0); // null is a number like any other
    p.segments.load_real(ds, 0);
    CHECK(p.segments.linear(ds, 0x1000, 1, reading) == 0x1000);
}
