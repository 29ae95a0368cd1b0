// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The entry of a multiboot 1 image [multiboot/0.6.96 §3.2]: 32-bit protected mode, paging off, interrupts off, flat
/// segments, the A20 gate open; eax the magic number, ebx the physical address of the information structure. One page
/// holds the structure with all that it points to.

#include <lobos/handoff/contract.hpp>
#include <lobos/image/multiboot.hpp>
#include <lobos/x86/kept_modules.hpp>
#include <lobos/x86/multiboot_rules.hpp>
#include <lobos/x86/port.hpp>

namespace lobos::x86 {

class multiboot_entry {
public:
    static constexpr entry_state state = entry_state::flat_32;
    using paging = void;

    /// `image` is what `load_multiboot` gave. `modules` are those that `add_module` has placed, and others that lie in
    /// memory already, where the new kernel finds them; their names and `command_line` must outlive the exec.
    /// Faults: those of keep_modules.
    static result<multiboot_entry> make(
        const flat_image& image, std::span<const multiboot_module> modules, std::string_view command_line)
    {
        multiboot_entry contract{image, modules, command_line};
        if (const auto kept = keep_modules(contract.image_.segments, modules, image.module_alignment); !kept)
            return std::unexpected{kept.error()};
        return contract;
    }

    std::span<const segment> segments() const { return image_.segments; }
    virt_addr entry() const { return virt_addr::at(image_.entry.raw()); }
    std::span<const virtual_segment> virtual_layout() const { return {}; }

    std::size_t parameter_pages() const { return 1; }

    entry_registers registers(std::span<const phys_addr> pages) const
    {
        return {.ax = multiboot_loader_magic, .bx = pages[0].raw()};
    }

    /// Faults: those of make_multiboot_info.
    template <physical_memory M>
    result<void> write_parameters(M& memory, const region_map& handed_over, std::span<const phys_addr> pages) const
    {
        std::array<std::byte, page_size.raw()> page{};
        const auto made = make_multiboot_info(handed_over, modules_, command_line_, pages[0], page);
        if (!made)
            return std::unexpected{made.error()};
        memory.write(pages[0], page);
        return {};
    }

    /// Rule 11. Faults: those of multiboot_rules, and entry_contract_broken (at: the entry, if the file names another).
    template <class Context> result<void> is_met(const Context& context, const entry_registers& found) const
    {
        const multiboot_rules rules{context, found};
        if (const auto held = rules.names_entry(image_.segments); !held)
            return held;
        return rules.hold(image_.module_alignment);
    }

private:
    multiboot_entry(const flat_image& image, std::span<const multiboot_module> modules, std::string_view command_line)
        : image_{image},
          modules_{modules},
          command_line_{command_line}
    {
    }

    flat_image image_;
    std::span<const multiboot_module> modules_;
    std::string_view command_line_;
};

} // namespace lobos::x86
