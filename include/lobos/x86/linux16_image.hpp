// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The loader for the 16-bit entry of a bzImage, in real mode, for a kernel that is to ask the BIOS itself for memory
/// map, disks and video modes [linux/boot.rst "The Real-Mode Kernel Header", "Memory Layout of The Real-Mode Code",
/// "Running the Kernel"]. Beside kernel and initrd, which lie as for the 32-bit entry, the file's real-mode part gets a
/// segment of 64 KiB below 640 KiB: the setup code up to 0x8000, stack and heap up to 0xe000, the command line behind.
/// All of it is usable memory, so it lies below the extended BIOS data area if the map does not call that usable. The
/// first page, with the interrupt vectors and the BIOS's data, is kept as it is.

#include <lobos/image/bzimage.hpp>
#include <lobos/x86/page.hpp>
#include <lobos/x86/setup_data.hpp>

namespace lobos {

/// The layout of the real-mode segment, by offsets in it.
namespace linux16 {
inline constexpr std::uint16_t setup_end = 0x8000;
inline constexpr std::uint16_t heap_end = 0xe000; // the command line begins here
inline constexpr std::uint16_t entry_offset = 0x200;
inline constexpr byte_count area_size = byte_count::of(0x1'0000);
inline constexpr std::uint8_t can_use_heap = 0x80; // of loadflags
/// Above the interrupt vectors and the BIOS data, below video memory.
inline constexpr phys_range within = phys_range::between(phys_addr::at(0x1000), phys_addr::at(0x9'ffff));
inline constexpr phys_range bios_data = phys_range::of(phys_addr::at(0), x86::page_size); // and the vectors
} // namespace linux16

struct linux16_image {
    /// Kernel, initrd, the BIOS's page, and the real-mode segment but for two pages that are in no segment, because
    /// they are made and not loaded: `setup_page` and `command_line_page`. The entry contract has these.
    linux_image base;
    phys_addr real_mode;   ///< where the real-mode segment begins, in whole pages
    byte_count setup_size; ///< of the real-mode part of the file

    constexpr phys_range area() const { return phys_range::of(real_mode, linux16::area_size); }
    constexpr phys_range setup_page() const { return phys_range::of(real_mode, x86::page_size); }
    constexpr phys_range command_line_page() const { return phys_range::of(command_line_at(), x86::page_size); }
    constexpr phys_addr command_line_at() const { return real_mode + byte_count::of(linux16::heap_end); }

    /// What the first instruction finds: ds, es, fs, gs and ss; cs, with ip 0; and sp.
    constexpr std::uint16_t data_segment() const { return static_cast<std::uint16_t>(real_mode.raw() >> 4); }
    constexpr std::uint16_t entry_segment() const
    {
        return static_cast<std::uint16_t>(data_segment() + (linux16::entry_offset >> 4));
    }
    static constexpr std::uint16_t stack_pointer() { return linux16::heap_end; }
};

namespace linux16 {

/// Loads `kernel`, and `initrd` if it is not null.
template <image_source K, image_source I>
result<linux16_image> load(const K& kernel, const I* initrd, linux_request request, const region_map& map)
{
    request.entry = linux_entry::protected_32; // where the setup code goes on
    const auto base = bzimage::load(kernel, initrd, request, map);
    if (!base)
        return std::unexpected{base.error()};
    const auto sectors = get_field<std::uint8_t>(base->header, setup_header::setup_sects);
    const auto setup_size = byte_count::of((sectors == 0 ? 5u : sectors + 1u) * bzimage::sector.raw());
    if (setup_size > byte_count::of(setup_end))
        return refuse(fault_code::unsupported, stage::loading, setup_header::setup_sects);
    const auto area = map.highest_hole(area_size, x86::page_size, within, request.taken);
    if (!area)
        return refuse(fault_code::no_room, stage::loading, area_size.raw());

    result<linux16_image> image{linux16_image{*base, area->first(), setup_size}};
    auto& segments = image->base.segments;
    const byte_count loaded = std::max(setup_size, x86::page_size);
    const auto at = [&](byte_count offset) { return area->first() + offset; };
    bool fits = true;
    if (setup_size > x86::page_size)
        fits = segments.push_back({.destination = phys_range::of(at(x86::page_size), setup_size - x86::page_size),
            .file = kernel.extents(),
            .file_offset = x86::page_size});
    fits = fits &&
        segments.push_back(
            {.destination = phys_range::of(at(loaded), byte_count::of(heap_end) - loaded), .what = content::scratch}) &&
        segments.push_back(
            {.destination = phys_range::between(image->command_line_page().last() + byte_count::of(1), area->last()),
                .what = content::scratch});
    // Where the map calls that usable, nothing else may lie there; where not, nothing can.
    if (!map.first_not(region_kind::usable, bios_data))
        fits = fits && segments.push_back({.destination = bios_data, .what = content::kept});
    expects(fits, "a bzImage has few segments");
    return image;
}

} // namespace linux16

/// Loads a kernel with an initrd, as load_bzimage does, and finds the highest place for its real-mode part, at 0x90000
/// if that is free. The request's entry is not looked at, and `within` is for kernel and initrd.
/// Faults: those of load_bzimage, unsupported (at: `setup_sects`) when the real-mode part has more than 32 KiB, no_room
/// (at: 0x10000) when there are no 64 KiB for it.
template <image_source K, image_source I>
result<linux16_image> load_linux16(
    const K& kernel, const I& initrd, const linux_request& request, const region_map& map)
{
    return linux16::load(kernel, &initrd, request, map);
}

/// Loads a kernel without an initrd. Faults: as above.
template <image_source K>
result<linux16_image> load_linux16(const K& kernel, const linux_request& request, const region_map& map)
{
    return linux16::load<K, K>(kernel, nullptr, request, map);
}

/// Fills `out` with what belongs at `image.real_mode`: the first page of the real-mode part of `kernel`, the file that
/// `image` was loaded from, with the loader's fields in its header. The rest of the boot sector, 0..0x1f0, is the
/// file's, and nobody needs it. Faults: truncated_image (at: the size of the file).
template <image_source K>
result<void> make_setup_page(
    const K& kernel, const linux16_image& image, std::span<std::byte, x86::page_size.raw()> out)
{
    const std::size_t size = static_cast<std::size_t>(std::min(image.setup_size, x86::page_size).raw());
    std::fill(out.begin(), out.end(), std::byte{0});
    if (!kernel.read(0, out.first(size)))
        return refuse(fault_code::truncated_image, stage::loading, kernel.size().raw());
    std::copy_n(image.base.header.begin(), std::min<std::size_t>(image.base.header_size, image.base.header.size()),
        out.begin() + setup_header::begin);

    const auto put_low = [out](std::size_t field, std::uint64_t value) {
        put_field(out, field, static_cast<std::uint32_t>(value));
    };
    const auto& initrd = image.base.initrd;
    const auto flags = get_field<std::uint8_t>(image.base.header, setup_header::loadflags);
    put_field(out, setup_header::type_of_loader, std::uint8_t{0xff}); // none of those with a number
    put_field(out, setup_header::ext_loader_type, std::uint8_t{0});
    put_field(out, setup_header::ext_loader_ver, std::uint8_t{0});
    put_field(out, setup_header::loadflags, static_cast<std::uint8_t>(flags | linux16::can_use_heap));
    put_field(out, setup_header::heap_end_ptr, static_cast<std::uint16_t>(linux16::heap_end - 0x200));
    put_field(out, setup_header::setup_data, std::uint64_t{0});
    put_low(setup_header::code32_start, image.base.entry.raw());
    put_low(setup_header::cmd_line_ptr, image.command_line_at().raw());
    put_low(setup_header::ramdisk_image, initrd ? initrd->first().raw() : 0);
    put_low(setup_header::ramdisk_size, initrd ? initrd->size().raw() : 0);
    return {};
}

// Sanity checks
static_assert(
    bzimage::longest_command_line < x86::page_size.raw(), "the command line has one page, terminator included");
static_assert(linux16::heap_end + x86::page_size.raw() < linux16::area_size.raw());

} // namespace lobos
