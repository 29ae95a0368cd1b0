// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// Whole execs by the contracts of multiboot 1 and 2, PVH, and paging on tables of the image's own: from the file to
// what the new kernel's first instruction finds, modules and all.

#include <lobos/x86/multiboot2_entry.hpp>
#include <lobos/x86/multiboot2_reader.hpp>
#include <lobos/x86/multiboot_entry.hpp>
#include <lobos/x86/pvh_entry.hpp>

#include <tests/support/effort.hpp>
#include <tests/support/note_builder.hpp>
#include <tests/support/scenario.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

/// A kernel with a module, staged in a simulated kernel's scattered pages, and another module that lies where it is.
struct told_scenario {
    static constexpr byte_count ram = byte_count::of(8u << 20);
    static constexpr phys_range lying = phys_range::of(phys_addr::at(0x60'0000), byte_count::of(0x1001));

    told_scenario(std::uint32_t seed, const bytes& kernel) : machine{ram, seed}
    {
        for (const std::uint64_t page : {0u, 0x1000u})
            REQUIRE(machine.allocate_page_at(lying.first() + byte_count::of(page)));
        kernel_file = machine.stage(kernel);
        module_file = machine.stage(contents());
    }

    static bytes contents()
    {
        bytes out(0x1'2345);
        for (std::size_t i = 0; i < out.size(); ++i)
            out[i] = pattern(i * 3 + 5);
        return out;
    }

    /// Places the module and announces it.
    std::vector<multiboot_module> place(segment_list& segments, byte_count alignment)
    {
        const phys_range taken[] = {lying};
        const auto at =
            add_module(segments, module_file.source(machine.memory()), alignment, machine.memory_map(), taken);
        REQUIRE(at);
        return {{*at, "placed"}};
    }

    template <class Contract> sim::entry_state exec(const Contract& contract, const exec_options& options = {})
    {
        auto staged = prepare(machine, contract, options);
        REQUIRE(fault_of(staged) == no_fault);
        const exec_plan plan = staged->plan();
        const snapshot before{machine.memory(), ram};
        const auto outcome = run(*staged);
        REQUIRE(std::holds_alternative<sim::entry_state>(outcome));
        check_memory(plan, before, snapshot{machine.memory(), ram}, std::nullopt);
        check_accesses(plan, machine.processor().record, std::nullopt);
        const auto& state = std::get<sim::entry_state>(outcome);
        CHECK(state.rip == contract.entry().raw());
        CHECK(state.cs == 0x10);
        CHECK(state.ds == 0x18);
        CHECK(state.flat);
        CHECK_FALSE(state.interrupts);
        CHECK(((state.cr0 & x86::cr0::paging) != 0) == is_entered_paged<Contract>);
        if (!is_entered_paged<Contract>)
            CHECK(state.cr4 == 0);
        return state;
    }

    std::uint64_t at(std::uint64_t address, unsigned width)
    {
        bytes out(width);
        machine.memory().read(phys_addr::at(address), out);
        return peek(out, 0, width);
    }
    bytes read(phys_range r)
    {
        bytes out(static_cast<std::size_t>(r.size().raw()));
        machine.memory().read(r.first(), out);
        return out;
    }

    sim::x86_kernel machine;
    sim::staged_bytes kernel_file, module_file;
};

/// A kernel at 2 MiB, with `words` where its text begins.
bytes kernel_with(std::initializer_list<std::uint32_t> words)
{
    auto kernel = small_kernel();
    kernel.parts[0].p_paddr = 0x20'0000;
    kernel.parts[2].p_paddr = 0x20'1000;
    bytes file = kernel.build();
    std::size_t at = 0x200;
    for (const std::uint32_t w : words) {
        patch(file, at, 4, w);
        at += 4;
    }
    return file;
}

} // namespace

TEST_CASE("a multiboot 1 kernel is told of its memory and its modules")
{
    const std::uint32_t seed = GENERATE_COPY(range(0u, effort(1u, 4u, 32u)));
    const copy_regime regime = GENERATE(copy_regime::paged, copy_regime::unpaged);
    CAPTURE(seed, regime == copy_regime::paged);
    told_scenario s{seed, kernel_with({0x1bad'b002, 3, 0u - 0x1bad'b002u - 3u})};
    auto image = load_multiboot(s.kernel_file.source(s.machine.memory()));
    REQUIRE(image);
    const auto modules = s.place(image->segments, image->module_alignment);
    const auto contract = x86::multiboot_entry::make(*image, modules, "quiet 1");
    REQUIRE(contract);
    const auto state = s.exec(*contract, {.copy = regime});
    CHECK(state.rax == 0x2bad'b002);
    const multiboot_reader told{s.machine.memory(), phys_addr::at(state.rbx)};
    REQUIRE(told.module_count() == 1);
    CHECK(told.module(0)->start == modules[0].range.first());
    CHECK(told.module(0)->start.raw() % 4096 == 0);
    CHECK(told.module(0)->size == modules[0].range.size());
    CHECK(s.read(modules[0].range) == told_scenario::contents());
    char text[16];
    CHECK(told.string(*told.command_line(), text) == "quiet 1");
    memory_map map{};
    REQUIRE(told.read_memory_map(map.map));
    CHECK(map.map.find(phys_addr::at(state.rbx))->kind == region_kind::safe);
    CHECK(map.map.find(modules[0].range.first())->kind == region_kind::usable);
}

TEST_CASE("a multiboot 2 kernel is told of its memory and its modules")
{
    const std::uint32_t seed = GENERATE_COPY(range(0u, effort(1u, 4u, 32u)));
    CAPTURE(seed);
    told_scenario s{seed, kernel_with({0xe852'50d6, 0, 32, 0u - 0xe852'50d6u - 32u, 6, 8, 0, 8})};
    auto image = load_multiboot2(s.kernel_file.source(s.machine.memory()));
    REQUIRE(image);
    const auto modules = s.place(image->segments, image->module_alignment);
    const auto contract = x86::multiboot2_entry::make(*image, modules, "quiet 1");
    REQUIRE(contract);
    const auto state = s.exec(*contract);
    CHECK(state.rax == 0x36d7'6289);
    const multiboot2_reader told{s.machine.memory(), phys_addr::at(state.rbx)};
    REQUIRE(told.module_count() == 1u);
    CHECK((*told.module(0))->start == modules[0].range.first());
    CHECK(s.read(modules[0].range) == told_scenario::contents());
    memory_map map{};
    REQUIRE(told.read_memory_map(map.map));
    CHECK(map.map.find(phys_addr::at(state.rbx))->kind == region_kind::safe);
}

TEST_CASE("a multiboot 2 kernel is told of EFI firmware, and of what is kept in its memory map")
{
    const std::uint32_t seed = GENERATE_COPY(range(0u, effort(1u, 4u, 32u)));
    CAPTURE(seed);
    told_scenario s{seed, kernel_with({0xe852'50d6, 0, 32, 0u - 0xe852'50d6u - 32u, 6, 8, 0, 8})};
    const efi::descriptor descriptors[] = {{efi::conventional, 0, 0, 0, told_scenario::ram.raw() >> 12, 15},
        {efi::runtime_services_data, 0, 0xf000'0000, 0, 4, efi::descriptor::at_run_time}};
    bytes raw(sizeof descriptors);
    std::memcpy(raw.data(), descriptors, sizeof descriptors);
    const auto source = s.machine.stage(raw);
    REQUIRE(source.extents.size() == 1);
    const efi_firmware firmware{true, 0xf000'1000_pa,
        phys_range::of(source.extents[0].at, byte_count::of(sizeof descriptors)), sizeof(efi::descriptor), 1};
    const auto image = load_multiboot2(s.kernel_file.source(s.machine.memory()));
    REQUIRE(image);
    const auto contract = x86::multiboot2_entry::make(*image, {}, "quiet 1", {.efi = firmware});
    REQUIRE(contract);
    const auto state = s.exec(*contract);
    const multiboot2_reader told{s.machine.memory(), phys_addr::at(state.rbx)};
    const auto found = told.efi();
    REQUIRE((found && *found));
    CHECK((*found)->system_table == 0xf000'1000_pa);
    memory_map map{};
    REQUIRE(told.read_memory_map(map.map));
    std::uint64_t pages = 0;
    const auto read = efi::for_each_descriptor(
        s.machine.memory(), **found, stage::loading, [&](const efi::descriptor& d, phys_range r) {
            const bool free = !map.map.first_not(region_kind::usable, r).has_value();
            CHECK((d.type == efi::conventional) == free);
            pages += d.type == efi::runtime_services_data ? 0 : d.pages;
            return result<void>{};
        });
    CHECK(fault_of(read) == no_fault);
    CHECK(pages == told_scenario::ram.raw() >> 12);
}

TEST_CASE("a PVH kernel is told of its memory and its modules")
{
    const std::uint32_t seed = GENERATE_COPY(range(0u, effort(1u, 4u, 32u)));
    CAPTURE(seed);
    told_scenario s{seed, pvh_kernel<elf64>()};
    auto image = load_pvh(s.kernel_file.source(s.machine.memory()));
    REQUIRE(image);
    const auto modules = s.place(image->segments, image->module_alignment);
    const auto contract = x86::pvh_entry::make(*image, modules, "quiet 1", phys_addr::at(0xf'0010));
    REQUIRE(contract);
    const auto state = s.exec(*contract);
    CHECK(state.rip == 0x10'0100);
    CHECK(s.at(state.rbx, 4) == 0x336e'c578);
    CHECK(s.at(state.rbx + 12, 4) == 1);
    CHECK(s.at(s.at(state.rbx + 16, 8), 8) == modules[0].range.first().raw());
    CHECK(s.at(state.rbx + 32, 8) == 0xf'0010);
    CHECK(s.read(modules[0].range) == told_scenario::contents());
}

TEST_CASE("a kernel is entered paged on tables of its own, and finds a module where it lies")
{
    const std::uint32_t seed = GENERATE_COPY(range(0u, effort(1u, 4u, 32u)));
    const copy_regime regime = GENERATE(copy_regime::paged, copy_regime::unpaged);
    CAPTURE(seed, regime == copy_regime::paged);
    told_scenario s{seed, bytes(0x3456, std::byte{0x90})};
    const auto image = load_flat_paged(s.kernel_file.source(s.machine.memory()), phys_addr::at(0x40'0000),
        virt_addr::at(0xd000'0000), byte_count::of(0x1000), byte_count::of(0x20));
    REQUIRE(image);
    const multiboot_module modules[] = {{told_scenario::lying, "kept"}};
    const auto contract = x86::paged_entry_in<x86::paging_4m>::make(*image, modules, "quiet 1");
    REQUIRE(contract);
    const bytes before = s.read(told_scenario::lying);
    const auto state = s.exec(*contract, {.copy = regime});
    CHECK(state.physical_rip == phys_addr::at(0x40'0020));
    CHECK(state.rax == 0x2bad'b002);
    const multiboot_reader told{s.machine.memory(), phys_addr::at(state.rbx)};
    REQUIRE(told.module_count() == 1);
    CHECK(told.module(0)->start == told_scenario::lying.first());
    CHECK(s.read(told_scenario::lying) == before);
}
