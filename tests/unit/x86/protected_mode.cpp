// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/protected_mode.hpp>

#include <cstring>
#include <functional>

#include <lobos/x86/paging_4m.hpp>

#include <tests/support/paging_modes.hpp>

using namespace lobos;
using namespace lobos::test;
using namespace lobos::x86;

namespace {

using port = protected_mode<paging_4m>;

constexpr std::uint64_t flat_code = 0x00cf'9b00'0000'ffff;
constexpr std::uint64_t flat_data = 0x00cf'9300'0000'ffff;

/// A kernel that runs at 3 GiB with its descriptor table in two small pages that lie apart, and a plan in low memory.
struct departing {
    table_world<paging_4m> world;
    machine_facts running{.table_root = 0_pa,
        .descriptors = {0xc000'2ff4_va, 6 * 8 - 1}, // the second entry lies across the end of its page
        .cr0 = 0x8001'0033,
        .cr4 = 0x90,
        .code_selector = 0x10,
        .data_selector = 0x18};
    exec_plan plan{};
    overlay_code code{
        .bytes = {}, .depart = 0, .arrive = 0x30, .copy = 0x60, .leave_unpaged = 0x90, .leave_paged = 0xc0};
    entry_registers values{.eax = 0x2bad'b002, .ebx = 0x1111'2222, .esi = 0x3333'4444};
    overlay_program program{};

    departing()
    {
        running.table_root = phys_addr::at(world.root);
        world.map(0, 0xc000'2000, 0x9000);
        world.map(0, 0xc000'3000, 0xb000);
        const std::uint64_t words[] = {0xdead'dead'dead'dead, 0x00cf'fa00'0000'ffff, 0x00cf'9a00'0000'ffff,
            0x00cf'9200'0000'ffff, 0x0000'8900'1000'0067, 0x1122'3344'5566'7788};
        bytes table(sizeof words);
        std::memcpy(table.data(), words, sizeof words);
        world.memory.write(0x9ff4_pa, std::span{table}.first(12));
        world.memory.write(0xb000_pa, std::span{table}.subspan(12));

        plan.code = 0x1'0000_pa;
        plan.code_size = 0x100_bytes;
        plan.stack = 0x1'1000_pa;
        plan.frame = 0x1'2000_pa;
        plan.program = plan.frame + byte_count::of(port::program_offset);
        plan.new_root = 0x1'3000_pa;
        plan.entry = 0xc010'0020_va;
        program.first_page = 0x1'4000;
        program.trail = overlay_program::no_trail;
        program.skip_count = 1;
        program.skips[0] = {0x1'5000, 0x1'5fff};
    }

    result<void> write(descriptor_choice choice, way_out out)
    {
        return port::write_frame(world.memory, plan, running, code, choice, out, values, program);
    }
    std::uint64_t field(std::size_t offset, unsigned width)
    {
        bytes page(4096);
        world.memory.read(plan.frame, page);
        return peek(page, offset, width);
    }
    result<void> sound() { return port::departure_is_sound(plan, world.memory); }
    void patch_frame(std::uint64_t offset, unsigned width, std::uint64_t value)
    {
        bytes changed(width);
        patch(changed, 0, width, value);
        world.memory.write(plan.frame + byte_count::of(offset), changed);
    }
};

constexpr std::size_t table_offset = 64 + sizeof(overlay_program);

} // namespace

TEST_CASE("the control bits are the manual's", "[x86][protected_mode]")
{
    CHECK(cr0::protection == 0x1);
    CHECK(cr0::write_protect == 0x1'0000);
    CHECK(cr0::paging == 0x8000'0000);
    CHECK(cr4::large_pages == 0x10);
    CHECK(cr4::wide_pages == 0x20);
    CHECK(cr4::global_pages == 0x80);
    CHECK(elf_machine == 3);
}

TEST_CASE("only a kernel in protected mode with 4 MB paging on can be left", "[x86][protected_mode]")
{
    const auto said = [](std::uint32_t cr0, std::uint32_t cr4) {
        machine_facts f{};
        f.cr0 = cr0;
        f.cr4 = cr4;
        return fault_of(port::accepts(f));
    };
    const auto unsupported = [](std::uint64_t at) { return fault{fault_code::unsupported, stage::mapping, at}; };
    CHECK(said(0x8000'0001, 0x10) == no_fault);
    CHECK(said(0xffff'ffff, 0xffff'ffdf) == no_fault);
    CHECK(said(0x8000'0000, 0x10) == unsupported(0x8000'0000));
    CHECK(said(0x0001'0001, 0x10) == unsupported(0x0001'0001));
    CHECK(said(0, 0x10) == unsupported(0));
    CHECK(said(0x8000'0001, 0) == unsupported(0));
    CHECK(said(0x8000'0001, 0x30) == unsupported(0x30));
    CHECK(said(0x8000'0001, 0x20) == unsupported(0x20));
}

TEST_CASE("every change of the machine is noticed", "[x86][protected_mode]")
{
    const machine_facts then{0x1000_pa, {0xc000'0000_va, 0x1f}, 0x8001'0033, 0x90, 0x10, 0x18};
    CHECK(port::unchanged(then, then).has_value());
    const auto said = [&](auto change) {
        machine_facts now = then;
        change(now);
        return fault_of(port::unchanged(then, now));
    };
    const fault root{fault_code::table_root_changed, stage::committing, 0x1000};
    const fault table{fault_code::descriptor_table_changed, stage::committing, 0xc000'0000};
    CHECK(said([](auto& f) { f.table_root = 0x2000_pa; }) == fault{root.code, root.in, 0x2000});
    CHECK(said([](auto& f) { f.cr0 ^= 0x1'0000; }) == root);
    CHECK(port::unchanged(then,
        [&] {
            auto f = then;
            f.cr0 ^= 8;
            return f;
        }())
            .has_value()); // CR0.TS comes and goes
    CHECK(said([](auto& f) { f.cr4 ^= 0x80; }) == root);
    CHECK(said([](auto& f) { f.descriptors.base = 0xc000'1000_va; }) == fault{table.code, table.in, 0xc000'1000});
    CHECK(said([](auto& f) { f.descriptors.limit = 0x17; }) == table);
    CHECK(said([](auto& f) { f.code_selector = 8; }) == table);
    CHECK(said([](auto& f) { f.data_selector = 8; }) == table);
}

TEST_CASE("the frame for Linux, field by field as the assembly reads it", "[x86][protected_mode]")
{
    departing d;
    const bytes ones(4096, std::byte{0xff});
    d.world.memory.write(d.plan.frame, ones);
    REQUIRE(fault_of(d.write(descriptor_choice::flat, way_out::unpaged)) == no_fault);
    CHECK(d.field(0, 4) == 0x1'3000);                 // movl 0(%eax), %ecx: CR3
    CHECK(d.field(4, 4) == 0x1'2000);                 // movl 4(%eax), %ebx: the frame from here on
    CHECK(d.field(8, 4) == 0x1'2000);                 // movl 8(%ebx), %esp: one past the stack
    CHECK(d.field(12, 4) == 0x1'0030);                // movl 12(%eax), %edx: arrive
    CHECK(d.field(16, 4) == 0x1'0060);                // pushl 16(%ebx): copy
    CHECK(d.field(20, 4) == 0x1'0090);                // pushl 20(%ebx): leave
    CHECK(d.field(24, 4) == 0x10);                    // pushl 24(%ebx): code selector
    CHECK(d.field(28, 4) == 0x18);                    // movl 28(%ebx), %eax: data selector
    CHECK(d.field(32, 2) == 0x1f);                    // lgdt 32(%ebx): limit ...
    CHECK(d.field(34, 4) == 0x1'2000 + table_offset); // ... and base
    CHECK(d.field(40, 4) == 0xc010'0020);             // entry
    CHECK(d.field(44, 4) == 0x2bad'b002);             // eax
    CHECK(d.field(48, 4) == 0x1111'2222);             // ebx
    CHECK(d.field(52, 4) == 0x3333'4444);             // esi
    CHECK(d.field(56, 4) == 0x1'2000 + 64);           // pushl 56(%ebx): the program
    CHECK(d.field(64, 8) == 0x1'4000);
    CHECK(d.field(72, 8) == ~std::uint64_t{0});
    CHECK(d.field(80, 8) == 1);
    CHECK(d.field(88, 8) == 0x1'5000);
    CHECK(d.field(96, 8) == 0x1'5fff);
    CHECK(d.field(table_offset, 8) == 0);
    CHECK(d.field(table_offset + 8, 8) == 0);
    CHECK(d.field(table_offset + 16, 8) == flat_code);
    CHECK(d.field(table_offset + 24, 8) == flat_data);
    CHECK(d.field(table_offset + 32, 8) == 0); // nothing of what was there before
    CHECK(fault_of(d.sound()) == no_fault);
}

TEST_CASE(
    "the frame for a paged kernel has all of the running table, and the running selectors", "[x86][protected_mode]")
{
    departing d;
    REQUIRE(fault_of(d.write(descriptor_choice::cloned, way_out::paged)) == no_fault);
    CHECK(d.field(20, 4) == 0x1'00c0);
    CHECK(d.field(24, 4) == 0x10);
    CHECK(d.field(28, 4) == 0x18);
    CHECK(d.field(32, 2) == 6 * 8 - 1);
    const std::uint64_t expected[] = {
        0, 0x00cf'fb00'0000'ffff, flat_code, flat_data, 0x0000'8900'1000'0067, 0x1122'3344'5566'7788};
    for (unsigned i = 0; i < 6; ++i)
        CHECK(d.field(table_offset + 8 * i, 8) == expected[i]);
    CHECK(d.field(table_offset + 48, 8) == 0);
    CHECK(fault_of(d.sound()) == no_fault);
}

TEST_CASE("the largest table that fits, and one that does not", "[x86][protected_mode]")
{
    departing d;
    d.world.map(0, 0xc000'3000, 0xb000);
    d.running.descriptors = {0xc000'3000_va, 256 * 8 - 1};
    CHECK(fault_of(d.write(descriptor_choice::cloned, way_out::paged)) == no_fault);
    CHECK(d.field(32, 2) == 0x7ff);
    d.running.descriptors.limit += 8;
    CHECK(fault_of(d.write(descriptor_choice::cloned, way_out::paged)) ==
        fault{fault_code::no_space, stage::mapping, 257});
    d.running.descriptors.limit = 0x1e;
    CHECK(fault_of(d.write(descriptor_choice::cloned, way_out::paged)) ==
        fault{fault_code::bad_descriptor_table, stage::mapping, 0x1e});
}

TEST_CASE("a running table that is not mapped to its end is refused", "[x86][protected_mode]")
{
    departing d;
    d.running.descriptors = {0xc000'3ff0_va, 23}; // the next page is not there
    CHECK(fault_of(d.write(descriptor_choice::cloned, way_out::paged)) ==
        fault{fault_code::not_mapped, stage::mapping, 0xc000'4000});
    d.running.descriptors = {0xffff'fff0_va, 31};
    CHECK(fault_of(d.write(descriptor_choice::cloned, way_out::paged)).code == fault_code::not_mapped);
    // Nobody looks at it for a flat table.
    CHECK(fault_of(d.write(descriptor_choice::flat, way_out::unpaged)) == no_fault);
}

TEST_CASE("a frame that does not agree with the plan is refused", "[x86][protected_mode]")
{
    departing good;
    REQUIRE(good.write(descriptor_choice::flat, way_out::unpaged));
    REQUIRE(fault_of(good.sound()) == no_fault);
    const fault broken{fault_code::entry_contract_broken, stage::verifying, 0x1'2000};
    for (const std::size_t offset : {0u, 4u, 8u, 40u, 56u})
        for (unsigned bit = 0; bit < 32; ++bit) {
            departing d = good;
            d.patch_frame(offset, 4, d.field(offset, 4) ^ std::uint64_t{1} << bit);
            CAPTURE(offset, bit);
            CHECK(fault_of(d.sound()) == broken);
        }
    for (const std::size_t offset : {12u, 16u, 20u})
        for (const std::uint64_t place : {0x0'ffffull, 0x1'0100ull, 0ull, 0xffff'ffffull}) {
            departing d = good;
            d.patch_frame(offset, 4, place);
            CAPTURE(offset, place);
            CHECK(fault_of(d.sound()) == broken);
            d.patch_frame(offset, 4, 0x1'00ff);
            CHECK(fault_of(d.sound()) == no_fault);
        }
    departing elsewhere = good;
    elsewhere.plan.program = elsewhere.plan.program + 8_bytes;
    elsewhere.patch_frame(56, 4, elsewhere.plan.program.raw());
    CHECK(fault_of(elsewhere.sound()) == broken);
}

TEST_CASE("what 32 bits cannot say is refused, not cut", "[x86][protected_mode]")
{
    const phys_addr far = 0x1'0001'3000_pa;
    const auto said = [&](auto change) {
        departing d;
        change(d.plan);
        REQUIRE(d.write(descriptor_choice::flat, way_out::unpaged));
        return fault_of(d.sound()).code;
    };
    CHECK(said([&](exec_plan& p) { p.new_root = far; }) == fault_code::entry_contract_broken);
    CHECK(said([&](exec_plan& p) { p.code = far; }) == fault_code::entry_contract_broken);
    CHECK(said([&](exec_plan& p) { p.stack = far; }) == fault_code::entry_contract_broken);
    CHECK(said([&](exec_plan& p) { p.entry = virt_addr::at(far.raw()); }) == fault_code::entry_contract_broken);
    CHECK(said([&](exec_plan& p) { p.stack = 0xffff'f000_pa; }) == fault_code::entry_contract_broken);
}

TEST_CASE("a descriptor table that does not lie in the frame is refused", "[x86][protected_mode]")
{
    departing good;
    REQUIRE(good.write(descriptor_choice::flat, way_out::unpaged));
    const std::uint64_t base = 0x1'2000 + table_offset;
    for (const std::uint64_t other : {base + 8, base - 8, base ^ 0x8000'0000}) {
        departing d = good;
        d.patch_frame(34, 4, other);
        CHECK(fault_of(d.sound()) == fault{fault_code::bad_descriptor_table, stage::verifying, other});
    }
    for (const std::uint64_t limit : {0x1eull, 0x18ull, 0x800ull, 0x807ull, 0xffffull}) {
        departing d = good;
        d.patch_frame(32, 2, limit);
        CAPTURE(limit);
        CHECK(fault_of(d.sound()) == fault{fault_code::bad_descriptor_table, stage::verifying, base});
    }
    departing full = good;
    full.patch_frame(32, 2, 0x7ff);
    CHECK(fault_of(full.sound()) == no_fault);
}

TEST_CASE("selectors have to name flat segments of the table", "[x86][protected_mode]")
{
    departing good;
    REQUIRE(good.write(descriptor_choice::flat, way_out::unpaged));
    const auto bad = [](std::uint64_t at) { return fault{fault_code::bad_descriptor_table, stage::verifying, at}; };
    for (const std::size_t offset : {24u, 28u})
        for (const std::uint64_t selector : {0ull, 1ull, 8ull, 0x11ull, 0x12ull, 0x14ull, 0x1bull, 0x20ull, 0x800ull,
                 0xfff8ull, 0x1'0010ull, 0xffff'fff8ull, offset == 24 ? 0x18ull : 0x10ull}) {
            departing d = good;
            d.patch_frame(offset, 4, selector);
            CAPTURE(offset, selector);
            CHECK(fault_of(d.sound()) == bad(selector));
        }
    // The last byte of the descriptor has to be within the limit.
    departing cut = good;
    cut.patch_frame(32, 2, 0x17);
    CHECK(fault_of(cut.sound()) == bad(0x18));
    cut.patch_frame(32, 2, 0x0f);
    CHECK(fault_of(cut.sound()) == bad(0x10));
    for (unsigned bit = 0; bit < 64; ++bit) {
        if (bit == 40)
            continue;
        departing code = good;
        code.patch_frame(table_offset + 16, 8, flat_code ^ std::uint64_t{1} << bit);
        CHECK(fault_of(code.sound()) == bad(0x10));
        departing data = good;
        data.patch_frame(table_offset + 24, 8, flat_data ^ std::uint64_t{1} << bit);
        CHECK(fault_of(data.sound()) == bad(0x18));
    }
}

TEST_CASE("a running kernel whose own selectors are not flat cannot hand them on", "[x86][protected_mode]")
{
    departing d;
    d.running.code_selector = 0x08; // the user's
    REQUIRE(d.write(descriptor_choice::cloned, way_out::paged));
    CHECK(fault_of(d.sound()) == fault{fault_code::bad_descriptor_table, stage::verifying, 0x08});
}

namespace {

struct some_processor {
    machine_facts facts();
    overlay_code code();
    void interrupts_off() noexcept;
    void depart(virt_addr, virt_addr);
};
struct throwing : some_processor {
    void interrupts_off();
};
struct without_depart {
    machine_facts facts();
    overlay_code code();
    void interrupts_off() noexcept;
};
struct without_facts : some_processor {
    int facts();
};
struct without_code : some_processor {
    int code();
};
static_assert(processor<some_processor> && !processor<throwing> && !processor<without_depart> &&
    !processor<without_facts> && !processor<without_code> && !processor<int>);

} // namespace
