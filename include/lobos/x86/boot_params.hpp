// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The page of boot parameters, Linux's "zero page", as the kernel's 32-bit entry point wants to find it at %esi
/// [linux/boot.rst "32-bit Boot Protocol"] [linux/zero-page.rst]: all zero, but for the setup header of the file with
/// the loader's fields filled in, the memory map, and the ACPI root pointer. No video mode is described (`screen_info`
/// stays zero): the kernel talks to its serial console until a driver finds the display. Addresses are physical bytes.

#include <algorithm>
#include <optional>
#include <span>

#include <lobos/core/region_map.hpp>
#include <lobos/image/bzimage.hpp>

namespace lobos {

/// Offsets in the page beside those of the setup header, by the manual's names [linux/zero-page.rst].
namespace boot_params {
inline constexpr std::size_t size = 4096;
inline constexpr std::size_t acpi_rsdp_addr = 0x070;    // 8
inline constexpr std::size_t ext_ramdisk_image = 0x0c0; // 4, the upper halves; they stay 0
inline constexpr std::size_t ext_ramdisk_size = 0x0c4;  // 4
inline constexpr std::size_t ext_cmd_line_ptr = 0x0c8;  // 4
inline constexpr std::size_t e820_entries = 0x1e8;      // 1
inline constexpr std::size_t sentinel = 0x1ef;          // 1, 0 from a loader that cleared the page
inline constexpr std::size_t e820_table = 0x2d0;        // entries of 8 bytes address, 8 bytes size, 4 bytes type
inline constexpr std::size_t e820_entry_size = 20;
inline constexpr std::size_t e820_max_entries = 128;
} // namespace boot_params

/// What the loader does not know: where things lie that are not part of the image.
struct linux_parameters {
    phys_addr command_line_at;               ///< of `linux_image::command_line` and a terminator
    std::optional<phys_addr> acpi_rsdp = {}; ///< if known: a kernel on a machine without a BIOS cannot find it itself
};

/// The type of a region in an e820 map [acpi/6.5 table 15.2]. A safe region is reserved: the new kernel must not take
/// it for free memory while it still stands on the tables in it.
constexpr std::uint32_t e820_type(region_kind kind)
{
    switch (kind) {
    case region_kind::usable: return 1;
    case region_kind::acpi_reclaimable: return 3;
    case region_kind::acpi_nvs: return 4;
    case region_kind::defective: return 5;
    case region_kind::reserved:
    case region_kind::safe:
    case region_kind::surviving: return 2;
    }
    return 2;
}

/// Writes `value` at `offset`, little-endian. Precondition: it fits.
template <class T> constexpr void put_field(std::span<std::byte> page, std::size_t offset, T value)
{
    for (std::byte& b : page.subspan(offset, sizeof(T))) {
        b = static_cast<std::byte>(value & 0xff);
        value = static_cast<T>(std::uint64_t{value} >> 8);
    }
}

/// Fills `out` for `image`; the regions of `map` become the e820 map. The ACPI root pointer is told whatever the
/// protocol version: kernels that call themselves 2.13 read it too (2.14 is to be taken as 2.13, says
/// [linux/boot.rst]), and to older ones the field is padding. Faults: too_many_regions (more than 128; nothing is cut),
/// bad_range (the command line does not lie below 4 GiB, or a region of the map is the whole 2^64 bytes). After a fault
/// the contents of `out` mean nothing.
constexpr result<void> make_boot_params(const linux_image& image, const region_map& map,
    const linux_parameters& parameters, std::span<std::byte, boot_params::size> out)
{
    const auto regions = map.regions();
    if (regions.size() > boot_params::e820_max_entries)
        return refuse(fault_code::too_many_regions, stage::staging, regions.size());
    const auto command_line =
        phys_range::checked(parameters.command_line_at, byte_count::of(std::uint64_t{image.command_line.size()} + 1));
    if (!command_line || !below_4g.contains(*command_line))
        return refuse(fault_code::bad_range, stage::staging, parameters.command_line_at);

    std::fill(out.begin(), out.end(), std::byte{0});
    std::copy_n(image.header.begin(), std::min<std::size_t>(image.header_size, image.header.size()),
        out.begin() + setup_header::begin);

    const auto put_address = [out](std::size_t field, phys_addr a) {
        put_field(out, field, static_cast<std::uint32_t>(a.raw()));
    };
    put_field(out, setup_header::type_of_loader, std::uint8_t{0xff}); // none of those with a number
    put_field(out, setup_header::ext_loader_type, std::uint8_t{0});
    put_field(out, setup_header::ext_loader_ver, std::uint8_t{0});
    put_field(out, setup_header::setup_data, std::uint64_t{0}); // a list in memory: the file cannot know of one
    put_address(setup_header::code32_start, image.entry);
    put_address(setup_header::cmd_line_ptr, parameters.command_line_at);
    put_address(setup_header::ramdisk_image, image.initrd ? image.initrd->first() : phys_addr{});
    const byte_count initrd_size = image.initrd ? image.initrd->size() : byte_count{};
    put_field(out, setup_header::ramdisk_size, static_cast<std::uint32_t>(initrd_size.raw()));
    if (parameters.acpi_rsdp)
        put_field(out, boot_params::acpi_rsdp_addr, parameters.acpi_rsdp->raw());

    put_field(out, boot_params::e820_entries, static_cast<std::uint8_t>(regions.size()));
    std::size_t entry = boot_params::e820_table;
    for (const region& r : regions) {
        const std::uint64_t all_but_one = (r.range.last() - r.range.first()).raw();
        if (all_but_one == ~std::uint64_t{0})
            return refuse(fault_code::bad_range, stage::staging, r.range.first());
        put_field(out, entry, r.range.first().raw());
        put_field(out, entry + 8, all_but_one + 1);
        put_field(out, entry + 16, e820_type(r.kind));
        entry += boot_params::e820_entry_size;
    }
    return {};
}

// Sanity checks
static_assert(setup_header::largest_end < boot_params::e820_table);
static_assert(boot_params::e820_table + boot_params::e820_max_entries * boot_params::e820_entry_size == 0xcd0);
static_assert([] {
    std::byte page[4] = {};
    put_field(std::span<std::byte>{page}, 1, std::uint16_t{0x1234});
    return page[0] == std::byte{0} && page[1] == std::byte{0x34} && page[2] == std::byte{0x12};
}());

} // namespace lobos
