// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The entry of the paper: paging is on and the new kernel is entered at its virtual address [lobos/2000 §3.2.5]. In
/// the running kernel's mode it is entered on the overlay's tables, with a copy of the old kernel's descriptors; in
/// another one, which is how a 32-bit kernel starts a 64-bit one and the other way round, on tables of its own, with
/// flat segments 0x10 and 0x18. What it is told is a multiboot information structure, so that a kernel started by a
/// loader and one started by a kernel find the same: eax the magic number, ebx the physical address of the structure.

#include <lobos/handoff/contract.hpp>
#include <lobos/image/flat.hpp>
#include <lobos/x86/multiboot_rules.hpp>
#include <lobos/x86/port.hpp>
#include <lobos/x86/told_entry.hpp>

namespace lobos::x86 {

/// The state of the processor in which code runs that is paged by `Paging`.
template <class Paging> constexpr entry_state state_of_paging()
{
    if constexpr (std::is_same_v<Paging, same_paging>)
        return entry_state::as_running;
    else
        return is_long(mode_of_traits<Paging>()) ? entry_state::long_64 : entry_state::paged_32;
}

/// `Paging` is the traits class of the mode that the image is entered in, or `same_paging`.
template <class Paging> class paged_entry_in : public told_entry<paged_image> {
public:
    static constexpr entry_state state = state_of_paging<Paging>();
    using paging = Paging;

    /// `image` is what `load_elf32`, `load_elf64` or `load_flat_paged` gave. `modules` are those that `add_module` has
    /// placed, and others that lie in memory already, where the new kernel finds them; their names and `command_line`
    /// must outlive the exec. Faults: those of keep_modules.
    static result<paged_entry_in> make(
        const paged_image& image, std::span<const multiboot_module> modules, std::string_view command_line)
    {
        return with_modules(paged_entry_in{image, modules, command_line});
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

    /// Rule 11. That the entry is mapped and inside the image, rule 8 has proved.
    /// Faults: those of multiboot_rules, and entry_contract_broken (at: the plan's entry, if it is not the file's).
    template <class Context> result<void> is_met(const Context& context, const entry_registers& found) const
    {
        const virt_addr entry = context.plan.entry;
        const told_file file{context.memory, image_.segments};
        if (entry != image_.entry || (image_.entry_from_file && !file.is_linked_entry(entry)))
            return refuse(fault_code::entry_contract_broken, stage::verifying, entry);
        return multiboot_rules{context, found}.hold(byte_count::of(1));
    }

private:
    using told_entry<paged_image>::told_entry;
};

/// In the running kernel's mode.
using paged_entry = paged_entry_in<same_paging>;

} // namespace lobos::x86
