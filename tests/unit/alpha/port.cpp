// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/alpha/port.hpp>

#include <elf.h>

#include <tests/catch.hpp>
#include <tests/support/alpha_departing.hpp>

using namespace lobos;
using namespace lobos::alpha;
using namespace lobos::test;
using enum fault_code;

namespace {

using world = alpha_departing;
constexpr std::uint64_t code = world::code, frame = world::frame;

/// Contracts are looked at by their types only.
struct kernel_image {
    static constexpr entry_state state = entry_state::kernel;
    using paging = same_paging;
};

struct some_processor {
    machine_facts facts() { return {}; }
    overlay_code code() { return {}; }
    void interrupts_off() noexcept {}
    void depart(virt_addr, virt_addr) {}
};
static_assert(processor<some_processor>);

/// Counts what is put into tables.
struct counted {
    int calls = 0;
    result<void> operator()(const mapping&)
    {
        ++calls;
        return {};
    }
};

/// The fault of writing a machinery that something is wrong with.
template <class Change> fault written(Change change)
{
    world w;
    change(w);
    return fault_of(w.write());
}

} // namespace

TEST_CASE("the frame, word for word", "[alpha][port]")
{
    world w;
    REQUIRE(fault_of(w.write()) == no_fault);
    const struct {
        std::uint64_t offset, value;
    } words[] = {
        {0, 0xffff'fc00'0001'4000},   // where it is
        {8, 0x1'4080},                // the context, physical
        {16, 0xffff'fc00'0001'0050},  // guard
        {24, 0xffff'fc00'0001'0030},  // copy
        {32, 0xffff'fc00'0001'0040},  // leave
        {40, 0x1'4100},               // the program, physical
        {48, 0xffff'fc00'0101'0000},  // the image's entry
        {56, 0x1234'5678'9abc'def0},  // and its a0
        {64, 0xffff'fffe'0000'0000},  // VPTB
        {72, 0xffff'fc00'0001'4218},  // the breadcrumb that nobody reads
        {80, 0xffff'fc00'0001'81c0},  // flags of a halt
        {88, 0x2'0000},               // a cold bootstrap
        {96, 0xffff'ffff'ff00'fffe},  // in place of the reason, and no bootstrap that failed
        {104, 0xffff'fd01'fc00'0064}, // a device that resets
        {112, 0xfe},
        {120, 0},
        {128, 0xffff'fc00'0001'4000}, // where the stack ends
        {136, 0},
        {144, 0x11}, // the root, as PTBR has it
        {152, 0},
        {160, 0},
        {168, 1}, // FEN
        {256, 0x1'6000},
        {264, ~0ull},
        {272, 1},
        {280, 0x1'a000},
        {288, 0x1'bfff},
    };
    for (const auto& word : words) {
        CAPTURE(word.offset);
        CHECK(w.at(frame + word.offset) == word.value);
    }
    for (std::uint64_t offset = 176; offset < 256; offset += 8)
        CHECK(w.at(frame + offset) == 0);
    CHECK(w.plan.code_size == 144_bytes);
    CHECK(port::program_offset == 256);
}

TEST_CASE("the code page has its head and the pieces, and nothing else", "[alpha][port]")
{
    world w;
    REQUIRE(fault_of(w.write()) == no_fault);
    CHECK(w.at(code) == 0xffff'fc00'0001'0000);
    CHECK(w.at(code + 8) == 0xffff'fc00'0001'4000);
    const struct {
        std::uint64_t at, size, is;
    } pieces_wanted[] = {{16, 20, 0x11}, {48, 16, 0x22}, {64, 4, 0x33}, {80, 60, 0x44}};
    for (std::uint64_t i = 16; i < 0x2000; ++i) {
        std::uint64_t wanted = 0;
        for (const auto& p : pieces_wanted)
            if (i >= p.at && i < p.at + p.size)
                wanted = p.is;
        if (w.at(code + i, 1) != wanted)
            FAIL("byte " << i);
    }
}

TEST_CASE("the root is made seen where the PALcode looks, and where a Linux ends", "[alpha][port]")
{
    world w;
    REQUIRE(fault_of(w.write()) == no_fault);
    CHECK(w.at(world::vptb_entry) == 0x11'0000'1101);
    CHECK(w.at(world::linux_vptb_entry) == 0x11'0000'1101);
    CHECK(written([](auto& c) { c.running.vptb = virt_addr::at(world::linux_vptb); }) == no_fault); // one and the same
    CHECK(written([](auto& c) { c.poke(world::vptb_entry, 0x11'0000'1101); }) == no_fault);         // there already
    CHECK(written([](auto& c) { c.poke(world::vptb_entry, 0x1'0000'0101); }) ==
        fault{mapping_conflict, stage::mapping, world::vptb});
    CHECK(written([](auto& c) { c.poke(world::linux_vptb_entry, 0x1'0000'0101); }) ==
        fault{mapping_conflict, stage::mapping, world::linux_vptb});
    CHECK(written([](auto& c) { c.running.vptb = 0x2'0000'2000_va; }) ==
        fault{misaligned, stage::mapping, 0x2'0000'2000});
    CHECK(written([](auto& c) { c.running.vptb = virt_addr::at(alpha_kseg); }) ==
        fault{bad_range, stage::mapping, alpha_kseg});
}

TEST_CASE("an Alpha's pieces fill one page at most", "[alpha][port]")
{
    const auto guard_of = [](std::size_t size) { // which begins at 80
        return written([&](auto& w) { w.parts[3] = bytes(size); });
    };
    CHECK(guard_of(0x2000 - 80) == no_fault);
    CHECK(guard_of(0x2000 - 79) == fault{no_space, stage::staging, 0x2010}); // whole pieces of 16
    world w;
    w.parts[3] = bytes(0x2000 - 80);
    REQUIRE(fault_of(w.write()) == no_fault);
    CHECK(w.plan.code_size == 8_KiB);
}

TEST_CASE("the context has to be one that the PALcode takes", "[alpha][port]")
{
    CHECK(written([](auto& w) { w.plan.stack = w.plan.stack + 8_bytes; }) ==
        fault{misaligned, stage::staging, alpha_kseg + world::stack + 0x2008});
    CHECK(written([](auto& w) { w.plan.new_root = w.plan.new_root + 8_bytes; }) ==
        fault{misaligned, stage::staging, world::root + 8});
    CHECK(written([](auto& w) { w.plan.new_root = 0x2000'0000'0000_pa; }) ==
        fault{bad_range, stage::staging, 0x2000'0000'0000});
}

TEST_CASE("a log is noted in by its address in kseg", "[alpha][port]")
{
    const auto trail = [](std::uint64_t at) { return written([&](auto& w) { w.program.trail = at; }); };
    world w;
    w.program.trail = 0x7'0040;
    REQUIRE(fault_of(w.write()) == no_fault);
    CHECK(w.at(frame + 72) == 0xffff'fc00'0007'0040);
    CHECK(w.at(frame + 264) == 0x7'0040);
    CHECK(trail(0xff'ffff'ffc0) == no_fault);
    CHECK(trail(0x100'0000'0000) == fault{bad_range, stage::staging, 0x100'0000'0000});
}

TEST_CASE("where nobody knows of a word for a halt none is written", "[alpha][port]")
{
    for (const std::uint64_t flags : {0ull, 0x100'0000'0000ull}) { // unknown, and where kseg does not reach
        world w;
        w.running.halt.flags = phys_addr::at(flags);
        REQUIRE(fault_of(w.write()) == no_fault);
        CHECK(w.at(frame + 80) == 0);
    }
}

TEST_CASE("where nobody knows of a device that resets none is told", "[alpha][port]")
{
    world w;
    w.running.reset = {};
    REQUIRE(fault_of(w.write()) == no_fault);
    CHECK(w.at(frame + 104) == 0);
    CHECK(w.at(frame + 112) == 0);
}

TEST_CASE("what is written is what rule 10 wants, and what is found is what was meant", "[alpha][port]")
{
    world w;
    REQUIRE(fault_of(w.write()) == no_fault);
    CHECK(fault_of(w.sound()) == no_fault);
    const memory_map nothing{};
    const verifier_context<sparse_memory> context{w.plan, nothing.map, w.memory, {}, 1};
    CHECK(port::registers_found(context) == entry_registers{0x1234'5678'9abc'def0});
    w.poke(frame + 56, 5);
    CHECK(port::registers_found(context) == entry_registers{5});
}

TEST_CASE("an Alpha is left in one way only", "[alpha][port]")
{
    const auto way = port::route_of<kernel_image>(copy_regime::paged);
    REQUIRE(way);
    CHECK(fault_of(port::route_of<kernel_image>(copy_regime::unpaged)) == fault{unsupported, stage::planning, 0});
    CHECK(port::machinery_reach(*way) == phys_range::between(0_pa, phys_addr::at(0xff'ffff'ffff)));
    CHECK(port::mode_pages(*way) == 0);
    CHECK_FALSE(port::has_entry_tables(*way));
    CHECK(port::page_size == 8_KiB);
    const exec_plan plan{};
    counted put;
    CHECK(port::map_for_copy(*way, plan, put));
    CHECK(port::map_for_entry<paging_8k>(*way, plan, put));
    CHECK(put.calls == 0); // all is in kseg
}

TEST_CASE("an Alpha that cannot be left is refused by the port", "[alpha][port]")
{
    machine_facts facts{.table_root = 0x2000_pa, .vptb = virt_addr::at(world::vptb)};
    CHECK(port::accepts(facts));
    machine_facts moved = facts;
    moved.table_root = 0x4000_pa;
    CHECK(port::unchanged(facts, facts));
    CHECK(fault_of(port::unchanged(facts, moved)) == fault{table_root_changed, stage::committing, 0x4000});
    facts.primary = false;
    CHECK(fault_of(port::accepts(facts)) == fault{wrong_processor, stage::mapping, 0});
}

TEST_CASE("an Alpha's departure begins behind the head, at the running kernel's address", "[alpha][port]")
{
    const departure_aliases where{virt_addr::at(0xffff'fe00'0071'0000), virt_addr::at(0xffff'fe00'0073'0000),
        virt_addr::at(0xffff'fe00'0075'0000)};
    CHECK(port::departure(where) == virt_addr::at(0xffff'fe00'0071'0010));
    CHECK(port::frame_argument(where) == virt_addr::at(0xffff'fe00'0073'0000));
}

TEST_CASE("an Alpha's files have the number that tools write", "[alpha][port]")
{
    CHECK(elf_machine == EM_ALPHA);
}
