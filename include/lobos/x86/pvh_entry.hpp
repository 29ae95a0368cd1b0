// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The PVH entry [xen/pvh]: 32-bit protected mode, paging off, cr4 0, interrupts off, flat segments; ebx the physical
/// address of the start information, which takes one page. The task register keeps the running kernel's TSS, where the
/// manual has an empty one at 0: no kernel known uses it before it has loaded its own, and one that did would find
/// nothing at 0.

#include <lobos/handoff/contract.hpp>
#include <lobos/image/pvh.hpp>
#include <lobos/x86/port.hpp>
#include <lobos/x86/pvh_info.hpp>
#include <lobos/x86/pvh_rules.hpp>
#include <lobos/x86/told_entry.hpp>

namespace lobos::x86 {

class pvh_entry : public told_entry<flat_image> {
public:
    static constexpr entry_state state = entry_state::flat_32;
    using paging = void;

    /// `image` is what `load_pvh` gave. `modules`, of which Linux takes the first for its initrd, are those that
    /// `add_module` has placed, and others that lie in memory already; their names and `command_line` must outlive the
    /// exec. `rsdp` is where ACPI's root pointer lies: a kernel entered this way looks nowhere else.
    /// Faults: those of keep_modules.
    static result<pvh_entry> make(const flat_image& image, std::span<const multiboot_module> modules,
        std::string_view command_line, std::optional<phys_addr> rsdp = std::nullopt)
    {
        return with_modules(pvh_entry{image, modules, command_line, rsdp}, image.module_alignment);
    }

    entry_registers registers(std::span<const phys_addr> pages) const { return {.bx = pages[0].raw()}; }

    /// Faults: those of make_pvh_start_info.
    template <physical_memory M>
    result<void> write_parameters(
        M& memory, const region_map& handed_over, std::span<const phys_addr> pages, std::span<std::byte> scratch) const
    {
        return write_page(memory, pages[0], scratch, [&](std::span<std::byte> page) {
            return make_pvh_start_info(handed_over, modules_, command_line_, rsdp_, pages[0], page);
        });
    }

    /// Rule 11. Faults: those of pvh_rules.
    template <class Context> result<void> is_met(const Context& context, const entry_registers& found) const
    {
        return hold(pvh_rules{context, found});
    }

private:
    pvh_entry(const flat_image& image, std::span<const multiboot_module> modules, std::string_view command_line,
        std::optional<phys_addr> rsdp)
        : told_entry{image, modules, command_line},
          rsdp_{rsdp}
    {
    }

    std::optional<phys_addr> rsdp_;
};

} // namespace lobos::x86
