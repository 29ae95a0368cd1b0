// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The ACPI root pointer: where EFI firmware says that it is [acpi/6.5 §5.2.5.2], or where a PC's BIOS leaves it, in
/// the first KiB of the extended BIOS data area, or between 0xE0000 and 1 MiB, on a 16-byte boundary [acpi/6.5
/// §5.2.5.1]; and the way to reset the machine that it leads to.

#include "../linear_memory.hpp"

#include <lobos/x86/acpi_reset.hpp>

#include <optional>
#include <span>
#include <string_view>

namespace kernel {

inline constinit std::optional<lobos::phys_addr> efi_root_pointer; ///< known once the machine has been read

/// The part that every version has; from version 2 on the whole of it has a sum of its own [acpi/6.5 §5.2.5.3].
inline constexpr std::size_t first_part_of_rsdp = 20, whole_rsdp = 36;

inline bool sums_to_zero(std::span<const std::byte> bytes)
{
    std::uint8_t sum = 0;
    for (const std::byte b : bytes)
        sum = static_cast<std::uint8_t>(sum + std::to_integer<std::uint8_t>(b));
    return sum == 0;
}

/// Whether one lies at `at`, by its first part. Precondition: that is in memory.
inline bool is_rsdp(lobos::phys_addr at)
{
    std::array<std::byte, first_part_of_rsdp> bytes;
    memory.read(at, bytes);
    const std::string_view signature{reinterpret_cast<const char*>(bytes.data()), 8};
    return signature == "RSD PTR " && sums_to_zero(bytes);
}

inline std::optional<lobos::phys_addr> find_rsdp_in(std::uint64_t begin, std::uint64_t end)
{
    for (std::uint64_t at = begin; at + first_part_of_rsdp <= end; at += 16)
        if (is_rsdp(lobos::phys_addr::at(at)))
            return lobos::phys_addr::at(at);
    return std::nullopt;
}

inline std::optional<lobos::phys_addr> find_rsdp()
{
    if (efi_root_pointer)
        return efi_root_pointer;
    const auto segment = lobos::load<std::uint16_t>(memory, lobos::phys_addr::at(0x40e));
    const std::uint64_t extended = std::uint64_t{segment} << 4;
    if (extended >= 0x80000 && extended < 0xa0000)
        if (const auto found = find_rsdp_in(extended, extended + 1024))
            return found;
    return find_rsdp_in(0xe0000, 0x100000);
}

/// What the firmware says of resetting the machine; port 0 when that is nothing, or lies out of reach.
inline lobos::x86::reset_register firmware_reset()
{
    const auto root = find_rsdp();
    if (!root)
        return {};
    return lobos::x86::find_reset_register(memory, *root, mapped_memory).value_or(lobos::x86::reset_register{});
}

} // namespace kernel
