// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/alpha/machine_facts.hpp>

#include <tests/catch.hpp>
#include <tests/support/hwrpb_builder.hpp>

using namespace lobos;
using namespace lobos::alpha;
using namespace lobos::test;
using enum fault_code;

namespace {

/// A kernel as it runs behind an SRM console.
machine_facts running()
{
    return {.table_root = 0x2000_pa, .vptb = virt_addr::at(0xffff'fffe'0000'0000)};
}

template <class Change> fault leaving(Change change)
{
    machine_facts f = running();
    change(f);
    return fault_of(can_be_left(f));
}

fault mapping_fault(fault_code code, std::uint64_t at)
{
    return {code, stage::mapping, at};
}

} // namespace

TEST_CASE("what is not said is the usual Alpha", "[alpha][machine_facts]")
{
    const machine_facts f{};
    CHECK(f.status == 0);
    CHECK(f.primary);
    CHECK(f.halt.flags == 0_pa);
    CHECK(f.reset == reset_store{});
}

TEST_CASE("an Alpha's kernel is left in kernel mode, with interrupts or without", "[alpha][machine_facts]")
{
    for (std::uint64_t priority = 0; priority < 8; ++priority) {
        CHECK(leaving([&](auto& f) { f.status = priority; }) == no_fault);
        CHECK(leaving([&](auto& f) { f.status = 8 | priority; }) == mapping_fault(unsupported, 8 | priority));
    }
}

TEST_CASE("the running root is one that a PTBR can name", "[alpha][machine_facts]")
{
    const auto root = [](std::uint64_t at) { return leaving([&](auto& f) { f.table_root = phys_addr::at(at); }); };
    CHECK(root(0) == no_fault);
    CHECK(root(0x1fff'ffff'e000) == no_fault); // page number 0xffff'ffff
    CHECK(root(0x2000'0000'0000) == mapping_fault(bad_range, 0x2000'0000'0000));
    CHECK(root(0xffff'ffff'ffff'e000) == mapping_fault(bad_range, 0xffff'ffff'ffff'e000));
    for (const std::uint64_t odd : {0x2001u, 0x3000u, 0x1008u})
        CHECK(root(odd) == mapping_fault(misaligned, odd));
}

TEST_CASE("the virtual page table is where tables reach", "[alpha][machine_facts]")
{
    const auto vptb = [](std::uint64_t at) { return leaving([&](auto& f) { f.vptb = virt_addr::at(at); }); };
    CHECK(vptb(0x2'0000'0000) == no_fault);
    CHECK(vptb(0x2'0000'2000) == mapping_fault(misaligned, 0x2'0000'2000));
    CHECK(vptb(0x1'0000'0000) == mapping_fault(misaligned, 0x1'0000'0000));
    CHECK(vptb(0x400'0000'0000) == mapping_fault(bad_range, 0x400'0000'0000));             // in no quarter
    CHECK(vptb(0xffff'fc00'0000'0000) == mapping_fault(bad_range, 0xffff'fc00'0000'0000)); // kseg
}

TEST_CASE("only the primary processor of an Alpha leaves", "[alpha][machine_facts]")
{
    CHECK(leaving([](auto& f) { f.primary = false; }) == mapping_fault(wrong_processor, 0));
}

TEST_CASE("every change of an Alpha that counts is noticed", "[alpha][machine_facts]")
{
    const machine_facts then = running();
    const auto changed = [&](auto change) {
        machine_facts now = then;
        change(now);
        return fault_of(is_unchanged(then, now));
    };
    const fault root{table_root_changed, stage::committing, 0x2000};
    CHECK(changed([](auto&) {}) == no_fault);
    CHECK(changed([](auto& f) { f.table_root = 0x4000_pa; }) == fault{table_root_changed, stage::committing, 0x4000});
    CHECK(changed([](auto& f) { f.vptb = 0x2'0000'0000_va; }) == root);
    for (unsigned bit = 0; bit < 64; ++bit) { // priority and the rest of PS come and go
        CAPTURE(bit);
        CHECK(changed([&](auto& f) { f.status = std::uint64_t{1} << bit; }) == (bit == 3 ? root : no_fault));
    }
    CHECK(changed([](auto& f) { f.primary = false; }) == fault{wrong_processor, stage::committing, 0});
    CHECK(changed([](auto& f) { f.halt.flags = 0x1'81c0_pa; }) == no_fault); // nothing rests on it
    CHECK(changed([](auto& f) { f.reset = {virt_addr::at(0xffff'fd01'fc00'0064), 0xfe}; }) == no_fault);
}

namespace {

machine_facts told(console_block block, std::uint64_t whami)
{
    auto memory = block.in_memory();
    const auto reader = hwrpb_reader<byte_memory>::open(memory, phys_addr::at(console_block::at));
    REQUIRE(reader);
    return facts_of(*reader, whami);
}

phys_addr halt_flags(console_block block, std::uint64_t whami)
{
    auto memory = block.in_memory();
    const auto reader = hwrpb_reader<byte_memory>::open(memory, phys_addr::at(console_block::at));
    REQUIRE(reader);
    return halt_request_of(*reader, whami).flags;
}

} // namespace

TEST_CASE("the console's block knows VPTB and the primary processor", "[alpha][machine_facts]")
{
    const machine_facts first = told({}, 0);
    CHECK(first.vptb == virt_addr::at(0xffff'fffe'0000'0000));
    CHECK(first.primary);
    CHECK(first.halt == halt_request{}); // it may be a copy
    CHECK(first.table_root == 0_pa);     // nobody tells that
    CHECK(first.status == 0);

    const machine_facts third = told(console_block{}.set(32, 2).set(120, 0x2'0000'0000), 2); // the primary one's number
    CHECK(third.vptb == 0x2'0000'0000_va);
    CHECK(third.primary);
    CHECK_FALSE(told(console_block{}.set(32, 2), 0).primary);
    CHECK_FALSE(told({}, 3).primary);
}

TEST_CASE("the console's block knows where it looks for a halt", "[alpha][machine_facts]")
{
    CHECK(halt_flags({}, 0) == phys_addr::at(0x1'2000 + 320 + 128));
    CHECK(halt_flags({}, 2) == phys_addr::at(0x1'2000 + 320 + 2 * 624 + 128));
    CHECK(halt_flags({}, 3) == phys_addr::at(0x1'2000 + 320 + 3 * 624 + 128));
}

TEST_CASE("a slot that cannot be read has no flags for a halt", "[alpha][machine_facts]")
{
    CHECK(halt_flags({}, 4) == 0_pa); // there are four
    CHECK(halt_flags({}, ~0ull) == 0_pa);
    CHECK(halt_flags(console_block{}.set(144, 0), 0) == 0_pa);
    CHECK(halt_flags(console_block{}.set(152, 160), 0) == 0_pa); // too short
    CHECK(halt_flags(console_block{}.set(160, 324), 0) == 0_pa); // no multiple of 8
    CHECK(halt_flags(console_block{}.set(160, ~7ull), 3) == 0_pa);
    CHECK(told(console_block{}.set(160, ~7ull), 3).vptb == virt_addr::at(0xffff'fffe'0000'0000)); // all else is told
}

TEST_CASE("the running root is seen through the running tables, and told", "[alpha][machine_facts]")
{
    std::optional<virt_addr> asked;
    const auto load = [&](virt_addr at) {
        asked = at;
        return paging_8k::entry<2>::table(0x1234'e000_pa).bits;
    };
    machine_facts told = running();
    told.primary = false;
    const machine_facts now = facts_now(told, 5, load);
    CHECK(asked == virtual_page_table::at(told.vptb)->self());
    CHECK(now.table_root == 0x1234'e000_pa);
    CHECK(now.status == 5);
    CHECK_FALSE(now.primary);
    CHECK(now.vptb == told.vptb);

    // Where no tables can be seen, nobody looks; can_be_left refuses it.
    asked.reset();
    told.vptb = 0x2000_va;
    CHECK(facts_now(told, 5, load).table_root == told.table_root);
    CHECK_FALSE(asked);
    CHECK(fault_of(can_be_left(facts_now(told, 0, load))) == mapping_fault(misaligned, 0x2000));
}
