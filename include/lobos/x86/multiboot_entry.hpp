// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The entry of a multiboot 1 image [multiboot/0.6.96 §3.2]: 32-bit protected mode, paging off, interrupts off, flat
/// segments, the A20 gate open; eax the magic number, ebx the physical address of the information structure. One page
/// holds the structure with all that it points to.

#include <lobos/handoff/contract.hpp>
#include <lobos/image/multiboot.hpp>
#include <lobos/x86/multiboot_rules.hpp>
#include <lobos/x86/port.hpp>
#include <lobos/x86/told_entry.hpp>

namespace lobos::x86 {

class multiboot_entry : public told_entry<flat_image> {
public:
    static constexpr entry_state state = entry_state::flat_32;
    using paging = void;

    /// `image` is what `load_multiboot` gave. `modules` are those that `add_module` has placed, and others that lie in
    /// memory already, where the new kernel finds them; their names and `command_line` must outlive the exec.
    /// Faults: those of keep_modules.
    static result<multiboot_entry> make(
        const flat_image& image, std::span<const multiboot_module> modules, std::string_view command_line)
    {
        return with_modules(multiboot_entry{image, modules, command_line}, image.module_alignment);
    }

    entry_registers registers(std::span<const phys_addr> pages) const
    {
        return {.ax = multiboot_loader_magic, .bx = pages[0].raw()};
    }

    /// Faults: those of make_multiboot_info.
    template <physical_memory M>
    result<void> write_parameters(
        M& memory, const region_map& handed_over, std::span<const phys_addr> pages, std::span<std::byte> scratch) const
    {
        return write_page(memory, pages[0], scratch, [&](std::span<std::byte> page) {
            return make_multiboot_info(handed_over, modules_, command_line_, pages[0], page);
        });
    }

    /// Rule 11. Faults: those of multiboot_rules, and entry_contract_broken (at: the entry, if the file names another).
    template <class Context> result<void> is_met(const Context& context, const entry_registers& found) const
    {
        return hold(multiboot_rules{context, found});
    }

private:
    using told_entry::told_entry;
};

} // namespace lobos::x86
