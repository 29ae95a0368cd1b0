// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The memory map of EFI firmware, as it lies in memory once boot services are over [uefi/2.9 §7.2 "GetMemoryMap"]: an
/// array of descriptors, each as long as the firmware says, which is no less than the fields known here. A descriptor
/// is of whole pages of 4 KiB. The map is the firmware's word on where it goes on working at run time, and a kernel
/// that is to call it needs that word. Addresses are physical bytes; little-endian. The reader believes no size and no
/// sum.

#include <cstddef>
#include <optional>

#include <lobos/core/fault.hpp>
#include <lobos/core/physical_memory.hpp>
#include <lobos/core/range.hpp>

namespace lobos {

/// The EFI firmware of the machine, its boot services over, if it has not been told virtual addresses yet: what it was
/// told, no protocol of a loader's can say. What it works with at run time, of whatever type, is reserved in the memory
/// map of the running kernel.
struct efi_firmware {
    bool is_64_bit; ///< the firmware, not the kernel
    phys_addr system_table;
    phys_range memory_map; ///< an array of descriptors
    std::uint32_t descriptor_size;
    std::uint32_t descriptor_version;
};

namespace efi {

enum memory_type : std::uint32_t {
    reserved = 0,
    loader_code = 1,
    loader_data = 2,
    boot_services_code = 3,
    boot_services_data = 4,
    runtime_services_code = 5,
    runtime_services_data = 6,
    conventional = 7,
    unusable = 8,
    acpi_reclaimable = 9,
    acpi_nvs = 10,
};

/// The beginning of each descriptor.
struct descriptor {
    static constexpr std::uint32_t version = 1;
    static constexpr std::uint64_t at_run_time = std::uint64_t{1} << 63; ///< in `attributes`: the firmware's for good
    std::uint32_t type, padding;
    std::uint64_t physical, mapped_at, pages, attributes;
    friend constexpr bool operator==(const descriptor&, const descriptor&) = default;
};

inline constexpr byte_count page = byte_count::of(4096);

/// Whether memory of this type is free once boot services are over, for whoever does not need what lies in it.
constexpr bool is_free(std::uint32_t type)
{
    return (type >= loader_code && type <= boot_services_data) || type == conventional;
}

/// The memory that `d` describes; nothing if it is none, or wraps.
constexpr std::optional<phys_range> range_of(const descriptor& d)
{
    if (d.pages == 0 || d.pages > ~std::uint64_t{0} >> 12)
        return std::nullopt;
    return phys_range::checked(phys_addr::at(d.physical), byte_count::of(d.pages << 12));
}

/// Shows `visit` each descriptor with its memory, in their order; those of no pages are skipped. Ends with the first
/// fault of `visit`. Faults: unsupported (descriptors of another version; at: the map), bad_header (descriptors shorter
/// than their fields, or a map that is no whole number of them or has more than 4 GiB; at: the map), bad_range (one
/// wraps; at: where it lies), those of `visit`.
template <physical_memory M, class Visit>
result<void> for_each_descriptor(M& memory, const efi_firmware& firmware, stage in, const Visit& visit)
{
    const phys_addr at = firmware.memory_map.first();
    const std::uint32_t size = firmware.descriptor_size;
    const std::uint64_t last = (firmware.memory_map.last() - at).raw();
    if (firmware.descriptor_version != descriptor::version)
        return refuse(fault_code::unsupported, in, at);
    if (size < sizeof(descriptor) || last >> 32 != 0 || static_cast<std::uint32_t>(last) % size != size - 1)
        return refuse(fault_code::bad_header, in, at);
    for (std::uint64_t offset = 0; offset < last; offset += size) {
        const phys_addr here = at + byte_count::of(offset);
        const auto d = load<descriptor>(memory, here);
        if (d.pages == 0)
            continue;
        const auto range = range_of(d);
        if (!range)
            return refuse(fault_code::bad_range, in, here);
        if (const auto seen = visit(d, *range); !seen)
            return seen;
    }
    return {};
}

} // namespace efi

// Sanity checks
static_assert(sizeof(efi::descriptor) == 40 && offsetof(efi::descriptor, attributes) == 32);
static_assert(efi::is_free(efi::loader_code) && efi::is_free(efi::boot_services_data) && efi::is_free(7));
static_assert(!efi::is_free(0) && !efi::is_free(efi::runtime_services_code) && !efi::is_free(efi::acpi_reclaimable));
static_assert(efi::range_of({7, 0, 0x1000, 0, 2, 0})->last() == phys_addr::at(0x2fff));
static_assert(!efi::range_of({7, 0, 0x1000, 0, 0, 0}) && !efi::range_of({7, 0, 0x2000, 0, ~0ull >> 12, 0}));

} // namespace lobos
