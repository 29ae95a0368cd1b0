// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The entry of a multiboot 2 image in its i386 state [multiboot2/2.0 §3.3]: 32-bit protected mode, paging off,
/// interrupts off, flat segments, the A20 gate open; eax the magic number, ebx the physical address of the boot
/// information. That takes one page, and with EFI's memory map a few that follow each other.

#include <lobos/handoff/contract.hpp>
#include <lobos/image/multiboot2.hpp>
#include <lobos/x86/multiboot2_info.hpp>
#include <lobos/x86/multiboot2_rules.hpp>
#include <lobos/x86/page.hpp>
#include <lobos/x86/port.hpp>
#include <lobos/x86/told_entry.hpp>

namespace lobos::x86 {

class multiboot2_entry : public told_entry<flat_image> {
public:
    static constexpr entry_state state = entry_state::flat_32;
    using paging = void;

    /// `image` is what `load_multiboot2` gave. `modules` are those that `add_module` has placed, and others that lie in
    /// memory already, where the new kernel finds them; their names, `command_line` and the root pointer of `machine`
    /// must outlive the exec. Faults: those of keep_modules.
    static result<multiboot2_entry> make(const flat_image& image, std::span<const multiboot_module> modules,
        std::string_view command_line, const multiboot2_machine& machine = {})
    {
        return with_modules(multiboot2_entry{image, modules, command_line, machine}, image.module_alignment);
    }

    std::size_t parameter_pages() const
    {
        constexpr std::size_t regions = 80; // of a memory map that fits into a page
        const std::size_t map = machine_.efi ? efi::pages_for_told(*machine_.efi, regions) : 0;
        return std::min(1 + map, max_parameter_pages);
    }

    entry_registers registers(std::span<const phys_addr> pages) const
    {
        return {.ax = multiboot2_loader_magic, .bx = efi::longest_row(pages)[0].raw()};
    }

    /// Faults: those of write_multiboot2_info.
    template <physical_memory M>
    result<void> write_parameters(
        M& memory, const region_map& handed_over, std::span<const phys_addr> pages, std::span<std::byte>) const
    {
        const auto row = efi::longest_row(pages);
        const phys_range room = phys_range::of(row[0], byte_count::of(row.size() * page_size.raw()));
        const auto written = write_multiboot2_info(memory, handed_over, modules_, command_line_, machine_, room);
        return written ? result<void>{} : std::unexpected{written.error()};
    }

    /// Rule 11. Faults: those of multiboot2_rules.
    template <class Context> result<void> is_met(const Context& context, const entry_registers& found) const
    {
        return hold(multiboot2_rules{context, found, machine_.efi});
    }

private:
    multiboot2_entry(const flat_image& image, std::span<const multiboot_module> modules, std::string_view command_line,
        const multiboot2_machine& machine)
        : told_entry{image, modules, command_line},
          machine_{machine}
    {
    }

    multiboot2_machine machine_;
};

} // namespace lobos::x86
