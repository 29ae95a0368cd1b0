// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The loader for Linux on x86: a bzImage of boot protocol 2.10 or later (Linux 2.6.31), to be entered at its 32-bit or
/// its 64-bit entry point [linux/boot.rst "32-bit Boot Protocol", "64-bit Boot Protocol"]. It reads the setup header,
/// finds a place for the kernel with all the memory that it needs to unpack itself (`init_size`, not the size of the
/// file) and for the initrd, and checks that the command line can be handed over whole. What the new kernel is then
/// told is made from the answer by x86/boot_params.hpp. Addresses and sizes are in bytes; everything lies from 1 MiB
/// up, and below 4 GiB unless the kernel says that it may lie higher and is entered in 64-bit mode.

#include <algorithm>
#include <array>
#include <bit>
#include <optional>

#include <lobos/core/region_map.hpp>
#include <lobos/core/text.hpp>
#include <lobos/image/linux_image.hpp>

namespace lobos {

/// True when the file has the boot flag and the magic number of a Linux kernel with a setup header.
template <image_source S> bool is_bzimage(const S& file)
{
    std::uint16_t flag = 0;
    std::uint32_t magic = 0;
    return read_value(file, setup_header::boot_flag, flag) && flag == 0xaa55 &&
        read_value(file, setup_header::header, magic) && magic == 0x53726448;
}

namespace bzimage {

inline constexpr byte_count page = byte_count::of(4096);
inline constexpr byte_count sector = byte_count::of(512);
inline constexpr std::uint8_t loaded_high = 0x01;
inline constexpr std::uint16_t xlf_kernel_64 = 0x01;
inline constexpr std::uint16_t xlf_can_be_loaded_above_4g = 0x02;
inline constexpr byte_count into_entry_64 = byte_count::of(0x200); // from where the kernel is loaded
inline constexpr phys_addr top = phys_addr::at(~std::uint64_t{0});
inline constexpr std::size_t longest_command_line = 4095;

/// The header of a kernel that can be loaded, and where its protected-mode part begins in the file.
struct parsed {
    setup_header_bytes header = {};
    std::uint8_t header_size = 0;
    byte_count setup_size;
    byte_count code_size; // the file from there on: the code, and the signature that a distribution may append

    template <class T> constexpr T get(std::size_t offset) const { return get_field<T>(header, offset); }

    /// Older protocols have something else where the flags are.
    constexpr bool has_xloadflag(std::uint16_t flag) const
    {
        return get<std::uint16_t>(setup_header::version) >= 0x20c &&
            (get<std::uint16_t>(setup_header::xloadflags) & flag) != 0;
    }
    constexpr bool has_entry_64() const { return has_xloadflag(xlf_kernel_64) && code_size > into_entry_64; }
    constexpr bool above_4g() const { return has_entry_64() && has_xloadflag(xlf_can_be_loaded_above_4g); }
    /// Whether it goes above 4 GiB when it is entered so.
    constexpr bool goes_high(linux_entry entry) const { return entry == linux_entry::long_64 && above_4g(); }
};

inline std::unexpected<fault> bad(std::size_t field, fault_code code = fault_code::bad_header)
{
    return refuse(code, stage::loading, field);
}

template <image_source K> result<parsed> parse(const K& file)
{
    using namespace setup_header;
    parsed p;
    const auto truncated = refuse(fault_code::truncated_image, stage::loading, file.size().raw());
    if (!is_bzimage(file)) {
        std::uint16_t flag = 0;
        const bool flagged = read_value(file, boot_flag, flag) && flag == 0xaa55;
        return bad(flagged ? setup_header::header : boot_flag, fault_code::unknown_format);
    }
    std::uint8_t reach = 0;
    if (!read_value(file, length, reach) || !file.read(begin, std::span{p.header}.first(version + 2 - begin)))
        return truncated;
    if (p.get<std::uint16_t>(version) < 0x20a)
        return bad(version, fault_code::unsupported);
    const std::size_t end = setup_header::header + reach;
    if (end < end_of_2_10 || end > largest_end)
        return bad(length);
    p.header_size = static_cast<std::uint8_t>(end - begin);
    if (!file.read(begin, std::span{p.header}.first(p.header_size)))
        return truncated;
    if ((p.get<std::uint8_t>(loadflags) & loaded_high) == 0)
        return bad(loadflags, fault_code::unsupported);

    const auto sectors = p.get<std::uint8_t>(setup_sects);
    p.setup_size = byte_count::of((sectors == 0 ? 5u : sectors + 1u) * sector.raw());
    if (p.get<std::uint32_t>(syssize) == 0)
        return refuse(fault_code::empty_image, stage::loading, 0);
    if (p.setup_size + byte_count::of(std::uint64_t{16} * p.get<std::uint32_t>(syssize)) > file.size())
        return truncated;
    p.code_size = file.size() - p.setup_size;
    if (byte_count::of(p.get<std::uint32_t>(init_size)) < p.code_size)
        return bad(init_size);

    if (p.get<std::uint8_t>(relocatable_kernel) != 0) {
        const auto alignment = byte_count::of(p.get<std::uint32_t>(kernel_alignment));
        const auto least = p.get<std::uint8_t>(min_alignment);
        if (!is_power_of_two(alignment) || alignment < page)
            return bad(kernel_alignment);
        if (least > 31 || (alignment.raw() >> least) == 0)
            return bad(min_alignment);
    }
    return p;
}

/// The part of `within` from `first` to `last`, and not below 1 MiB.
constexpr std::optional<phys_range> window(phys_range within, phys_addr first, phys_addr last)
{
    first = std::max({first, within.first(), phys_addr::at(0x10'0000)});
    last = std::min(last, within.last());
    if (first > last)
        return std::nullopt;
    return phys_range::between(first, last);
}

/// Whether `place` is in `reach`, all usable memory and nobody's.
constexpr bool is_free(phys_range place, phys_range reach, const linux_request& request, const region_map& map)
{
    if (!reach.contains(place) || map.first_not(region_kind::usable, place))
        return false;
    for (const phys_range& t : request.taken)
        if (t.overlaps(place))
            return false;
    return true;
}

/// The place for the kernel, and `p`'s header made to say so.
constexpr result<phys_range> place_kernel(parsed& p, const linux_request& request, const region_map& map)
{
    const auto size = byte_count::of(p.get<std::uint32_t>(setup_header::init_size));
    const auto preferred = phys_addr::at(p.get<std::uint64_t>(setup_header::pref_address));
    const auto reach = window(request.within, preferred, p.goes_high(request.entry) ? top : below_4g.last());
    const auto no_room = refuse(fault_code::no_room, stage::loading, size.raw());
    if (!reach)
        return no_room;

    if (p.get<std::uint8_t>(setup_header::relocatable_kernel) == 0) {
        const auto place = phys_range::checked(preferred, size);
        if (!place || !is_free(*place, *reach, request, map))
            return no_room;
        return *place;
    }

    // One that is loaded lower moves itself up to the preferred address, free or not, and one that is not aligned moves
    // to where it is [linux/Kconfig PHYSICAL_START, PHYSICAL_ALIGN]; so the search begins there and heeds the
    // alignment.
    const auto alignment = p.get<std::uint32_t>(setup_header::kernel_alignment);
    const auto shift = p.get<std::uint8_t>(setup_header::min_alignment);
    const std::uint32_t least = shift == 0 ? alignment : std::max(std::uint32_t{1} << shift, std::uint32_t{4096});
    for (std::uint32_t a = alignment; a >= least; a >>= 1) {
        const auto place = map.lowest_hole(size, byte_count::of(a), *reach, request.taken);
        if (!place)
            continue;
        for (std::size_t i = 0; i < sizeof a; ++i)
            p.header[setup_header::kernel_alignment - setup_header::begin + i] = static_cast<std::byte>(a >> 8 * i);
        return *place;
    }
    return no_room;
}

/// The highest place up to `last` for an initrd of `size` bytes. It gets whole pages: Linux frees the last one with it.
constexpr result<phys_range> place_initrd(
    byte_count size, phys_addr last, phys_range kernel, const linux_request& request, const region_map& map)
{
    const auto no_room = refuse(fault_code::no_room, stage::loading, size.raw());
    if (size.raw() > std::min(last, top - page).raw())
        return no_room;
    const byte_count pages = widen(phys_range::of(phys_addr{}, size), page).size();
    std::optional<phys_range> place;
    if (const auto after = address_after(kernel))
        if (const auto above = window(request.within, *after, last))
            place = map.highest_hole(pages, page, *above, request.taken);
    if (const auto below = window(request.within, phys_addr{}, std::min(last, kernel.first() - byte_count::of(1)));
        !place && below)
        place = map.highest_hole(pages, page, *below, request.taken);
    if (!place)
        return no_room;
    return phys_range::of(place->first(), size);
}

/// Loads `kernel`, and `initrd` if it is not null.
template <image_source K, image_source I>
result<linux_image> load(const K& kernel, const I* initrd, const linux_request& request, const region_map& map)
{
    auto p = parse(kernel);
    if (!p)
        return std::unexpected{p.error()};
    if (request.entry == linux_entry::long_64 && !p->has_entry_64())
        return bad(setup_header::xloadflags, fault_code::unsupported);
    const std::size_t length = request.command_line.size();
    if (length > longest_command_line || length > p->template get<std::uint32_t>(setup_header::cmdline_size) ||
        has_terminator(request.command_line))
        return refuse(fault_code::command_line_too_long, stage::loading, length);
    if (initrd && initrd->size().raw() == 0)
        return refuse(fault_code::empty_image, stage::loading, 0);

    const auto place = place_kernel(*p, request, map);
    if (!place)
        return std::unexpected{place.error()};
    result<linux_image> image{
        std::in_place, segment_list{}, below_4g.contains(*place) ? place->first() : no_entry, *place};
    image->command_line = request.command_line;
    image->version = p->template get<std::uint16_t>(setup_header::version);
    image->header_size = p->header_size;
    image->header = p->header;
    if (p->has_entry_64())
        image->entry_64 = place->first() + into_entry_64;
    image->above_4g = p->above_4g();

    const auto code = phys_range::of(place->first(), p->code_size);
    bool fits =
        image->segments.push_back({.destination = code, .file = kernel.extents(), .file_offset = p->setup_size});
    if (code != *place)
        fits &= image->segments.push_back(
            {.destination = phys_range::between(code.last() + byte_count::of(1), place->last()),
                .what = content::scratch});
    if (initrd) {
        const auto last = p->goes_high(request.entry)
            ? top
            : phys_addr::at(p->template get<std::uint32_t>(setup_header::initrd_addr_max));
        const auto found = place_initrd(initrd->size(), last, *place, request, map);
        if (!found)
            return std::unexpected{found.error()};
        image->initrd = *found;
        fits &=
            image->segments.push_back({.destination = *found, .role = segment_role::initrd, .file = initrd->extents()});
    }
    expects(fits, "an image has room for three segments");
    return image;
}

} // namespace bzimage

/// Loads a kernel with an initrd. The kernel goes to its preferred address if all of `init_size` is usable there and
/// clear of `taken`; otherwise, if it is relocatable, to the lowest hole above (never below: it would move itself up)
/// of its preferred alignment, or failing that of the next smaller one that it allows, and then the header says so. The
/// initrd goes to the highest hole of whole pages that the kernel can reach, clear of the kernel and of `taken`. Both
/// lie below 4 GiB, and the initrd up to `initrd_addr_max`, unless the request is for the 64-bit entry and the kernel
/// can be loaded above. Faults: unknown_format (no setup header), unsupported (protocol below 2.10; a zImage; at
/// `xloadflags`: no 64-bit entry, and it was asked for), truncated_image (shorter than its setup sectors and `syssize`
/// say), bad_header (header length; `init_size` below the size of the code; alignments), empty_image (`syssize` is 0,
/// or an initrd of no bytes), command_line_too_long (longer than `cmdline_size` or 4095 bytes, or with a NUL in it: the
/// kernel would see less of it than was given), no_room (at: `init_size`, or the size of the initrd).
template <image_source K, image_source I>
result<linux_image> load_bzimage(const K& kernel, const I& initrd, const linux_request& request, const region_map& map)
{
    return bzimage::load(kernel, &initrd, request, map);
}

/// Loads a kernel without an initrd. Faults: as above.
template <image_source K>
result<linux_image> load_bzimage(const K& kernel, const linux_request& request, const region_map& map)
{
    return bzimage::load<K, K>(kernel, nullptr, request, map);
}

// Sanity checks
static_assert(setup_header::largest_end <= 2 * bzimage::sector.raw(), "a header always fits its setup sectors");
static_assert(*bzimage::window(phys_range::between(0_pa, 0x1'0000'0000_pa), 0_pa, 0xffff'ffff_pa) ==
    phys_range::between(0x10'0000_pa, 0xffff'ffff_pa));
static_assert(!bzimage::window(below_4g, 0_pa, 0xf'ffff_pa));

} // namespace lobos
