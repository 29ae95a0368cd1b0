// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// Linux's entries from kernels of every width: all rules hold of what is staged, what the last of them refuses was
// never there, and what they let pass arrives.

// g++ 12, at -O1, takes what an empty optional holds for something that is read.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <lobos/image/vmlinux.hpp>
#include <lobos/x86/paging_5level.hpp>
#include <lobos/x86/vmlinux_entry.hpp>

#include <tests/support/scenario.hpp>
#include <tests/support/state_difference.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

constexpr byte_count ram = byte_count::of(8u << 20);
constexpr byte_count high_ram = byte_count::of((std::uint64_t{4} << 30) + (8u << 20));
constexpr phys_range above_4g =
    phys_range::between(phys_addr::at(std::uint64_t{4} << 30), phys_addr::at(~std::uint64_t{0}));

/// A kernel with its files staged in another's memory.
template <class Machine> struct staged_linux {
    explicit staged_linux(std::uint32_t seed, byte_count size = ram, std::uint16_t xloadflags = 1) : machine{size, seed}
    {
        auto kernel = linux_scenario::small_linux();
        kernel.xloadflags = xloadflags;
        kernel_file = machine.stage(kernel.build());
        initrd_file = machine.stage(bytes(0x1'2345, std::byte{0x1d}));
        auto elf = small_kernel<elf64>();
        for (auto& p : elf.parts)
            p.p_paddr = p.p_paddr - elf64::phys + 0x30'0000;
        elf.entry = 0x30'0010;
        elf_file = machine.stage(elf.build());
    }
    result<linux_image> load(linux_entry entry, phys_range within = below_4g)
    {
        return load_bzimage(kernel_file.source(machine.memory()), initrd_file.source(machine.memory()),
            {.command_line = "console=ttyS0", .within = within, .entry = entry}, machine.memory_map());
    }
    result<linux_image> load_elf()
    {
        return load_vmlinux<elf64_class>(elf_file.source(machine.memory()), initrd_file.source(machine.memory()),
            {.command_line = "console=ttyS0", .entry = linux_entry::long_64}, machine.memory_map());
    }
    Machine machine;
    sim::staged_bytes kernel_file, initrd_file, elf_file;
};

/// What the frame says the first instruction finds.
template <class Machine> x86::departure_frame frame_of(Machine& machine, const exec_plan& plan)
{
    return load<x86::departure_frame>(machine.memory(), plan.frame);
}

template <class Machine> void check_entered_long(Machine& machine, const exec_plan& plan, std::uint64_t entry)
{
    const auto frame = frame_of(machine, plan);
    CHECK(frame.entry == entry);
    CHECK(frame.entry_code_selector == 0x10);
    CHECK(frame.entry_data_selector == 0x18);
    CHECK((frame.ax | frame.bx) == 0);
    CHECK(load<std::uint32_t>(machine.memory(), phys_addr::at(frame.si + 0x202)) == 0x5372'6448);
    for (const safe_region& r : plan.safe)
        if (r.role == safe_role::parameters)
            for (std::uint64_t i = 0; i < r.range.size().raw(); i += 4096) {
                const virt_addr at = virt_addr::at(r.range.first().raw() + i);
                const auto found = walk<x86::paging_4level>(machine.memory(), plan.entry_root, at);
                REQUIRE(found);
                CHECK(found->physical.raw() == at.raw());
            }
}

/// The exec happens, and ends in 64-bit mode on four levels, or in flat 32-bit mode.
template <class Staged> void check_arrives(Staged& staged, std::uint64_t entry, bool code_64)
{
    const auto outcome = run(staged);
    REQUIRE(std::holds_alternative<sim::entry_state>(outcome));
    const auto& state = std::get<sim::entry_state>(outcome);
    CHECK(state.rip == entry);
    CHECK(state.physical_rip.raw() == entry);
    CHECK(state.code_64 == code_64);
    CHECK(state.paging == (code_64 ? x86::paging_mode::four_level : x86::paging_mode::none));
    CHECK(state.cs == 0x10);
    CHECK(state.flat);
}

template <class Machine> void check_all_entries(copy_regime regime, bool tables_of_its_own)
{
    const std::uint32_t seed = GENERATE(range(0u, 4u));
    staged_linux<Machine> s{seed};
    s.machine.injected.fail_every(sim::glue_call::allocate_page_at, seed % 2 != 0);
    {
        const auto image = s.load(linux_entry::long_64);
        REQUIRE(image);
        const x86::linux64_entry contract{*image};
        const auto staged = prepare(s.machine, contract, {.copy = regime});
        REQUIRE(fault_of(staged) == no_fault);
        const exec_plan plan = staged->plan();
        CHECK((plan.entry_root != plan.new_root) == tables_of_its_own);
        check_entered_long(s.machine, plan, image->kernel.first().raw() + 0x200);
    }
    {
        const auto image = s.load_elf();
        REQUIRE(image);
        const x86::vmlinux64_entry contract{*image};
        const auto staged = prepare(s.machine, contract, {.copy = regime});
        REQUIRE(fault_of(staged) == no_fault);
        check_entered_long(s.machine, staged->plan(), 0x30'0010);
    }
    {
        const auto image = s.load(linux_entry::protected_32);
        REQUIRE(image);
        const x86::linux32_entry contract{*image};
        auto staged = prepare(s.machine, contract, {.copy = regime});
        REQUIRE(fault_of(staged) == no_fault);
        CHECK(frame_of(s.machine, staged->plan()).entry == image->entry.raw());
        check_arrives(*staged, image->entry.raw(), false);
    }
    staged_linux<Machine> elf{seed};
    const auto image = elf.load_elf();
    REQUIRE(image);
    const x86::vmlinux64_entry contract{*image};
    auto staged = prepare(elf.machine, contract, {.copy = regime});
    REQUIRE(fault_of(staged) == no_fault);
    check_arrives(*staged, 0x30'0010, true);
}

/// A kernel whose allocator gives a page above 4 GiB and one below in turn.
struct high_and_low : sim::basic_x86_kernel<x86::paging_4level> {
    using basic_x86_kernel::basic_x86_kernel;
    std::uint64_t next = high_ram.raw() - 0x10'0000; ///< below where an initrd goes
    bool low = false;
    std::optional<phys_addr> allocate_page(phys_range in)
    {
        low = !low;
        if (low)
            return kernel::allocate_page(in);
        next -= x86::page_size.raw();
        const phys_addr page = phys_addr::at(next);
        return allocate_page_at(page) ? std::optional{page} : kernel::allocate_page(in);
    }
};

/// A contract that says another byte of its parameters than it should.
struct lying_entry : x86::linux32_entry {
    std::uint64_t offset;
    lying_entry(const linux_image& image, std::uint64_t at) : linux32_entry{image}, offset{at} {}
    template <physical_memory M>
    result<void> write_parameters(
        M& memory, const region_map& map, std::span<const phys_addr> pages, std::span<std::byte> scratch) const
    {
        if (const auto written = linux32_entry::write_parameters(memory, map, pages, scratch); !written)
            return written;
        const phys_addr at = pages[0] + byte_count::of(offset);
        store(memory, at, static_cast<std::uint8_t>(load<std::uint8_t>(memory, at) ^ 0x40));
        return {};
    }
};

} // namespace

TEST_CASE("Linux's entries from a 32-bit kernel")
{
    check_all_entries<sim::x86_kernel>(GENERATE(copy_regime::paged, copy_regime::unpaged), true);
}

TEST_CASE("Linux's entries from a kernel on four levels: the copy's tables are the image's, if it has any")
{
    const auto regime = GENERATE(copy_regime::paged, copy_regime::unpaged);
    check_all_entries<sim::basic_x86_kernel<x86::paging_4level>>(regime, regime == copy_regime::unpaged);
}

TEST_CASE("the same with pages of 1 GiB")
{
    const auto regime = GENERATE(copy_regime::paged, copy_regime::unpaged);
    check_all_entries<sim::basic_x86_kernel<x86::paging_4level_1g>>(regime, regime == copy_regime::unpaged);
}

TEST_CASE("Linux's entries from a kernel on five levels, which are four when Linux comes")
{
    check_all_entries<sim::basic_x86_kernel<x86::paging_5level>>(
        GENERATE(copy_regime::paged, copy_regime::unpaged), true);
}

TEST_CASE("a kernel that can lie above 4 GiB lies there, and is copied with paging on")
{
    staged_linux<sim::basic_x86_kernel<x86::paging_4level>> s{1, high_ram, 3};
    const auto image = s.load(linux_entry::long_64, above_4g);
    REQUIRE(image);
    CHECK(above_4g.contains(image->kernel));
    CHECK(above_4g.contains(*image->initrd));
    const x86::linux64_entry contract{*image};
    {
        const auto staged = prepare(s.machine, contract);
        REQUIRE(fault_of(staged) == no_fault);
        check_entered_long(s.machine, staged->plan(), image->kernel.first().raw() + 0x200);
    }
    // Where the way leads through the hub 32-bit code copies, and that reaches 4 GiB.
    CHECK(fault_of(prepare(s.machine, contract, {.copy = copy_regime::unpaged})) == no_fault);
    s.machine.injected.fail_every(sim::glue_call::allocate_page_at); // nothing is in place early
    CHECK(fault_of(prepare(s.machine, contract, {.copy = copy_regime::unpaged})).code == fault_code::bad_range);
    // As many tables as there are pages far from each other: more than the page of parameters can tell of.
    CHECK(fault_of(prepare(s.machine, contract)).code == fault_code::too_many_regions);
    const x86::linux64_entry talkative{*image, {.regions = 512}};
    auto staged = prepare(s.machine, talkative);
    REQUIRE(fault_of(staged) == no_fault);
    check_arrives(*staged, image->kernel.first().raw() + 0x200, true);
}

TEST_CASE("parameters lie where the kernel reaches them, whatever pages there are")
{
    for (const bool high : {false, true}) {
        staged_linux<high_and_low> s{0, high_ram, static_cast<std::uint16_t>(high ? 3 : 1)};
        const auto image = s.load(linux_entry::long_64, high ? above_4g : below_4g);
        REQUIRE(image);
        const x86::linux64_entry contract{*image};
        auto staged = prepare(s.machine, contract);
        REQUIRE(fault_of(staged) == no_fault);
        const exec_plan plan = staged->plan();
        const auto is_high = [&](const safe_region& r) { return above_4g.contains(r.range); };
        const auto of_role = [](safe_role role) { return [role](const safe_region& r) { return r.role == role; }; };
        for (const safe_region& r : plan.safe)
            CHECK((high || r.role != safe_role::parameters || !is_high(r)));
        CHECK(std::ranges::any_of(plan.safe, is_high)); // others may lie anywhere
        CHECK(std::ranges::any_of(plan.safe, of_role(safe_role::parameters)));
        check_entered_long(s.machine, plan, image->kernel.first().raw() + 0x200);
        check_arrives(*staged, image->kernel.first().raw() + 0x200, true);
    }
}

TEST_CASE("a contract that tells Linux what is not so is refused, and the kernel is as it was")
{
    linux_scenario s{5};
    const auto image = s.load();
    REQUIRE(image);
    const auto before = s.machine.state();
    for (const std::uint64_t offset : {0x1ffu, 0x203u, 0x21bu, 0x21cu, 0x229u, 0x2d9u}) {
        const lying_entry contract{*image, offset};
        CAPTURE(offset);
        const auto staged = prepare(s.machine, contract);
        REQUIRE_FALSE(staged);
        CHECK(staged.error().in == stage::verifying);
    }
    CHECK(difference(before, s.machine.state()).empty());
}
