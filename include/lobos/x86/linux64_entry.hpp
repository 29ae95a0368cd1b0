// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The 64-bit entry of an x86 Linux as an entry contract [linux/boot.rst "64-bit Boot Protocol"]: 64-bit mode,
/// interrupts off, flat segments 0x10 and 0x18, rsi the boot parameters; kernel (all of `init_size`), boot parameters
/// and command line mapped one to one. The tables have four levels whatever the running kernel's have: every kernel
/// begins on four, and goes up to five by itself. Kernel, initrd and parameters may lie above 4 GiB if the kernel says
/// so.

#include <lobos/handoff/contract.hpp>
#include <lobos/x86/linux_machine.hpp>
#include <lobos/x86/linux_rules.hpp>
#include <lobos/x86/page.hpp>
#include <lobos/x86/paging_4level.hpp>
#include <lobos/x86/port.hpp>

namespace lobos::x86 {

class linux64_entry {
public:
    static constexpr entry_state state = entry_state::long_64;
    using paging = paging_4level;
    static constexpr bool parameters_mapped = true;

    /// `image` was loaded for `linux_entry::long_64`.
    explicit linux64_entry(const linux_image& image, const linux_machine& machine = {})
        : image_{image},
          machine_{machine},
          layout_{same(low_memory), same(image.kernel)}
    {
    }

    std::span<const segment> segments() const { return image_.segments; }
    virt_addr entry() const { return virt_addr::at(image_.entry_64.value_or(no_entry).raw()); }
    std::span<const virtual_segment> virtual_layout() const { return layout_; }

    /// The boot parameters, the command line, and setup data and the EFI memory map if there are any.
    std::size_t parameter_pages() const { return machine_.parameter_pages(); }
    phys_range parameter_reach() const { return image_.above_4g ? paging::physical_reach : below_4g; }

    entry_registers registers(std::span<const phys_addr> pages) const
    {
        return {.ax = 0, .bx = 0, .si = pages[0].raw()};
    }

    /// Faults: those of write_boot_params, unsupported (at: `xloadflags`, which name no 64-bit entry), and bad_range
    /// (at: a page of parameters above 4 GiB, if the kernel cannot reach it).
    template <physical_memory M>
    result<void> write_parameters(
        M& memory, const region_map& handed_over, std::span<const phys_addr> pages, std::span<std::byte> scratch) const
    {
        if (!image_.entry_64)
            return refuse(fault_code::unsupported, stage::staging, setup_header::xloadflags);
        for (const phys_addr page : pages)
            if (!parameter_reach().contains(phys_range::of(page, page_size)))
                return refuse(fault_code::bad_range, stage::staging, page);
        return write_boot_params(memory, image_, handed_over, machine_.parameters(), pages, scratch);
    }

    /// Rule 11. Faults: those of linux_rules.
    template <class Context> result<void> is_met(const Context& context, const entry_registers& found) const
    {
        return is_met_at(linux_start::into_200, context, found);
    }

protected:
    template <class Context>
    result<void> is_met_at(linux_start start, const Context& context, const entry_registers& found) const
    {
        return linux_rules{context, image_, machine_.efi, start, phys_addr::at(found.si)}
            .template hold_mapped<paging>();
    }

private:
    static constexpr phys_range low_memory = phys_range::of(phys_addr{}, byte_count::of(0xa'0000));
    static constexpr virtual_segment same(phys_range r)
    {
        return {virt_range::between(virt_addr::at(r.first().raw()), virt_addr::at(r.last().raw())), r.first(), true};
    }

    linux_image image_;
    linux_machine machine_;
    std::array<virtual_segment, 2> layout_;
};

} // namespace lobos::x86
