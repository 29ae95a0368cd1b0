// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The page of boot parameters, Linux's "zero page", as the kernel's 32-bit entry point wants to find it at %esi and
/// its 64-bit one at %rsi [linux/boot.rst "32-bit Boot Protocol", "64-bit Boot Protocol"] [linux/zero-page.rst]: all
/// zero, but for the setup header of the file with the loader's fields filled in, the memory map, and what is known of
/// the firmware. No video mode is described (`screen_info` stays zero): the kernel talks to its serial console until a
/// driver finds the display. What has no room in the page goes on in setup data. Addresses are physical bytes.

#include <algorithm>
#include <optional>
#include <span>

#include <lobos/core/region_map.hpp>
#include <lobos/image/bzimage.hpp>
#include <lobos/x86/efi_told_map.hpp>
#include <lobos/x86/page.hpp>
#include <lobos/x86/setup_data.hpp>

namespace lobos {

/// Offsets in the page beside those of the setup header, by the manual's names [linux/zero-page.rst].
namespace boot_params {
inline constexpr std::size_t size = 4096;
inline constexpr std::size_t acpi_rsdp_addr = 0x070;    // 8
inline constexpr std::size_t ext_ramdisk_image = 0x0c0; // 4, the upper halves
inline constexpr std::size_t ext_ramdisk_size = 0x0c4;  // 4
inline constexpr std::size_t ext_cmd_line_ptr = 0x0c8;  // 4
inline constexpr std::size_t efi_info = 0x1c0;          // 32, the eight fields that follow
inline constexpr std::size_t efi_loader_signature = 0x1c0;
inline constexpr std::size_t efi_systab = 0x1c4;
inline constexpr std::size_t efi_memdesc_size = 0x1c8;
inline constexpr std::size_t efi_memdesc_version = 0x1cc;
inline constexpr std::size_t efi_memmap = 0x1d0;
inline constexpr std::size_t efi_memmap_size = 0x1d4;
inline constexpr std::size_t efi_systab_hi = 0x1d8;
inline constexpr std::size_t efi_memmap_hi = 0x1dc;
inline constexpr std::size_t e820_entries = 0x1e8; // 1
inline constexpr std::size_t sentinel = 0x1ef;     // 1, 0 from a loader that cleared the page
inline constexpr std::size_t e820_table = 0x2d0;   // of `e820_entry`s
inline constexpr std::size_t e820_entry_size = sizeof(e820_entry);
inline constexpr std::size_t e820_max_entries = 128;
} // namespace boot_params

/// What the loader does not know: where things lie that are not part of the image.
struct linux_parameters {
    phys_addr command_line_at; ///< of `linux_image::command_line` and a terminator
    /// If known: a kernel on a machine without a BIOS cannot find it itself. Where the glue's memory() can read it.
    std::optional<phys_addr> acpi_rsdp = {};
    std::optional<efi_firmware> efi = {};     ///< with the memory map that is told
    std::span<const std::byte> rng_seed = {}; ///< random bytes that nobody else has, or none; goes into setup data
};

/// How many pages of parameters tell of `regions` regions and a seed of `seed_size` bytes: the page of boot parameters,
/// one for the command line, and those for setup data. Precondition: the seed has at most `setup_data::longest` bytes.
constexpr std::size_t linux_parameter_pages(std::size_t regions, std::size_t seed_size)
{
    const std::size_t behind = regions - std::min(regions, boot_params::e820_max_entries);
    return 2 + setup_data::pages_for(behind, seed_size);
}

namespace detail {

constexpr std::uint32_t lower(std::uint64_t value)
{
    return static_cast<std::uint32_t>(value & 0xffff'ffff);
}
constexpr std::uint32_t upper(std::uint64_t value)
{
    return static_cast<std::uint32_t>(value >> 32);
}

constexpr result<void> put_efi_info(std::span<std::byte, boot_params::size> out, const efi_firmware& efi)
{
    using namespace boot_params;
    const auto outside = [](phys_addr at) { return refuse(fault_code::bad_range, stage::staging, at); };
    if (!efi.is_64_bit && !below_4g.contains(efi.system_table))
        return outside(efi.system_table);
    if ((!efi.is_64_bit && !below_4g.contains(efi.memory_map)) ||
        (efi.memory_map.last() - efi.memory_map.first()).raw() >= 0xffff'ffff)
        return outside(efi.memory_map.first());
    const std::uint64_t table = efi.system_table.raw();
    const std::uint64_t memory_map = efi.memory_map.first().raw();
    put_field(out, efi_loader_signature, std::uint32_t{efi.is_64_bit ? 0x3436'4c45u : 0x3233'4c45u}); // "EL64", "EL32"
    put_field(out, efi_systab, lower(table));
    put_field(out, efi_systab_hi, upper(table));
    put_field(out, efi_memmap, lower(memory_map));
    put_field(out, efi_memmap_hi, upper(memory_map));
    put_field(out, efi_memmap_size, lower(efi.memory_map.size().raw()));
    put_field(out, efi_memdesc_size, efi.descriptor_size);
    put_field(out, efi_memdesc_version, efi.descriptor_version);
    return {};
}

} // namespace detail

/// Fills `out` for `image`; the first 128 regions of `map` become the e820 map. The others, and the seed, are in the
/// chain of setup data at `setup_data_at`, 0 for none. The ACPI root pointer is told whatever the protocol version:
/// kernels that call themselves 2.13 read it too (2.14 is to be taken as 2.13, says [linux/boot.rst]), and to older
/// ones the field is padding. Faults: too_many_regions (more than 128 without setup data; nothing is cut), bad_range
/// (the command line or the initrd does not lie below 4 GiB and the image cannot have it elsewhere; the EFI memory map
/// has 4 GiB or more, or the tables of a 32-bit firmware do not lie below; a region of the map is the whole 2^64
/// bytes). After a fault the contents of `out` mean nothing.
constexpr result<void> make_boot_params(const linux_image& image, const region_map& map,
    const linux_parameters& parameters, std::span<std::byte, boot_params::size> out, phys_addr setup_data_at = {})
{
    auto regions = map.regions();
    if (regions.size() > boot_params::e820_max_entries && setup_data_at == phys_addr{})
        return refuse(fault_code::too_many_regions, stage::staging, regions.size());
    for (const region& r : regions)
        if ((r.range.last() - r.range.first()).raw() == ~std::uint64_t{0})
            return refuse(fault_code::bad_range, stage::staging, r.range.first());
    regions = regions.first(std::min(regions.size(), boot_params::e820_max_entries));
    const auto in_reach = [&image](
                              std::optional<phys_range> r) { return r && (image.above_4g || below_4g.contains(*r)); };
    const auto line_size = byte_count::of(std::uint64_t{image.command_line.size()} + 1);
    if (!in_reach(phys_range::checked(parameters.command_line_at, line_size)))
        return refuse(fault_code::bad_range, stage::staging, parameters.command_line_at);
    if (image.initrd && !in_reach(image.initrd))
        return refuse(fault_code::bad_range, stage::staging, image.initrd->first());

    std::fill(out.begin(), out.end(), std::byte{0});
    std::copy_n(image.header.begin(), std::min<std::size_t>(image.header_size, image.header.size()),
        out.begin() + setup_header::begin);

    const auto put_halves = [out](std::size_t low_field, std::size_t high_field, std::uint64_t value) {
        put_field(out, low_field, detail::lower(value));
        put_field(out, high_field, detail::upper(value));
    };
    put_field(out, setup_header::type_of_loader, std::uint8_t{0xff}); // none of those with a number
    put_field(out, setup_header::ext_loader_type, std::uint8_t{0});
    put_field(out, setup_header::ext_loader_ver, std::uint8_t{0});
    put_field(out, setup_header::setup_data, setup_data_at.raw()); // a list in memory: the file cannot know of one
    put_field(out, setup_header::code32_start, below_4g.contains(image.entry) ? detail::lower(image.entry.raw()) : 0u);
    put_halves(setup_header::cmd_line_ptr, boot_params::ext_cmd_line_ptr, parameters.command_line_at.raw());
    put_halves(
        setup_header::ramdisk_image, boot_params::ext_ramdisk_image, image.initrd ? image.initrd->first().raw() : 0);
    put_halves(
        setup_header::ramdisk_size, boot_params::ext_ramdisk_size, image.initrd ? image.initrd->size().raw() : 0);
    if (parameters.acpi_rsdp)
        put_field(out, boot_params::acpi_rsdp_addr, parameters.acpi_rsdp->raw());
    if (parameters.efi)
        if (const auto told = detail::put_efi_info(out, *parameters.efi); !told)
            return told;

    put_field(out, boot_params::e820_entries, static_cast<std::uint8_t>(regions.size()));
    std::size_t entry = boot_params::e820_table;
    for (const region& r : regions) {
        const e820_entry bytes = make_e820_entry(r);
        std::copy(bytes.begin(), bytes.end(), out.begin() + static_cast<std::ptrdiff_t>(entry));
        entry += boot_params::e820_entry_size;
    }
    return {};
}

/// Writes all that `image` is told into `pages`: the boot parameters into the first, the EFI memory map into the end of
/// the longest row of the others, the command line into the next (`parameters.command_line_at` is not looked at), setup
/// data into the rest, as much as is needed and no page twice. The memory map of `parameters.efi` is the firmware's
/// own. Precondition: at least two pages, with EFI three and at most `max_parameter_pages`. Faults: no_room (the EFI
/// memory map has no row of pages that is long enough, or the command line no page then; at: its size), those of
/// efi::told_size, too_many_regions (the map has more than the pages take), no_space (the seed has no page or more than
/// `setup_data::longest` bytes; at: its size), bad_range (setup data at address 0, which ends a chain), those of
/// make_boot_params. Nothing is written before the last of them is found. `scratch` is a page to put parameters
/// together in.
template <physical_memory M>
result<void> write_boot_params(M& memory, const linux_image& image, const region_map& map, linux_parameters parameters,
    std::span<const phys_addr> pages, std::span<std::byte> scratch)
{
    expects(pages.size() >= 2, "boot parameters and a command line have a page each");
    const std::optional<efi_firmware> firmware = parameters.efi;
    std::array<phys_addr, max_parameter_pages> without_map{};
    if (firmware) {
        expects(pages.size() >= 3 && pages.size() <= without_map.size(), "an EFI memory map has a page, of few");
        const auto size = efi::told_size(memory, *firmware, map);
        if (!size)
            return std::unexpected{size.error()};
        const auto row = efi::longest_row(pages.subspan(1));
        const auto taken = static_cast<std::size_t>((size->raw() + x86::page_size.raw() - 1) >> 12);
        if (taken == 0 || taken > row.size() || taken + 2 > pages.size())
            return refuse(fault_code::no_room, stage::staging, size->raw());
        const auto begin = static_cast<std::size_t>(row.data() - pages.data()) + row.size() - taken;
        parameters.efi->memory_map = phys_range::of(pages[begin], *size);
        std::copy_n(pages.begin(), begin, without_map.begin());
        std::copy(pages.begin() + static_cast<std::ptrdiff_t>(begin + taken), pages.end(),
            without_map.begin() + static_cast<std::ptrdiff_t>(begin));
        pages = std::span{without_map}.first(pages.size() - taken);
    }
    const auto for_data = pages.subspan(2);
    const auto seed = parameters.rng_seed;
    const auto regions = map.regions();
    const auto behind = regions.subspan(std::min(regions.size(), boot_params::e820_max_entries));
    if (!seed.empty() && (for_data.empty() || seed.size() > setup_data::longest))
        return refuse(fault_code::no_space, stage::staging, seed.size());
    if (behind.size() > setup_data::capacity(for_data.size(), seed.size()))
        return refuse(fault_code::too_many_regions, stage::staging, regions.size());

    const bool chained = !behind.empty() || !seed.empty();
    for (const phys_addr page : for_data)
        if (chained && page == phys_addr{})
            return refuse(fault_code::bad_range, stage::staging, page);

    parameters.command_line_at = pages[1];
    const auto page = scratch.first<boot_params::size>();
    std::ranges::fill(page, std::byte{0});
    if (const auto made = make_boot_params(image, map, parameters, page, chained ? for_data[0] : phys_addr{}); !made)
        return made;
    memory.write(pages[0], page);
    memory.write(pages[1], std::as_bytes(std::span{image.command_line}));
    store(memory, pages[1] + byte_count::of(image.command_line.size()), char{0});
    setup_data::write(memory, behind, seed, for_data);
    if (firmware)
        efi::write_told(memory, *firmware, map, parameters.efi->memory_map.first());
    return {};
}

// Sanity checks
static_assert(setup_header::largest_end < boot_params::e820_table);
static_assert(boot_params::e820_table + boot_params::e820_max_entries * boot_params::e820_entry_size == 0xcd0);
static_assert(boot_params::e820_entry_size == 20);
static_assert(linux_parameter_pages(128, 0) == 2 && linux_parameter_pages(128, 32) == 3 &&
    linux_parameter_pages(129, 0) == 3 && linux_parameter_pages(128 + 204 + 1, 0) == 4);
static_assert(bzimage::longest_command_line < setup_data::page, "the command line has one page, terminator included");

} // namespace lobos
