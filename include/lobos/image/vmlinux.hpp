// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The loader for an uncompressed x86 Linux, the ELF file vmlinux, which is what [lobos/2000 §3.2.3] boots. Nothing
/// moves it: its program headers lie at their physical addresses, and its entry is a physical address too, of
/// startup_32 in a 32-bit kernel and of startup_64 in a 64-bit one. A vmlinux has no setup header; it gets one here
/// that says what is known, so that it is told the same as a bzImage, by x86/boot_params.hpp. Addresses and sizes are
/// in bytes; everything lies below 4 GiB and from 1 MiB up.

#include <lobos/image/bzimage.hpp>
#include <lobos/image/elf.hpp>

namespace lobos {
namespace vmlinux {

inline constexpr std::uint16_t em_386 = 3, em_x86_64 = 62;
inline constexpr std::size_t ei_class = 4;
inline constexpr std::uint32_t longest_command_line = 2047; // COMMAND_LINE_SIZE less the terminator
inline constexpr std::size_t end_of_header = 0x26c;         // of protocol 2.15

/// A setup header for a kernel that takes the memory of `kernel`.
constexpr bzimage::parsed make_header(phys_range kernel, linux_entry entry)
{
    using namespace setup_header;
    bzimage::parsed p;
    const auto size = static_cast<std::uint32_t>(kernel.size().raw());
    const auto set = [&p](std::size_t field, auto value) { set_field(p.header, field, value); };
    set(root_flags, std::uint16_t{1}); // mount the root read-only unless told otherwise, as every bzImage has it
    set(syssize, (size + 15) / 16);
    set(boot_flag, std::uint16_t{0xaa55});
    set(length, static_cast<std::uint8_t>(end_of_header - header));
    set(header, std::uint32_t{0x53726448});
    set(version, std::uint16_t{0x20f});
    set(type_of_loader, std::uint8_t{0xff});
    set(loadflags, bzimage::loaded_high);
    set(initrd_addr_max, std::uint32_t{0x7fff'ffff});
    // What both kinds of kernel can be built for at most; nobody aligns anything by it, for the kernel stays put.
    set(kernel_alignment, std::uint32_t{0x100'0000});
    set(cmdline_size, longest_command_line);
    set(pref_address, kernel.first().raw());
    set(init_size, size);
    if (entry == linux_entry::long_64)
        set(xloadflags, bzimage::xlf_kernel_64);
    p.header_size = static_cast<std::uint8_t>(end_of_header - begin);
    p.code_size = kernel.size();
    return p;
}

/// The whole pages from the first of `segments` to the last.
constexpr phys_range hull(std::span<const segment> segments)
{
    phys_range all = segments[0].destination;
    for (const segment& s : segments)
        all = phys_range::between(
            std::min(all.first(), s.destination.first()), std::max(all.last(), s.destination.last()));
    return widen(all, bzimage::page);
}

/// What of `kernel` is in none of `segments` becomes scratch: the kernel takes it for its own. False when the list is
/// full.
constexpr bool claim_gaps(segment_list& segments, phys_range kernel)
{
    for (std::optional<phys_addr> at = kernel.first(); at && *at <= kernel.last();) {
        phys_range gap = phys_range::between(*at, kernel.last());
        const segment* here = nullptr;
        for (const segment& s : segments) {
            if (s.occupies() && s.destination.contains(*at))
                here = &s;
            else if (s.occupies() && s.destination.first() > *at && s.destination.first() <= gap.last())
                gap = phys_range::between(*at, s.destination.first() - byte_count::of(1));
        }
        at = address_after(here ? here->destination : gap);
        if (!here && !segments.push_back({.destination = gap, .what = content::scratch}))
            return false;
    }
    return true;
}

/// Loads `kernel`, and `initrd` if it is not null.
template <class Class, image_source K, image_source I>
result<linux_image> load(const K& kernel, const I* initrd, const linux_request& request, const region_map& map)
{
    constexpr bool is_64 = Class::ei_class == 2;
    constexpr linux_entry entry = is_64 ? linux_entry::long_64 : linux_entry::protected_32;
    const auto elf = load_elf<Class>(kernel, is_64 ? em_x86_64 : em_386, elf_entry::physical_address);
    if (!elf)
        return std::unexpected{elf.error()};
    if (request.entry != entry)
        return refuse(fault_code::unsupported, stage::loading, ei_class);
    const std::size_t length = request.command_line.size();
    if (length > longest_command_line || has_terminator(request.command_line))
        return refuse(fault_code::command_line_too_long, stage::loading, length);
    if (initrd && initrd->size().raw() == 0)
        return refuse(fault_code::empty_image, stage::loading, 0);

    const phys_range place = hull(elf->segments);
    const auto reach = bzimage::window(request.within, phys_addr{}, below_4g.last());
    if (!reach || !bzimage::is_free(place, *reach, request, map)) {
        const bool all = place == phys_range::between(phys_addr{}, phys_addr::at(~std::uint64_t{0}));
        return refuse(fault_code::no_room, stage::loading, all ? 0 : place.size().raw());
    }
    const bzimage::parsed p = make_header(place, entry);
    const phys_addr at = phys_addr::at(elf->entry.raw());
    result<linux_image> image{std::in_place, elf->segments, is_64 ? no_entry : at, place};
    image->command_line = request.command_line;
    image->version = p.get<std::uint16_t>(setup_header::version);
    image->header_size = p.header_size;
    image->header = p.header;
    if (is_64)
        image->entry_64 = at;

    bool fits = claim_gaps(image->segments, place);
    if (initrd) {
        const auto last = phys_addr::at(p.get<std::uint32_t>(setup_header::initrd_addr_max));
        const auto found = bzimage::place_initrd(initrd->size(), last, place, request, map);
        if (!found)
            return std::unexpected{found.error()};
        image->initrd = *found;
        fits = fits &&
            image->segments.push_back({.destination = *found, .role = segment_role::initrd, .file = initrd->extents()});
    }
    if (!fits)
        return refuse(fault_code::no_space, stage::loading, max_segments + 1);
    return image;
}

} // namespace vmlinux

/// Loads a vmlinux of `Class` with an initrd. The kernel takes the whole pages from its first program header to the end
/// of its last, early heap and page tables (.bss and .brk) included, and what lies between; all of it must be usable,
/// in `within` and clear of `taken`. The initrd goes to the highest hole of whole pages below 2 GiB. The request's
/// entry is the one that the class has. Faults: those of load_elf, unsupported (at 4, the class: the other entry was
/// asked for), command_line_too_long (more than 2047 bytes, or a NUL in it), empty_image (an initrd of no bytes),
/// no_room (at: the size of the kernel's memory, 0 if that is all 2^64 bytes, or of the initrd), no_space (more than
/// `max_segments`).
template <class Class, image_source K, image_source I>
result<linux_image> load_vmlinux(const K& kernel, const I& initrd, const linux_request& request, const region_map& map)
{
    return vmlinux::load<Class>(kernel, &initrd, request, map);
}

/// Loads a vmlinux without an initrd. Faults: as above.
template <class Class, image_source K>
result<linux_image> load_vmlinux(const K& kernel, const linux_request& request, const region_map& map)
{
    return vmlinux::load<Class, K, K>(kernel, nullptr, request, map);
}

// Sanity checks
static_assert([] {
    const auto p = vmlinux::make_header(phys_range::of(0x100'0000_pa, 16_MiB), linux_entry::long_64);
    return p.get<std::uint32_t>(setup_header::init_size) == 0x100'0000 && p.has_entry_64() && !p.above_4g() &&
        p.header_size == 0x26c - 0x1f1;
}());

} // namespace lobos
