// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/x86/paging_4level.hpp>

#include <tests/support/effort.hpp>
#include <tests/support/scenario.hpp>
#include <tests/support/state_difference.hpp>

using namespace lobos;
using namespace lobos::test;
using namespace lobos::literals;

namespace {

/// Two pages of parameters: the first lies where it is given, the second goes into the image beside a file, with the
/// last bytes of the first in front of it.
struct told_contract : raw_contract {
    std::size_t parameter_pages() const { return 2; }
    x86::entry_registers registers(std::span<const phys_addr> pages) const { return {.si = pages[0].raw()}; }
    template <physical_memory M>
    result<void> write_parameters(
        M& memory, const region_map&, std::span<const phys_addr> pages, std::span<std::byte>) const
    {
        for (std::size_t i = 0; i < 2 * 4096; ++i)
            store(memory, pages[i / 4096] + byte_count::of(i % 4096), pattern(3 * i));
        return {};
    }
};

} // namespace

TEST_CASE("a page that the image wants is put aside, and given back in the end")
{
    auto right_behind_the_kernel = linux_scenario::small_linux();
    right_behind_the_kernel.pref_address = 0x14'0000; // where the ascending allocator begins
    right_behind_the_kernel.kernel_alignment = 0x1'0000;
    linux_scenario s{0, right_behind_the_kernel, 0x3000};
    // The kernel's own bytes are staged at the bottom of the free memory, so the destination begins with them.
    const auto image = s.load();
    REQUIRE(image);
    REQUIRE(image->entry == phys_addr::at(0x14'0000));
    const std::size_t pages = s.machine.pages_taken();
    {
        const x86::linux32_entry contract{*image};
        auto staged = prepare(s.machine, contract);
        REQUIRE(staged);
        for (const safe_region& r : staged->plan().safe)
            for (const segment& g : staged->plan().image)
                CHECK_FALSE(r.range.overlaps(g.destination));
        // What was put aside is free again while the exec waits: only its own pages are taken.
        std::size_t own = 0;
        for (const extent& e : staged->claimed())
            own += static_cast<std::size_t>(e.size.raw() / x86::page_size.raw());
        CHECK(own > 0);
        for (const safe_region& r : staged->plan().safe)
            own += static_cast<std::size_t>(r.range.size().raw() / x86::page_size.raw());
        CHECK(s.machine.pages_taken() == pages + own);
        const exec_plan plan = staged->plan();
        const snapshot before{s.machine.memory(), s.ram};
        CHECK(std::holds_alternative<sim::entry_state>(run(*staged)));
        check_memory(plan, before, snapshot{s.machine.memory(), s.ram}, std::nullopt);
    }
    CHECK(s.machine.pages_taken() == pages);
    CHECK(s.machine.wrong_frees == 0);
}

TEST_CASE("runs that wait for each other take more storage than was guessed, and get it")
{
    // A file that lies in its own destination, turned by nine sectors: two runs that have to be cut into 128.
    constexpr byte_count ram = byte_count::of(8u << 20);
    constexpr byte_count turn = byte_count::of(9 * 512);
    sim::x86_kernel machine{ram};
    bytes file(0x1'0000);
    for (std::size_t i = 0; i < file.size(); ++i)
        file[i] = pattern(i);
    const auto pages_of_file = machine.stage(file);
    const phys_range all = phys_range::of(pages_of_file.extents.front().at, byte_count::of(file.size()));
    REQUIRE(pages_of_file.extents.back().at + x86::page_size == all.last() + byte_count::of(1)); // in one row
    const std::vector<extent> turned = {{all.first() + turn, all.size() - turn}, {all.first(), turn}};
    const raw_contract contract{{{.destination = all, .file = turned}}};
    const std::size_t pages = machine.pages_taken();
    machine.fail_request(std::nullopt); // counts from here
    {
        auto staged = prepare(machine, contract);
        REQUIRE(staged);
        const exec_plan plan = staged->plan();
        CHECK(plan.cost.copied == all.size());
        CHECK(plan.cost.steps > 128);
        CHECK(machine.injected.count(sim::glue_call::allocate_workspace) > 1);
        const snapshot before{machine.memory(), ram};
        CHECK(std::holds_alternative<sim::entry_state>(run(*staged)));
        check_memory(plan, before, snapshot{machine.memory(), ram}, std::nullopt);
    }
    CHECK(machine.pages_taken() == pages);
    CHECK(machine.workspaces_taken() == 0);
}

TEST_CASE("a file of pages far from each other takes more tables than were reckoned with, and gets them")
{
    // A table maps 2 MiB, and each page lies in others; the tables are nowhere neighbours.
    constexpr byte_count ram = 2_GiB;
    const std::size_t count = effort(300u, 600u, 600u);
    sim::basic_x86_kernel<x86::paging_4level> machine{ram, 7};
    bytes file(count * 0x1000);
    for (std::size_t i = 0; i < file.size(); ++i)
        file[i] = pattern(i);
    std::vector<extent> extents;
    for (std::size_t i = 0; i < count; ++i) {
        extents.push_back({0x1fe'0000_pa + byte_count::of(i * 0x20'0000), x86::page_size});
        REQUIRE(machine.allocate_page_at(extents.back().at));
        machine.memory().write(extents.back().at, std::span{file}.subspan(i * 0x1000, 0x1000));
    }
    const raw_contract contract{
        {{.destination = phys_range::of(0x100'0000_pa, byte_count::of(file.size())), .file = extents}}};
    machine.injected.fail_every(sim::glue_call::allocate_page_at); // all of it is left to the copy
    const auto before = machine.state();
    machine.fail_request(std::nullopt); // counts from here
    {
        auto staged = prepare(machine, contract);
        REQUIRE(fault_of(staged) == no_fault);
        CHECK(staged->plan().table_pages > count);
        CHECK(staged->plan().safe.size() > count);
        CHECK(machine.injected.count(sim::glue_call::allocate_workspace) == 3);
    }
    CHECK(difference(before, machine.state()).empty());
    auto staged = prepare(machine, contract);
    REQUIRE(fault_of(staged) == no_fault);
    CHECK(std::holds_alternative<sim::entry_state>(run(*staged)));
    CHECK(machine.memory().holds(0x100'0000_pa, file));
}

TEST_CASE("regions that survive are listed with the tables, and find room there, too")
{
    // Around the number at which the tables alone just fill the list.
    for (std::size_t count = 96; count <= 176; count += 8 * stride(std::size_t{5})) {
        CAPTURE(count);
        sim::basic_x86_kernel<x86::paging_4level> machine{1_GiB, 7};
        std::vector<extent> extents;
        for (std::size_t i = 0; i < count; ++i) {
            extents.push_back({0x1fe'0000_pa + byte_count::of(i * 0x20'0000), x86::page_size});
            REQUIRE(machine.allocate_page_at(extents.back().at));
            machine.memory().write(extents.back().at, bytes(0x1000, std::byte{0x5a}));
        }
        for (std::size_t i = 0; i < 40; ++i)
            REQUIRE(machine.map().add(
                phys_range::of(0x40'0000_pa + byte_count::of(i * 0x4000), x86::page_size), region_kind::surviving));
        const raw_contract contract{
            {{.destination = phys_range::of(0x100'0000_pa, byte_count::of(count * 0x1000)), .file = extents}}};
        machine.injected.fail_every(sim::glue_call::allocate_page_at);
        const auto staged = prepare(machine, contract);
        REQUIRE(fault_of(staged) == no_fault);
        CHECK(std::ranges::count(staged->plan().safe, safe_role::log, &safe_region::role) == 40);
    }
}

TEST_CASE("steps for three pages are chained, and all of them are run")
{
    // A file in its own destination, each half page where another one is wanted: nothing can be put into place.
    constexpr byte_count half = byte_count::of(0x800);
    sim::x86_kernel machine{8_MiB};
    bytes file(0x8'0000);
    for (std::size_t i = 0; i < file.size(); ++i)
        file[i] = pattern(i);
    const auto pages_of_file = machine.stage(file);
    const phys_range all = phys_range::of(pages_of_file.extents.front().at, byte_count::of(file.size()));
    REQUIRE(pages_of_file.extents.back().at + x86::page_size == all.last() + 1_bytes); // in one row
    std::vector<extent> other_way_round;
    for (phys_addr at = all.last() + 1_bytes - half; at > all.first(); at = at - half)
        other_way_round.push_back({at, half});
    other_way_round.push_back({all.first(), half});
    const raw_contract contract{{{.destination = all, .file = other_way_round}}};
    auto staged = prepare(machine, contract);
    REQUIRE(staged);
    const exec_plan plan = staged->plan();
    CHECK(plan.cost.steps > 2 * plan_page::capacity);
    CHECK(plan.cost.steps < 3 * plan_page::capacity);
    const snapshot before{machine.memory(), 8_MiB};
    CHECK(std::holds_alternative<sim::entry_state>(run(*staged)));
    check_memory(plan, before, snapshot{machine.memory(), 8_MiB}, std::nullopt);
}

TEST_CASE("a segment can be made of parameters, which are written after the plan")
{
    sim::x86_kernel machine{8_MiB, GENERATE(0u, 1u, 2u)};
    const auto file = machine.stage(bytes(0x2000));
    told_contract contract{};
    const phys_addr at = phys_addr::at(0x20'2000);
    contract.parts = {{.destination = phys_range::of(phys_addr::at(0x20'0000), 8_KiB), .file = file.extents},
        {.destination = phys_range::of(at, 0x1008_bytes), .what = content::parameters, .file_offset = 0xff8_bytes}};
    const std::size_t pages = machine.pages_taken();
    {
        auto staged = prepare(machine, contract);
        REQUIRE(staged);
        const exec_plan plan = staged->plan();
        CHECK(plan.image[1].what == content::copy);
        for (const extent& e : staged->claimed())
            CHECK_FALSE(phys_range::of(e.at, e.size).overlaps(plan.image[1].destination));
        CHECK(plan.cost.copied == 0x1008_bytes);
        const snapshot before{machine.memory(), 8_MiB};
        const auto outcome = run(*staged);
        REQUIRE(std::holds_alternative<sim::entry_state>(outcome));
        check_memory(plan, before, snapshot{machine.memory(), 8_MiB}, std::nullopt);
        for (std::size_t i = 0; i < 0x1008; ++i)
            if (load<std::byte>(machine.memory(), at + byte_count::of(i)) != pattern(3 * (0xff8 + i)))
                FAIL("byte " << i);
        CHECK(load<std::byte>(machine.memory(), phys_addr::at(std::get<sim::entry_state>(outcome).rsi)) == pattern(0));
    }
    CHECK(machine.pages_taken() == pages);
}

TEST_CASE("a segment is made of no more parameters than there are")
{
    sim::x86_kernel machine{8_MiB};
    const auto file = machine.stage(bytes(0x1000));
    const phys_addr at = phys_addr::at(0x20'2000);
    told_contract contract{};
    contract.parts = {{.destination = phys_range::of(phys_addr::at(0x20'0000), 4_KiB), .file = file.extents},
        {.destination = phys_range::of(at, 4_KiB), .what = content::parameters, .file_offset = 0x1001_bytes}};
    const std::size_t pages = machine.pages_taken();
    const auto refused = prepare(machine, contract);
    REQUIRE_FALSE(refused);
    CHECK(refused.error() == fault{fault_code::source_size_mismatch, stage::planning, at.raw()});
    CHECK(machine.pages_taken() == pages);
}

TEST_CASE("the trail is mapped, wherever its log lies")
{
    sim::x86_kernel machine{16_MiB};
    const phys_range log = phys_range::of(phys_addr::at(0xc0'0000), 8_KiB); // no other thing lies in these 4 MB
    REQUIRE(machine.map().add(log, region_kind::surviving));
    const auto file = machine.stage(bytes(0x2000));
    const raw_contract contract{
        {{.destination = phys_range::of(phys_addr::at(0x20'0000), 8_KiB), .file = file.extents}}};
    const exec_options options{.trail = log.first() + 0x40_bytes};
    auto staged = prepare(machine, contract, options);
    REQUIRE(staged);
    CHECK(std::holds_alternative<sim::entry_state>(run(*staged)));
    CHECK(
        load<breadcrumb>(machine.memory(), *options.trail).stage == static_cast<std::uint32_t>(overlay_stage::copied));
}

TEST_CASE("whoever wants to know is told after each stage, and not of one that failed")
{
    linux_scenario s{1};
    const auto image = s.load();
    REQUIRE(image);
    std::vector<stage> told;
    exec_options options;
    options.after = [](stage finished, void* list) { static_cast<std::vector<stage>*>(list)->push_back(finished); };
    options.context = &told;
    const x86::linux32_entry contract{*image};
    s.machine.fail_request(std::nullopt);
    CHECK(prepare(s.machine, contract, options));
    const std::vector calls(s.machine.injected.calls().begin(), s.machine.injected.calls().end());
    CHECK(told == std::vector{stage::planning, stage::mapping, stage::staging, stage::verifying});

    told.clear();
    auto code = std::ranges::find(calls, sim::glue_call::allocate_page);
    for (std::size_t before = contract.parameter_pages() + 1; before != 0; --before) // and the bounce page
        code = std::find(code + 1, calls.end(), sim::glue_call::allocate_page);
    s.machine.fail_request(static_cast<std::size_t>(code - calls.begin()));
    CHECK_FALSE(prepare(s.machine, contract, options));
    CHECK(told == std::vector{stage::planning});
}

TEST_CASE("more safe regions inside an image than the overlay can skip are refused")
{
    for (const std::size_t count : {overlay_program::max_skips, overlay_program::max_skips + 1}) {
        CAPTURE(count);
        sim::x86_kernel machine{byte_count::of(8u << 20)};
        bytes file(0x4'0000);
        const auto staged_file = machine.stage(file);
        const phys_range all = phys_range::of(phys_addr::at(0x40'0000), byte_count::of(file.size()));
        raw_contract contract{{{.destination = all, .file = staged_file.extents}}};
        for (std::size_t i = 0; i < count; ++i) {
            const auto hole = phys_range::of(phys_addr::at(0x40'1000 + i * 0x2000), x86::page_size);
            contract.parts.push_back({.destination = hole, .what = content::padding});
            REQUIRE(machine.map().add(hole, region_kind::surviving));
        }
        const std::size_t pages = machine.pages_taken();
        const auto staged = prepare(machine, contract);
        if (count <= overlay_program::max_skips) {
            CHECK(staged);
        } else {
            REQUIRE_FALSE(staged);
            CHECK(staged.error() == fault{fault_code::no_space, stage::staging, overlay_program::max_skips + 1});
            CHECK(machine.pages_taken() == pages);
        }
    }
}
