// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The entry of the paper: paging stays on and the new kernel is entered at its virtual address, on the overlay's
/// tables, with a copy of the old kernel's descriptors. What it is told is a multiboot information structure, so that
/// a kernel started by a loader and one started by a kernel find the same: eax the magic number, ebx the physical
/// address of the structure.

#include <lobos/handoff/contract.hpp>
#include <lobos/image/elf.hpp>
#include <lobos/plan/place_rules.hpp>
#include <lobos/plan/program.hpp>
#include <lobos/x86/multiboot_info.hpp>
#include <lobos/x86/port.hpp>

namespace lobos::x86 {

class paged_entry {
public:
    static constexpr entry_state state = entry_state::as_running;
    using paging = same_paging;

    /// `modules` are files that lie in memory already and that the new kernel finds there; they, their names and
    /// `command_line` must outlive the exec.
    /// Faults: no_space (at: segments needed).
    static result<paged_entry> make(
        const elf_image& image, std::span<const multiboot_module> modules, std::string_view command_line)
    {
        paged_entry contract{image, modules, command_line};
        for (const multiboot_module& m : modules)
            if (!contract.image_.segments.push_back(
                    {.destination = m.range, .what = content::kept, .role = segment_role::module}))
                return refuse(fault_code::no_space, stage::loading, image.segments.size() + modules.size());
        return contract;
    }

    std::span<const segment> segments() const { return image_.segments; }
    virt_addr entry() const { return image_.entry; }
    std::span<const virtual_segment> virtual_layout() const { return image_.mappings; }

    std::size_t parameter_pages() const { return 1; }

    entry_registers registers(std::span<const phys_addr> pages) const
    {
        return {.ax = multiboot_loader_magic, .bx = static_cast<std::uint32_t>(pages[0].raw()), .si = 0};
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

    /// Rule 11: the registers are a multiboot loader's, and the structure lies where parameters do.
    /// Faults: entry_contract_broken (at: eax), bad_range, outside_safe_region (at: ebx).
    template <class Context> result<void> is_met(const Context& context, const entry_registers& found) const
    {
        constexpr std::uint64_t magic = 0x2bad'b002;
        if (found.ax != magic)
            return refuse(fault_code::entry_contract_broken, stage::verifying, found.ax);
        const auto info = phys_range::checked(phys_addr::at(found.bx), byte_count::of(sizeof(multiboot_info)));
        if (!info || !below_4g.contains(*info))
            return refuse(fault_code::bad_range, stage::verifying, found.bx);
        return rules::lies_in(context, safe_role::parameters, *info);
    }

private:
    paged_entry(const elf_image& image, std::span<const multiboot_module> modules, std::string_view command_line)
        : image_{image},
          modules_{modules},
          command_line_{command_line}
    {
    }

    elf_image image_;
    std::span<const multiboot_module> modules_;
    std::string_view command_line_;
};

} // namespace lobos::x86
