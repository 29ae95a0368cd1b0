// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Whole execs of the simulated x86: worlds to make them in, and how they end.

#include <variant>

#include <lobos/image/bzimage.hpp>
#include <lobos/image/elf.hpp>
#include <lobos/kernel_exec.hpp>
#include <lobos/overlay/explain.hpp>
#include <lobos/sim/x86_kernel.hpp>
#include <lobos/survive/log.hpp>
#include <lobos/x86/linux32_entry.hpp>
#include <lobos/x86/paged_entry.hpp>

#include <tests/catch.hpp>
#include <tests/support/bzimage_builder.hpp>
#include <tests/support/elf_builder.hpp>
#include <tests/support/exec_checks.hpp>

namespace lobos::test {

/// Commits, and says what came of it: the state of the processor in the new kernel, or the fault that refused.
template <class Staged> std::variant<sim::entry_state, fault> run(Staged& staged)
{
    try {
        return commit(staged);
    } catch (const sim::new_kernel_entered& entered) {
        return entered.state;
    }
}

/// A Linux kernel with an initrd, staged in the scattered pages of a simulated kernel in some mode of paging.
template <class Paging> struct linux_world {
    static constexpr byte_count ram = byte_count::of(8u << 20);

    explicit linux_world(std::uint32_t seed, bzimage_builder kernel = small_linux(), std::size_t initrd = 0x1'2345)
        : machine{ram, seed}
    {
        bytes contents(initrd);
        for (std::size_t i = 0; i < initrd; ++i)
            contents[i] = pattern(i * 3 + 5);
        kernel_file = machine.stage(kernel.build());
        initrd_file = machine.stage(contents);
    }

    static bzimage_builder small_linux()
    {
        return {.code = 0x3'2340, .init_size = 0x8'0000, .pref_address = 0x20'0000, .kernel_alignment = 0x10'0000};
    }

    result<linux_image> load(
        std::string_view command_line = "console=ttyS0 x=\"a b\"", linux_entry entry = linux_entry::protected_32)
    {
        return load_bzimage(kernel_file.source(machine.memory()), initrd_file.source(machine.memory()),
            {.command_line = command_line, .entry = entry}, machine.memory_map());
    }

    sim::basic_x86_kernel<Paging> machine;
    sim::staged_bytes kernel_file;
    sim::staged_bytes initrd_file;
};

/// The same in a 32-bit kernel with 4 MB pages.
struct linux_scenario : linux_world<x86::paging_4m> {
    using linux_world::linux_world;
};

/// Another paged kernel, whose image lies over the running one's, with padding that holds a surviving log.
struct paged_scenario {
    static constexpr byte_count ram = byte_count::of(8u << 20);
    static constexpr phys_range log_region = phys_range::of(phys_addr::at(0x11'0000), byte_count::of(0x4000));

    explicit paged_scenario(std::uint32_t seed) : machine{ram, seed}
    {
        if (!machine.map().add(log_region, region_kind::surviving))
            throw sim::machine_error{"memory map", 0};
        log = surviving_log<sim::memory>::create(machine.memory(), log_region);
        log->append("the old kernel was here");
        kernel_file = machine.stage(image().build());
    }

    static elf_builder image()
    {
        elf_builder e;
        e.parts = {{.p_type = PT_LOAD,
                       .p_offset = 0x1000,
                       .p_vaddr = 0xc010'0000,
                       .p_paddr = 0x10'0000,
                       .p_filesz = 0x1'5432,
                       .p_memsz = 0x3'0000,
                       .p_flags = PF_R | PF_W | PF_X,
                       .p_align = 0x1000},
            {.p_type = PT_LOBOS_PADDING,
                .p_offset = 0,
                .p_vaddr = 0,
                .p_paddr = 0x11'0000,
                .p_filesz = 0,
                .p_memsz = 0x4000,
                .p_flags = 0,
                .p_align = 1}};
        e.entry = 0xc010'0040;
        e.size = 0x1000 + 0x1'5432;
        return e;
    }

    result<x86::paged_entry> load(std::string_view command_line = "next generation=1")
    {
        const auto loaded = load_elf32(kernel_file.source(machine.memory()), x86::elf_machine);
        if (!loaded)
            return std::unexpected{loaded.error()};
        return x86::paged_entry::make(*loaded, {}, command_line);
    }

    sim::x86_kernel machine;
    result<surviving_log<sim::memory>> log = refuse(fault_code::no_log, stage::surviving, 0);
    sim::staged_bytes kernel_file;
};

/// A contract for segments that a test makes up, entered like Linux, with one page of parameters left as it is.
struct raw_contract {
    static constexpr x86::entry_state state = x86::entry_state::flat_32;
    using paging = void;

    std::vector<segment> parts;

    std::span<const segment> segments() const { return parts; }
    virt_addr entry() const { return virt_addr::at(parts.front().destination.first().raw()); }
    std::span<const virtual_segment> virtual_layout() const { return {}; }
    std::size_t parameter_pages() const { return 1; }
    x86::entry_registers registers(std::span<const phys_addr>) const { return {}; }
    template <physical_memory M>
    result<void> write_parameters(M&, const region_map&, std::span<const phys_addr>, std::span<std::byte>) const
    {
        return {};
    }
    template <class Context> result<void> is_met(const Context&, const x86::entry_registers&) const { return {}; }
};
static_assert(entry_contract<raw_contract, sim::x86_kernel::port>);

} // namespace lobos::test
