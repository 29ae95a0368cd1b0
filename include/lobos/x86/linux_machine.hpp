// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What a running kernel can tell a Linux of the machine, for the entry contracts that hand it a page of boot
/// parameters; and how many pages of parameters that takes.

#include <lobos/handoff/contract.hpp>
#include <lobos/x86/boot_params.hpp>

namespace lobos::x86 {

/// What a running kernel can tell a Linux about the machine beside its memory map.
struct linux_machine {
    std::optional<phys_addr> acpi_rsdp = {};
    std::optional<efi_firmware> efi = {};     ///< its memory map takes pages of parameters, in a row
    std::span<const std::byte> rng_seed = {}; ///< must outlive prepare(); takes a page of parameters
    /// How many regions the memory map may have when it is handed over, the safe regions and what they part included.
    /// Up to 128 cost nothing, but room in the EFI memory map if there is one. Tables are safe regions too, and a paged
    /// copy takes as many as its pages lie far from each other, so a kernel in whose memory nothing is neighbours says
    /// more.
    std::size_t regions = boot_params::e820_max_entries;

    /// The pages that this takes, at most what a contract may want.
    constexpr std::size_t parameter_pages() const
    {
        const std::size_t seed = std::min(rng_seed.size(), setup_data::longest);
        const std::size_t map = efi ? efi::pages_for_told(*efi, regions) : 0;
        return std::min(linux_parameter_pages(regions, seed) + map, max_parameter_pages);
    }
    constexpr linux_parameters parameters() const
    {
        return {.command_line_at = {}, .acpi_rsdp = acpi_rsdp, .efi = efi, .rng_seed = rng_seed};
    }
};

// Sanity checks
static_assert(linux_machine{}.parameter_pages() == 2);
static_assert(linux_machine{.regions = ~std::size_t{0} >> 8}.parameter_pages() == max_parameter_pages);

} // namespace lobos::x86
