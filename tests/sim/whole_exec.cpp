// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <tests/support/effort.hpp>
#include <tests/support/scenario.hpp>

using namespace lobos;
using namespace lobos::test;

TEST_CASE("a Linux kernel with initrd replaces the running kernel, to the last byte")
{
    const std::uint32_t seed = GENERATE_COPY(range(0u, effort(8u, 64u)));
    CAPTURE(seed);
    linux_scenario s{seed};
    const auto image = s.load();
    REQUIRE(image);
    const auto rsdp = phys_addr::at(0xf5a0);
    const x86::linux32_entry contract{*image, rsdp};
    auto staged = prepare(s.machine, contract);
    REQUIRE(staged);
    const exec_plan plan = staged->plan();
    const snapshot before{s.machine.memory(), s.ram};
    const auto outcome = run(*staged);
    REQUIRE(std::holds_alternative<sim::entry_state>(outcome));
    const auto& state = std::get<sim::entry_state>(outcome);

    check_memory(plan, before, snapshot{s.machine.memory(), s.ram}, std::nullopt);
    CHECK(s.machine.gone);
    CHECK(s.machine.memory().unwritten_reads() == 0);
    CHECK(plan.table_pages == 1);

    SECTION("the entry contract of the 32-bit boot protocol holds")
    {
        CHECK(state.eip == image->entry.raw());
        CHECK(state.physical_eip == image->entry);
        CHECK_FALSE(state.interrupts);
        CHECK((state.cr0 & x86::cr0::paging) == 0);
        CHECK((state.cr0 & x86::cr0::protection) != 0);
        CHECK(state.cr4 == 0);
        CHECK(state.cs == 0x10);
        for (const std::uint16_t segment : {state.ds, state.es, state.ss})
            CHECK(segment == 0x18);
        CHECK((state.ebp | state.edi | state.ebx) == 0);
    }
    SECTION("the boot parameters say where everything is")
    {
        bytes page(4096);
        s.machine.memory().read(phys_addr::at(state.esi), page);
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
    const std::uint32_t seed = GENERATE_COPY(range(0u, effort(8u, 64u)));
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

    CHECK(state.eip == 0xc010'0040);
    CHECK(state.physical_eip == phys_addr::at(0x10'0040));
    CHECK((state.cr0 & x86::cr0::paging) != 0);
    CHECK(state.cr3 == plan.new_root.raw());
    CHECK(state.cs == sim::x86_kernel::code_selector);
    CHECK(state.ds == sim::x86_kernel::data_selector);
    CHECK(state.eax == multiboot_loader_magic);
    CHECK(s.machine.memory().unwritten_reads() == 0);

    const multiboot_reader reader{s.machine.memory(), phys_addr::at(state.ebx)};
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

TEST_CASE("the copy writes inside the image's destinations and nowhere else")
{
    linux_scenario s{9};
    const auto image = s.load();
    REQUIRE(image);
    const x86::linux32_entry contract{*image};
    auto staged = prepare(s.machine, contract);
    REQUIRE(staged);
    const exec_plan plan = staged->plan();
    REQUIRE(std::holds_alternative<sim::entry_state>(run(*staged)));
    std::uint64_t into_image = 0;
    for (const sim::recorded_write& w : s.machine.processor().writes) {
        const auto r = phys_range::of(phys_addr::at(w.address), byte_count::of(w.size));
        const bool image_byte = std::ranges::any_of(
            plan.image, [&](const segment& g) { return g.what == content::copy && g.destination.contains(r); });
        const bool bounce = phys_range::of(plan.bounce, page_size).contains(r);
        CHECK((image_byte || bounce));
        into_image += image_byte ? w.size : 0;
    }
    CHECK(into_image == plan.cost.copied.raw());
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
