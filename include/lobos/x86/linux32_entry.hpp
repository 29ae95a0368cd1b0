// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The 32-bit entry of an x86 Linux kernel, 32-bit or 64-bit, as an entry contract [linux/boot.rst, 32-bit boot
/// protocol]: protected mode, paging off, interrupts off, flat segments 0x10 and 0x18, esi the boot parameters.

#include <lobos/handoff/contract.hpp>
#include <lobos/x86/linux_machine.hpp>
#include <lobos/x86/linux_rules.hpp>
#include <lobos/x86/page.hpp>
#include <lobos/x86/port.hpp>

namespace lobos::x86 {

class linux32_entry {
public:
    static constexpr entry_state state = entry_state::flat_32;
    using paging = void;

    explicit linux32_entry(const linux_image& image, const linux_machine& machine = {})
        : image_{image},
          machine_{machine}
    {
    }

    std::span<const segment> segments() const { return image_.segments; }
    virt_addr entry() const { return virt_addr::at(image_.entry.raw()); }
    std::span<const virtual_segment> virtual_layout() const { return {}; }

    /// The boot parameters, the command line, and setup data and the EFI memory map if there are any.
    std::size_t parameter_pages() const { return machine_.parameter_pages(); }
    static constexpr phys_range parameter_reach() { return below_4g; }

    entry_registers registers(std::span<const phys_addr> pages) const
    {
        return {.ax = 0, .bx = 0, .si = static_cast<std::uint32_t>(pages[0].raw())};
    }

    /// Faults: those of write_boot_params, and bad_range (at: a page of parameters, or the entry) if a 32-bit kernel
    /// cannot reach it.
    template <physical_memory M>
    result<void> write_parameters(
        M& memory, const region_map& handed_over, std::span<const phys_addr> pages, std::span<std::byte> scratch) const
    {
        if (!below_4g.contains(image_.entry))
            return refuse(fault_code::bad_range, stage::staging, image_.entry);
        for (const phys_addr page : pages)
            if (!below_4g.contains(phys_range::of(page, page_size)))
                return refuse(fault_code::bad_range, stage::staging, page);
        return write_boot_params(memory, image_, handed_over, machine_.parameters(), pages, scratch);
    }

    /// Rule 11. Faults: those of linux_rules, and entry_contract_broken (at: ebx, which is not 0).
    template <class Context> result<void> is_met(const Context& context, const entry_registers& found) const
    {
        return is_met_at(linux_start::first_byte, context, found);
    }

protected:
    template <class Context>
    result<void> is_met_at(linux_start start, const Context& context, const entry_registers& found) const
    {
        if (found.bx != 0)
            return refuse(fault_code::entry_contract_broken, stage::verifying, found.bx);
        return linux_rules{context, image_, machine_.efi, start, phys_addr::at(found.si)}.hold();
    }

private:
    linux_image image_;
    linux_machine machine_;
};

} // namespace lobos::x86
