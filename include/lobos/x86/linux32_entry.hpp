// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The 32-bit entry of an x86 Linux kernel, 32-bit or 64-bit, as an entry contract [linux/boot.rst, 32-bit boot
/// protocol]: protected mode, paging off, interrupts off, flat segments 0x10 and 0x18, esi the boot parameters.

#include <lobos/handoff/contract.hpp>
#include <lobos/plan/program.hpp>
#include <lobos/x86/boot_params.hpp>
#include <lobos/x86/protected_mode.hpp>

namespace lobos::x86 {

class linux32_entry {
public:
    static constexpr way_out leaves = way_out::unpaged;
    static constexpr descriptor_choice descriptors = descriptor_choice::flat;

    explicit linux32_entry(const linux_image& image, std::optional<phys_addr> acpi_rsdp = {})
        : image_{image},
          acpi_rsdp_{acpi_rsdp}
    {
    }

    std::span<const segment> segments() const { return image_.segments; }
    virt_addr entry() const { return virt_addr::at(image_.entry.raw()); }
    std::span<const virtual_segment> virtual_layout() const { return {}; }

    /// The boot parameters, and the command line.
    std::size_t parameter_pages() const { return 2; }

    entry_registers registers(std::span<const phys_addr> pages) const
    {
        return {.eax = 0, .ebx = 0, .esi = static_cast<std::uint32_t>(pages[0].raw())};
    }

    /// Faults: those of make_boot_params, and bad_range (at: the page of boot parameters) if esi cannot name it.
    template <physical_memory M>
    result<void> write_parameters(M& memory, const region_map& handed_over, std::span<const phys_addr> pages) const
    {
        if (!below_4g.contains(phys_range::of(pages[0], page_size)))
            return refuse(fault_code::bad_range, stage::staging, pages[0]);
        std::array<std::byte, boot_params::size> page{};
        const linux_parameters where{.command_line_at = pages[1], .acpi_rsdp = acpi_rsdp_};
        if (const auto made = make_boot_params(image_, handed_over, where, page); !made)
            return made;
        memory.write(pages[0], page);
        memory.write(pages[1], std::as_bytes(std::span{image_.command_line}));
        store(memory, pages[1] + byte_count::of(image_.command_line.size()), char{0});
        return {};
    }

private:
    linux_image image_;
    std::optional<phys_addr> acpi_rsdp_;
};

static_assert(bzimage::longest_command_line < page_size.raw(), "the command line has one page, terminator included");

} // namespace lobos::x86
