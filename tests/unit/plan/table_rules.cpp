// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/alpha/paging_8k.hpp>
#include <lobos/x86/paging_pae.hpp>

#include <tests/support/rule_checks.hpp>

using namespace lobos;
using namespace lobos::test;
using enum fault_code;

TEST_CASE("rule 5: what the overlay touches is mapped one to one", "[plan][rules]")
{
    sound_plan p;
    const phys_addr root = p.plan.new_root;
    const phys_addr first_written = phys_addr::at(p.steps.front().destination);
    const struct {
        phys_addr page; // a 4 MB page
        fault unmapped; // what is missed first
        fault read_only;
    } places[] = {
        {sound_plan::kernel, refused(not_mapped, first_written), refused(not_writable, first_written)},
        {sound_plan::staged, refused(not_mapped, 0x0080'0800_pa), no_fault},
        {sound_plan::code, refused(not_mapped, sound_plan::code), refused(not_writable, sound_plan::stack)},
        {sound_plan::bounce, refused(not_mapped, sound_plan::bounce), refused(not_writable, sound_plan::bounce)},
        {sound_plan::log, refused(not_mapped, sound_plan::trail), refused(not_writable, sound_plan::trail)},
    };
    for (const auto& place : places) {
        const std::uint32_t good = p.directory_entry(root, at_same(place.page));
        CAPTURE(place.page);
        p.set_directory_entry(root, at_same(place.page), 0);
        CHECK(rule_5(p) == place.unmapped);
        p.set_directory_entry(root, at_same(place.page), good ^ 0x0200'0000); // to somewhere else
        CHECK(rule_5(p) == place.unmapped);
        p.set_directory_entry(root, at_same(place.page), good | x86::page_bit::large_reserved);
        CHECK(rule_5(p) == place.unmapped);
        p.set_directory_entry(root, at_same(place.page), good & ~x86::page_bit::writable);
        CHECK(rule_5(p) == place.read_only);
        p.set_directory_entry(root, at_same(place.page), good);
    }
    CHECK(rule_5(p) == no_fault);
    p.set_directory_entry(root, at_same(sound_plan::log), 0);
    p.program.trail = overlay_program::no_trail;
    CHECK(rule_5(p) == no_fault);
}

TEST_CASE("rule 5: what is there without tables needs none, and beyond that nothing is there", "[plan][rules]")
{
    using alpha::paging_8k;
    const memory_map nothing{};
    sparse_memory memory; // without any tables
    exec_plan plan{};
    plan.page = 8_KiB;
    const verifier_context<sparse_memory> c{plan, nothing.map, memory, {}, 1};
    const auto finds = [&](std::uint64_t first, std::uint64_t last) {
        const auto r = phys_range::between(phys_addr::at(first), phys_addr::at(last));
        return fault_of(rules::overlay_finds<paging_8k>(c, r, rules::touch::writes));
    };
    CHECK(finds(0, 0) == no_fault);
    CHECK(finds(0x1234, 0xff'ffff'ffff) == no_fault);
    CHECK(finds(0xff'ffff'ffff, 0x100'0000'0000) == refused(not_mapped, 0xff'ffff'ffff));
    CHECK(finds(0x100'0000'0000, 0x100'0000'0000) == refused(not_mapped, 0x100'0000'0000));
    CHECK(finds(~0ull, ~0ull) == refused(not_mapped, ~0ull));
}

TEST_CASE("rule 5: to the last byte", "[plan][rules]")
{
    sound_plan p;
    // The page behind the kernel's is the staged one: not mapped, then read-only, then what is behind that.
    const std::uint32_t staged = p.directory_entry(p.plan.new_root, at_same(sound_plan::staged));
    p.set_directory_entry(p.plan.new_root, at_same(sound_plan::staged), 0);
    CHECK(rule_5(p, {0x007f'ffff, 0x0040'0000, 1}) == no_fault);
    CHECK(rule_5(p, {0x007f'ffff, 0x0040'0000, 2}) == refused(not_mapped, 0x0080'0000));
    CHECK(rule_5(p, {0x0040'0000, 0x007f'ffff, 2}) == refused(not_mapped, 0x0080'0000));
    p.set_directory_entry(p.plan.new_root, at_same(sound_plan::staged), staged & ~x86::page_bit::writable);
    CHECK(rule_5(p, {0x007f'ffff, 0x0040'0000, 2}) == refused(not_writable, 0x0080'0000));
    CHECK(rule_5(p, {0x0040'0000, 0x007f'ffff, 2}) == no_fault);
    // At the end of what 32 bits reach the walk ends too.
    p.set_directory_entry(p.plan.new_root, 0xffff'ffff_va, directory::leaf(0xffc0'0000_pa, access::read_write).bits);
    CHECK(rule_5(p, overlay_step::fill(0xffff'ff00, 0x100)) == no_fault);
}

TEST_CASE("rule 5: a copy without paging needs the mapping only for the way there, and all of it below 4 GiB",
    "[plan][rules]")
{
    sound_plan p;
    p.plan.regime = copy_regime::unpaged;
    const phys_addr root = p.plan.new_root;
    for (const phys_addr copied : {sound_plan::kernel, sound_plan::staged})
        p.set_directory_entry(root, at_same(copied), 0);
    CHECK(rule_5(p) == no_fault);
    const std::uint32_t code = p.directory_entry(root, at_same(sound_plan::code));
    p.set_directory_entry(root, at_same(sound_plan::code), 0);
    CHECK(rule_5(p) == refused(not_mapped, sound_plan::code));
    p.set_directory_entry(root, at_same(sound_plan::code), code);

    CHECK(rule_5(p, {four_g - 8, 0x0040'0000, 8}) == no_fault);
    CHECK(rule_5(p, {four_g - 8, 0x0040'0000, 9}) == refused(bad_range, four_g - 8));
    CHECK(rule_5(p, {0x0040'0000, four_g - 8, 8}) == no_fault);
    CHECK(rule_5(p, {0x0040'0000, four_g, 8}) == refused(bad_range, four_g));
    CHECK(rule_5(p, overlay_step::fill(0x0040'0000, 8)) == no_fault);
}

TEST_CASE("rule 5: what is saved is read whole, whatever of it is wanted later", "[plan][rules]")
{
    sound_plan p;
    const std::uint64_t bounce = sound_plan::bounce.raw();
    p.set_directory_entry(p.plan.new_root, at_same(sound_plan::staged), 0);
    CHECK(rule_5(p, {bounce, 0x0040'0000, 4096}) == no_fault);
    CHECK(rule_5(p, {bounce, 0x007f'f001, 4096}) == refused(not_mapped, 0x0080'0000));
    p.steps = {{bounce, 0x007f'f001, 4096}, {0x0040'0000, bounce, 16}};
    p.lay_out();
    CHECK(rule_5(p) == refused(not_mapped, 0x0080'0000));
}

TEST_CASE("rules 5 and 8: what is run may be executed", "[plan][rules]")
{
    using x86::paging_pae;
    constexpr std::uint64_t no_execute = std::uint64_t{1} << 63;
    const memory_map nothing{};
    sparse_memory memory;
    exec_plan plan{};
    plan.page = 4_KiB;
    plan.new_root = 0x0010'0000_pa;
    plan.entry_root = plan.new_root;
    plan.entered_paged = true;
    plan.entry = 0x0012'3456_va;
    const segment kernel{.destination = phys_range::of(0x0010'0000_pa, 1_MiB)};
    plan.image = {&kernel, 1};
    verifier_context<sparse_memory> c{plan, nothing.map, memory, {}, 1};
    const phys_range page = phys_range::of(0x0012'3000_pa, 4_KiB);
    const auto run = [&] { return fault_of(rules::overlay_finds<paging_pae>(c, page, rules::touch::runs)); };
    const auto entered = [&] { return fault_of(rules::entry_is_inside<paging_pae>(c)); };
    const auto map = [&](std::uint64_t directory_bits, std::uint64_t leaf_bits) {
        store(memory, 0x0010'0000_pa, std::uint64_t{0x0010'1001});
        store(memory, 0x0010'1000_pa, std::uint64_t{0x0010'2003} | directory_bits);
        store(memory, 0x0010'2000_pa + byte_count::of(0x123 * 8), std::uint64_t{0x0012'3003} | leaf_bits);
    };
    map(0, 0);
    CHECK(run() == no_fault);
    CHECK(entered() == no_fault);
    map(no_execute, 0);
    CHECK(run() == refused(not_executable, page.first()));
    CHECK(entered() == refused(not_executable, plan.entry.raw()));
    map(0, no_execute);
    CHECK(run() == refused(not_executable, page.first()));
    CHECK(entered() == refused(not_executable, plan.entry.raw()));
    for (const auto how : {rules::touch::reads, rules::touch::writes})
        CHECK(fault_of(rules::overlay_finds<paging_pae>(c, page, how)) == no_fault);
    CHECK(rules::touch_of(safe_role::code) == rules::touch::runs);
}

TEST_CASE("rule 7: the page of the switch is the overlay's code, before and after", "[plan][rules]")
{
    sound_plan p;
    const fault differs = refused(switch_page_differs, sound_plan::switch_page.raw());
    const phys_addr new_table = sound_plan::tables + 4_KiB;
    SECTION("in both tables")
    {
        for (const phys_addr table : {sound_plan::running_table, new_table}) {
            CAPTURE(table);
            const auto good = load<std::uint32_t>(p.memory, table);
            store(p.memory, table, std::uint32_t{0});
            CHECK(rule_7(p) == differs);
            store(p.memory, table, table_entry::leaf(sound_plan::stack, access::read_write).bits);
            CHECK(rule_7(p) == differs);
            store(p.memory, table, good);
            CHECK(rule_7(p) == no_fault);
        }
    }
    SECTION("alike, but not the code")
    {
        for (const phys_addr table : {sound_plan::running_table, new_table})
            store(p.memory, table, table_entry::leaf(sound_plan::stack, access::read_write).bits);
        CHECK(rule_7(p) == differs);
    }
    SECTION("a whole page of it")
    {
        p.plan.switch_page += 16_bytes;
        p.plan.code += 16_bytes; // alike at its first byte, but the page ends early
        CHECK(rule_7(p) == refused(switch_page_differs, p.plan.switch_page.raw()));
        // A large page in one of the tables is no help when the other's ends.
        p.set_directory_entry(
            p.plan.new_root, p.plan.switch_page, directory::leaf(sound_plan::code, access::read_write).bits);
        CHECK(rule_7(p) == refused(switch_page_differs, p.plan.switch_page.raw()));
        p.set_directory_entry(
            sound_plan::running_root, p.plan.switch_page, directory::leaf(sound_plan::code, access::read_write).bits);
        CHECK(rule_7(p) == no_fault);
        p.set_directory_entry(p.plan.new_root, p.plan.switch_page, directory::table(new_table).bits);
        CHECK(rule_7(p) == refused(switch_page_differs, p.plan.switch_page.raw()));
    }
}

TEST_CASE("rule 7: the page of the switch may be executed, before and after", "[plan][rules]")
{
    constexpr std::uint64_t no_execute = std::uint64_t{1} << 63;
    const memory_map nothing{};
    sparse_memory memory;
    exec_plan plan{};
    plan.page = 4_KiB;
    plan.code = 0x00c0'0000_pa;
    plan.switch_page = 0x0000'0000_va;
    plan.running_root = 0x0010'0000_pa;
    plan.new_root = 0x0010'2000_pa;
    const auto put = [&](phys_addr root, std::uint64_t leaf_bits) {
        store(memory, root, root.raw() + 0x1000 + 1);
        store(memory, root + 4_KiB, std::uint64_t{0x00c0'00e3} | leaf_bits); // 2 MB
    };
    const auto verdict = [&](std::uint64_t running, std::uint64_t own) {
        put(plan.running_root, running);
        put(plan.new_root, own);
        verifier_context<sparse_memory> c{plan, nothing.map, memory, {}, 1};
        return fault_of(rules::switch_page_is_alike<x86::paging_pae>(c));
    };
    CHECK(verdict(0, 0) == no_fault);
    CHECK(verdict(no_execute, 0) == refused(switch_page_differs, 0));
    CHECK(verdict(0, no_execute) == refused(switch_page_differs, 0));
}

TEST_CASE("rule 8: the entry lies in what is copied", "[plan][rules]")
{
    sound_plan p;
    const auto enter = [&](phys_addr a) {
        p.plan.entry = at_same(a);
        return rule_8(p);
    };
    CHECK(enter(sound_plan::kernel) == no_fault);
    CHECK(enter(sound_plan::zeros_at - 1_bytes) == no_fault);
    for (const phys_addr a : {sound_plan::kernel - 1_bytes, sound_plan::zeros_at, sound_plan::scratch, sound_plan::kept,
             sound_plan::survivor, sound_plan::code, phys_addr::at(top)}) {
        CAPTURE(a);
        CHECK(enter(a) == refused(entry_not_in_image, a));
    }
    p.safe[sound_plan::s_survivor].range = phys_range::of(sound_plan::kernel + 0x100_bytes, 1_bytes);
    CHECK(enter(sound_plan::kernel + 0x100_bytes) == refused(entry_not_in_image, sound_plan::kernel + 0x100_bytes));
    CHECK(enter(sound_plan::kernel + 0x101_bytes) == no_fault);
}

TEST_CASE("rule 8: a paged image finds itself where it expects itself", "[plan][rules]")
{
    sound_plan p;
    p.enter_paged();
    const phys_addr root = p.plan.new_root;
    const virt_addr at = sound_plan::kernel_at;
    SECTION("the entry is mapped, into the image")
    {
        p.plan.entry = at + 0x7fff_bytes;
        CHECK(rule_8(p) == refused(entry_not_in_image, p.plan.entry.raw()));
        p.plan.entry = 0xe000'0000_va;
        CHECK(rule_8(p) == refused(not_mapped, 0xe000'0000));
        p.plan.entry = at_same(sound_plan::kernel); // one to one, if it asks for that
        CHECK(rule_8(p) == no_fault);
    }
    SECTION("every page of it")
    {
        p.layout.push_back({virt_range::of(at + 4_MiB - 1_bytes, 2_bytes), sound_plan::kernel + 4_MiB - 1_bytes, true});
        CHECK(rule_8(p) == refused(not_mapped, 0xc080'0000));
        p.set_directory_entry(root, at + 4_MiB, directory::leaf(0x00c0'0000_pa, access::read_write).bits);
        CHECK(rule_8(p) == refused(not_mapped, 0xc080'0000)); // elsewhere
        p.set_directory_entry(root, at + 4_MiB, directory::leaf(0x0080'0000_pa, access::read_only).bits);
        CHECK(rule_8(p) == refused(not_writable, 0xc080'0000));
        p.layout.back().writable = false;
        CHECK(rule_8(p) == no_fault);
    }
    SECTION("the first of it")
    {
        p.layout[0].physical += 4_KiB;
        CHECK(rule_8(p) == refused(not_mapped, at.raw()));
    }
    SECTION("to the last address")
    {
        p.layout.push_back(
            {virt_range::between(0xffff'f000_va, 0xffff'ffff_va), 0x0080'0000_pa + 0x3ff000_bytes, true});
        CHECK(rule_8(p) == refused(not_mapped, 0xffff'f000));
        p.set_directory_entry(root, 0xffff'ffff_va, directory::leaf(0x0080'0000_pa, access::read_write).bits);
        CHECK(rule_8(p) == no_fault);
    }
    SECTION("an unpaged entry asks for none of this")
    {
        p.plan.entered_paged = false;
        p.plan.entry = at_same(sound_plan::kernel);
        p.layout[0].physical += 4_KiB;
        CHECK(rule_8(p) == no_fault);
    }
}

TEST_CASE("rule 8: a paged image finds itself in the tables that it is entered on", "[plan][rules]")
{
    sound_plan p;
    p.enter_paged();
    p.plan.entry_root = sound_plan::running_root; // these have it too
    p.set_directory_entry(p.plan.new_root, sound_plan::kernel_at, 0);
    CHECK(rule_8(p) == no_fault);
    p.set_directory_entry(sound_plan::running_root, sound_plan::kernel_at, 0);
    CHECK(rule_8(p) == refused(not_mapped, p.plan.entry.raw()));
}
