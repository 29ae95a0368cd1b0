// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <tests/support/effort.hpp>
#include <tests/support/scenario.hpp>
#include <tests/support/state_difference.hpp>

using namespace lobos;
using namespace lobos::test;

TEST_CASE("a Linux kernel with initrd replaces the running kernel, to the last byte")
{
    const std::uint32_t seed = GENERATE_COPY(range(0u, effort(2u, 8u, 64u)));
    CAPTURE(seed);
    linux_scenario s{seed};
    // What lies in free memory is put there early; in every other world that is refused, and the loop has it all to do.
    s.machine.injected.fail_every(sim::glue_call::allocate_page_at, seed % 2 != 0);
    const auto image = s.load();
    REQUIRE(image);
    const auto rsdp = phys_addr::at(0xf5a0);
    s.machine.memory().write(rsdp, bytes(20)); // of the first revision
    const x86::linux32_entry contract{*image, {.acpi_rsdp = rsdp}};
    auto staged = prepare(s.machine, contract);
    REQUIRE(staged);
    const exec_plan plan = staged->plan();
    const snapshot before{s.machine.memory(), s.ram};
    const auto outcome = run(*staged);
    REQUIRE(std::holds_alternative<sim::entry_state>(outcome));
    const auto& state = std::get<sim::entry_state>(outcome);

    check_memory(plan, before, snapshot{s.machine.memory(), s.ram}, std::nullopt);
    check_accesses(plan, s.machine.processor().record, std::nullopt);
    CHECK(s.machine.gone);
    CHECK(s.machine.memory().unwritten_reads() == 0);
    CHECK(plan.table_pages == 1);

    SECTION("the entry contract of the 32-bit boot protocol holds")
    {
        CHECK(state.rip == image->entry.raw());
        CHECK(state.physical_rip == image->entry);
        CHECK_FALSE(state.interrupts);
        CHECK((state.cr0 & x86::cr0::paging) == 0);
        CHECK((state.cr0 & x86::cr0::protection) != 0);
        CHECK(state.cr4 == 0);
        CHECK(state.dr7 == 0x400); // no breakpoint
        CHECK(state.cs == 0x10);
        for (const std::uint16_t segment : {state.ds, state.es, state.ss})
            CHECK(segment == 0x18);
        CHECK(state.flat);
        CHECK((state.rbp | state.rdi | state.rbx) == 0);
    }
    SECTION("the boot parameters say where everything is")
    {
        bytes page(4096);
        s.machine.memory().read(phys_addr::at(state.rsi), page);
        CHECK(peek(page, 0x202, 4) == 0x53726448);
        CHECK(peek(page, 0x218, 4) == image->initrd->first().raw());
        CHECK(peek(page, 0x21c, 4) == 0x1'2345);
        CHECK(peek(page, 0x070, 8) == rsdp.raw());
        bytes line(image->command_line.size() + 1);
        s.machine.memory().read(phys_addr::at(peek(page, 0x228, 4)), line);
        CHECK(std::string_view{reinterpret_cast<const char*>(line.data())} == "console=ttyS0 x=\"a b\"");

        // Every safe region is reserved in e820; nothing of the image is.
        const auto entries = static_cast<std::size_t>(peek(page, 0x1e8, 1));
        const auto type_at = [&](std::uint64_t at) -> std::uint64_t {
            for (std::size_t i = 0; i < entries; ++i) {
                const std::size_t e = 0x2d0 + 20 * i;
                if (at >= peek(page, e, 8) && at - peek(page, e, 8) < peek(page, e + 8, 8))
                    return peek(page, e + 16, 4);
            }
            return 0;
        };
        for (const safe_region& r : plan.safe) {
            CHECK(type_at(r.range.first().raw()) == 2);
            CHECK(type_at(r.range.last().raw()) == 2);
        }
        for (const segment& g : plan.image)
            CHECK(type_at(g.destination.first().raw()) == 1);
    }
}

TEST_CASE("a paged kernel is entered at its virtual address, and the log in its padding survives")
{
    const std::uint32_t seed = GENERATE_COPY(range(0u, effort(2u, 8u, 64u)));
    CAPTURE(seed);
    paged_scenario s{seed};
    const auto contract = s.load();
    REQUIRE(contract);
    exec_options options;
    options.trail = s.log->trail();
    auto staged = prepare(s.machine, *contract, options);
    REQUIRE(staged);
    const exec_plan plan = staged->plan();
    const overlay_effect tried = try_overlay(s.machine.memory(), plan);
    CHECK(skipped(plan, tried) == paged_scenario::log_region.size());

    s.log->append("point of no return"); // as a kernel does between prepare and commit
    const snapshot before{s.machine.memory(), s.ram};
    const auto outcome = run(*staged);
    REQUIRE(std::holds_alternative<sim::entry_state>(outcome));
    const auto& state = std::get<sim::entry_state>(outcome);
    check_memory(plan, before, snapshot{s.machine.memory(), s.ram}, options.trail);
    check_accesses(plan, s.machine.processor().record, options.trail);

    CHECK(state.rip == 0xc010'0040);
    CHECK(state.physical_rip == phys_addr::at(0x10'0040));
    CHECK((state.cr0 & x86::cr0::paging) != 0);
    CHECK(state.cr3 == plan.new_root.raw());
    CHECK(state.cs == sim::x86_kernel::code_selector);
    CHECK(state.ds == sim::x86_kernel::data_selector);
    CHECK(state.rax == multiboot_loader_magic);
    CHECK(s.machine.memory().unwritten_reads() == 0);

    const multiboot_reader reader{s.machine.memory(), phys_addr::at(state.rbx)};
    std::vector<region> storage(64);
    region_map told{storage};
    REQUIRE(reader.read_memory_map(told));
    for (const safe_region& r : plan.safe)
        CHECK(told.find(r.range.first())->kind ==
            (r.role == safe_role::log ? region_kind::surviving : region_kind::safe));

    const auto found = surviving_log<sim::memory>::find(s.machine.memory(), told);
    REQUIRE(found);
    std::vector<std::string> lines;
    REQUIRE(found->for_each([&](std::string_view line) { lines.emplace_back(line); }));
    CHECK(lines == std::vector<std::string>{"the old kernel was here", "point of no return"});
    const auto crumb = load<breadcrumb>(s.machine.memory(), found->trail());
    CHECK(crumb.stage == static_cast<std::uint32_t>(overlay_stage::copied));
    CHECK(crumb.steps == plan.cost.steps);
    CHECK(crumb.ended > crumb.began);
}

TEST_CASE("what the processor marks on its way out are the old tables, and it marks nothing that is safe")
{
    linux_scenario s{9};
    s.machine.injected.fail_every(sim::glue_call::allocate_page_at);
    const auto image = s.load();
    REQUIRE(image);
    const x86::linux32_entry contract{*image};
    auto staged = prepare(s.machine, contract);
    REQUIRE(staged);
    const exec_plan plan = staged->plan();
    // A kernel whose directory was never used: no accessed, no dirty bits, and nothing in the TLB.
    for (std::uint64_t i = 0; i < 1024; ++i) {
        const phys_addr at = sim::x86_machine::root + byte_count::of(4 * i);
        store(s.machine.memory(), at, load<std::uint32_t>(s.machine.memory(), at) & ~0x60u);
    }
    auto& cpu = s.machine.processor();
    cpu.mmu.load_cr4(cpu.mmu.cr4() ^ x86::cr4::global_pages);
    cpu.mmu.load_cr4(cpu.mmu.cr4() ^ x86::cr4::global_pages);
    REQUIRE(std::holds_alternative<sim::entry_state>(run(*staged)));
    CHECK(cpu.record.bytes(sim::access_kind::mark) >= 4);
    CHECK_FALSE(
        cpu.record.first_outside(sim::access_kind::mark, {phys_range::of(sim::x86_machine::root, x86::page_size)}));
    for (const safe_region& r : plan.safe)
        CHECK_FALSE(cpu.record.first(sim::access_kind::mark, r.range));
}

TEST_CASE("nothing is written but the image, stack, bounce page and notes: guarded, everything else stays quiet")
{
    linux_scenario s{10};
    s.machine.injected.fail_every(sim::glue_call::allocate_page_at);
    const auto image = s.load();
    REQUIRE(image);
    const x86::linux32_entry contract{*image};
    auto staged = prepare(s.machine, contract);
    REQUIRE(staged);
    for (const safe_region& r : staged->plan().safe)
        if (r.role != safe_role::stack && r.role != safe_role::bounce && r.role != safe_role::frame)
            s.machine.memory().guard(r.range);
    const phys_addr frame = staged->plan().frame;
    const phys_range notes = notes_of(staged->plan(), std::nullopt);
    s.machine.memory().guard(phys_range::of(frame, notes.first() - frame));
    s.machine.memory().guard(phys_range::between(*address_after(notes), phys_range::of(frame, x86::page_size).last()));
    s.machine.memory().guard(sim::x86_kernel::own_memory);
    CHECK(std::holds_alternative<sim::entry_state>(run(*staged)));
}

TEST_CASE("an exec that is dropped was never there")
{
    linux_scenario s{3};
    const auto image = s.load();
    REQUIRE(image);
    const std::size_t pages = s.machine.pages_taken();
    const auto facts = s.machine.processor().facts();
    {
        const x86::linux32_entry contract{*image};
        const auto staged = prepare(s.machine, contract);
        REQUIRE(staged);
        CHECK(s.machine.pages_taken() > pages);
    }
    CHECK(s.machine.pages_taken() == pages);
    CHECK(s.machine.workspaces_taken() == 0);
    CHECK(s.machine.wrong_frees == 0);
    CHECK(s.machine.processor().facts() == facts);
}

TEST_CASE("a Linux kernel is entered by the 32-bit protocol after a copy without paging")
{
    const std::uint32_t seed = GENERATE_COPY(range(0u, effort(1u, 4u, 32u)));
    CAPTURE(seed);
    linux_scenario s{seed};
    s.machine.injected.fail_every(sim::glue_call::allocate_page_at, seed % 2 != 0);
    const auto image = s.load();
    REQUIRE(image);
    const x86::linux32_entry contract{*image};
    auto staged = prepare(s.machine, contract, {.copy = copy_regime::unpaged});
    REQUIRE(staged);
    const exec_plan plan = staged->plan();
    const snapshot before{s.machine.memory(), s.ram};
    const auto outcome = run(*staged);
    REQUIRE(std::holds_alternative<sim::entry_state>(outcome));
    const auto& state = std::get<sim::entry_state>(outcome);
    check_memory(plan, before, snapshot{s.machine.memory(), s.ram}, std::nullopt);
    check_accesses(plan, s.machine.processor().record, std::nullopt);
    CHECK(state.physical_rip == image->entry);
    CHECK(state.cr0 == 0x11);
    CHECK(state.flat);
    CHECK(state.dr7 == 0x400);
    CHECK((state.rax | state.rbx | state.rbp | state.rdi) == 0);
    bytes page(4096);
    s.machine.memory().read(phys_addr::at(state.rsi), page);
    CHECK(peek(page, 0x202, 4) == 0x53726448);
    CHECK(s.machine.memory().unwritten_reads() == 0);
}

TEST_CASE("an image that wants paging as it is cannot have a copy without, and the kernel is as it was")
{
    paged_scenario s{4};
    const auto contract = s.load();
    REQUIRE(contract);
    const auto before = s.machine.state();
    {
        const auto staged = prepare(s.machine, *contract, {.copy = copy_regime::unpaged});
        REQUIRE_FALSE(staged);
        CHECK(staged.error() ==
            fault{fault_code::unsupported, stage::mapping, static_cast<std::uint64_t>(x86::entry_state::as_running)});
    }
    CHECK(difference(before, s.machine.state()).empty());
    CHECK(std::holds_alternative<sim::entry_state>([&] {
        auto again = prepare(s.machine, *contract);
        REQUIRE(again);
        return run(*again);
    }()));
}
