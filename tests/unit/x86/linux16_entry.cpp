// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/linux16_entry.hpp>

#include <tests/support/effort.hpp>
#include <tests/support/real_mode_scenario.hpp>

using namespace lobos;
using namespace lobos::test;

static_assert(entry_contract<real_mode_scenario::contract_type, sim::x86_kernel::port>);
static_assert(!std::is_constructible_v<real_mode_scenario::contract_type, real_mode_scenario::source, linux16_image>);

TEST_CASE("the contract's segments are all of the real-mode segment", "[x86][linux16_entry]")
{
    real_mode_scenario s{0};
    const auto image = s.load();
    REQUIRE(image);
    const x86::linux16_entry contract{s.kernel, *image};
    std::vector<int> covered(0x1'0000);
    for (const segment& g : contract.segments())
        if (g.destination.overlaps(image->area()))
            for (phys_addr at = g.destination.first(); at <= g.destination.last(); at += byte_count::of(1))
                ++covered.at(static_cast<std::size_t>((at - image->real_mode).raw()));
    CHECK(std::ranges::all_of(covered, [](int n) { return n == 1; }));
    CHECK(contract.entry().raw() == image->real_mode.raw());
    CHECK(contract.parameter_pages() == 2);
    CHECK(contract.virtual_layout().empty());
    const auto registers = contract.registers({});
    CHECK(registers.ax == 0x8f00);
    CHECK((registers.bx | registers.si) == 0);
    CHECK(registers.real_base == 0x8'f000);
}

TEST_CASE(
    "a Linux is entered in real mode, with every byte in place and the BIOS's memory as it was", "[x86][linux16_entry]")
{
    const std::uint32_t seed = GENERATE_COPY(range(0u, effort(1u, 6u, 32u)));
    CAPTURE(seed);
    real_mode_scenario s{seed, seed % 3 != 0};
    s.machine.injected.fail_every(sim::glue_call::allocate_page_at, seed % 2 != 0);
    const auto image = s.load();
    REQUIRE(image);
    const x86::linux16_entry contract{s.kernel, *image};
    auto staged = prepare(s.machine, contract);
    REQUIRE(staged);
    const exec_plan plan = staged->plan();
    snapshot before{s.machine.memory(), s.ram};
    bytes file(static_cast<std::size_t>(image->setup_size.raw())); // whose pages are anybody's afterwards
    REQUIRE(s.kernel.read(0, file));
    const auto outcome = run(*staged);
    REQUIRE(std::holds_alternative<sim::entry_state>(outcome));
    const auto& state = std::get<sim::entry_state>(outcome);
    snapshot after{s.machine.memory(), s.ram};

    for (const phys_range r : {linux16::bios_data, s.extended_data, s.firmware})
        for (std::uint64_t at = r.first().raw(); at <= r.last().raw(); ++at)
            if (after[at] != before[at] || before[at] == snapshot::unknown)
                FAIL("byte " << at);
    // The stub's stack is the end of the heap, which is scratch.
    for (std::uint64_t at = image->command_line_at().raw() - 4; at < image->command_line_at().raw(); ++at)
        after[at] = before[at] = snapshot::unknown;
    check_memory(plan, before, after, std::nullopt);
    CHECK(s.machine.memory().unwritten_reads() == 0);

    SECTION("the first instruction finds what the protocol says")
    {
        CHECK(state.cs == 0x8f20);
        CHECK(state.rip == 0);
        CHECK(state.physical_rip == image->real_mode + byte_count::of(0x200));
        for (const std::uint16_t segment : {state.ds, state.es, state.fs, state.gs, state.ss})
            CHECK(segment == 0x8f00);
        CHECK(state.rsp == 0xe000);
        CHECK((state.cr0 & (x86::cr0::protection | x86::cr0::paging)) == 0);
        CHECK((state.cr3 | state.cr4) == 0);
        CHECK_FALSE(state.interrupts);
        CHECK((state.rax | state.rbx | state.rsi | state.rdi | state.rbp) == 0);
        for (const sim::x86_segment& g : s.machine.processor().segments.all()) {
            CHECK(g.limit == 0xffff);
            CHECK(g.base == std::uint32_t{g.selector} << 4);
            CHECK_FALSE(g.wide);
            CHECK((g.usable && g.permission));
        }
        CHECK(s.machine.processor().idtr.base == 0);
        CHECK(s.machine.processor().idtr.limit == 0x3ff);
    }
    SECTION("the setup code and its header lie there, and the command line")
    {
        bytes setup(file.size());
        s.machine.memory().read(image->real_mode, setup);
        CHECK(std::ranges::equal(std::span{setup}.subspan(0x264), std::span{file}.subspan(0x264)));
        CHECK(peek(setup, 0x202, 4) == 0x53726448);
        CHECK(peek(setup, 0x211, 1) == 0x81);
        CHECK(peek(setup, 0x218, 4) == image->base.initrd->first().raw());
        CHECK(peek(setup, 0x224, 2) == 0xde00);
        CHECK(peek(setup, 0x228, 4) == image->command_line_at().raw());
        bytes line(image->base.command_line.size() + 1);
        s.machine.memory().read(image->command_line_at(), line);
        CHECK(std::string_view{reinterpret_cast<const char*>(line.data())} == "console=ttyS0 x=\"a b\"");
    }
}

TEST_CASE("a file that has gone refuses, and nothing has happened", "[x86][linux16_entry]")
{
    real_mode_scenario s{1};
    const auto image = s.load();
    REQUIRE(image);
    const std::size_t pages = s.machine.pages_taken();
    const staged_file<sim::memory> shorter{s.machine.memory(), {}};
    const x86::linux16_entry contract{shorter, *image};
    const auto refused = prepare(s.machine, contract);
    REQUIRE_FALSE(refused);
    CHECK(refused.error() == fault{fault_code::truncated_image, stage::loading, 0});
    CHECK(s.machine.pages_taken() == pages);
}

TEST_CASE("rule 11 is asked: without a BIOS there is no exec", "[x86][linux16_entry]")
{
    real_mode_scenario s{1};
    store(s.machine.memory(), phys_addr::at(0x15 * 4), std::uint32_t{0});
    const auto image = s.load();
    REQUIRE(image);
    const x86::linux16_entry contract{s.kernel, *image};
    const auto refused = prepare(s.machine, contract);
    REQUIRE_FALSE(refused);
    CHECK(refused.error() == fault{fault_code::entry_contract_broken, stage::verifying, 0x54});
}

TEST_CASE("whatever the kernel cannot give, it is as it was, and the next exec succeeds", "[x86][linux16_entry]")
{
    real_mode_scenario s{2};
    const auto image = s.load();
    REQUIRE(image);
    const x86::linux16_entry contract{s.kernel, *image};
    s.machine.fail_request(std::nullopt);
    REQUIRE(prepare(s.machine, contract));
    const std::size_t requests = s.machine.requests();
    const sim::kernel_state before = s.machine.state();
    std::size_t refused = 0;
    const auto step = stride<std::size_t>(5);
    for (std::size_t n = 0; n < requests; n += step) {
        s.machine.fail_request(n);
        refused += prepare(s.machine, contract) ? 0u : 1u;
        CAPTURE(n);
        CHECK(s.machine.state() == before);
    }
    CHECK(refused > 10 / step);
    s.machine.fail_request(std::nullopt);
    auto staged = prepare(s.machine, contract);
    REQUIRE(staged);
    CHECK(std::holds_alternative<sim::entry_state>(run(*staged)));
}

TEST_CASE("what changes in the BIOS's first page, or in a made page, is seen by commit", "[x86][linux16_entry]")
{
    real_mode_scenario s{4};
    const auto image = s.load();
    REQUIRE(image);
    const x86::linux16_entry contract{s.kernel, *image};
    auto staged = prepare(s.machine, contract);
    REQUIRE(staged);
    const auto told_of = [&](phys_addr at) -> fault {
        const auto was = load<std::uint8_t>(s.machine.memory(), at);
        store(s.machine.memory(), at, static_cast<std::uint8_t>(was ^ 1));
        const auto outcome = run(*staged);
        store(s.machine.memory(), at, was);
        REQUIRE(std::holds_alternative<fault>(outcome));
        return std::get<fault>(outcome);
    };
    const auto changed = [](std::uint64_t at) {
        return fault{fault_code::staged_image_changed, stage::committing, at};
    };
    CHECK(told_of(phys_addr::at(0x40)) == changed(0));
    std::vector<phys_addr> made;
    for (const segment& g : staged->plan().image)
        if (g.destination == image->setup_page() || g.destination == image->command_line_page())
            made.push_back(g.file[static_cast<std::size_t>(g.file_offset.raw() / x86::page_size.raw())].at);
    REQUIRE(made.size() == 2);
    CHECK(told_of(made[0] + byte_count::of(0x228)) == changed(image->real_mode.raw()));
    CHECK(told_of(made[1]) == changed(image->command_line_at().raw()));
    CHECK(std::holds_alternative<sim::entry_state>(run(*staged)));
}
