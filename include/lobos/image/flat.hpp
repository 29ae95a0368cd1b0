// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Images entered in flat 32-bit protected mode at a physical address, which is how multiboot 1 and 2, PVH and plain
/// binaries begin. All numbers are bytes or physical byte addresses; everything lies below 4 GiB. Here is what these
/// formats share: a plain file, a file whose header carries load addresses, an ELF file of either class, and modules.
/// A plain file may be entered with paging on as well, at a virtual address.

#include <cstdint>
#include <optional>

#include <lobos/core/region_map.hpp>
#include <lobos/image/elf.hpp>

namespace lobos {

/// What must lie where, where to begin, and what the image asks of whoever boots it.
struct flat_image {
    segment_list segments = {};
    phys_addr entry = {};
    byte_count module_alignment = byte_count::of(1); ///< of the first byte of each module
    bool wants_memory_map = false;
    bool wants_video_mode = false; ///< a wish; it has to run without
};

namespace flat {

/// The entry is a byte of the file and no padding.
constexpr bool is_code(const segment_list& segments, phys_addr entry)
{
    bool inside = false;
    for (const segment& s : segments) {
        if (s.what == content::padding && s.destination.contains(entry))
            return false;
        inside |= s.what == content::copy && s.destination.contains(entry);
    }
    return inside;
}

/// `image` if it can be entered where it says.
/// Faults: bad_range (a segment does not lie below 4 GiB), entry_not_in_image.
constexpr result<flat_image> checked(const flat_image& image)
{
    for (const segment& s : image.segments)
        if (!below_4g.contains(s.destination))
            return refuse(fault_code::bad_range, stage::loading, s.destination.first());
    if (!is_code(image.segments, image.entry))
        return refuse(fault_code::entry_not_in_image, stage::loading, image.entry);
    return image;
}

/// `size` bytes of `file` from `offset` go to `at`, `zeros` zero bytes behind them.
/// Faults: empty_image, truncated_image, bad_range, entry_not_in_image, as of `load_flat`.
template <image_source S>
result<flat_image> place(
    const S& file, std::uint64_t offset, std::uint64_t size, phys_addr at, std::uint64_t zeros, phys_addr entry)
{
    if (size == 0)
        return refuse(fault_code::empty_image, stage::loading, 0);
    if (offset > file.size().raw() || size > file.size().raw() - offset)
        return refuse(fault_code::truncated_image, stage::loading, file.size().raw());
    const auto copied = phys_range::checked(at, byte_count::of(size));
    if (!copied || !below_4g.contains(*copied) || zeros > (below_4g.last() - copied->last()).raw())
        return refuse(fault_code::bad_range, stage::loading, at);
    flat_image image{.entry = entry};
    bool fits = image.segments.push_back(
        {.destination = *copied, .file = file.extents(), .file_offset = byte_count::of(offset)});
    if (zeros != 0)
        fits = fits &&
            image.segments.push_back(
                {.destination = phys_range::of(copied->last() + byte_count::of(1), byte_count::of(zeros)),
                    .what = content::zero});
    expects(fits, "flat: two segments fit");
    return checked(image);
}

/// The load addresses that a header of multiboot 1 or 2 may carry, as they follow each other in the file
/// [multiboot/0.6.96 §3.1.3] [multiboot2/2.0 §3.1.5]. Ends are one past the last byte; 0 stands for the end of the
/// file, and for no .bss.
struct load_addresses {
    std::uint32_t header_addr, load_addr, load_end_addr, bss_end_addr;
};

/// Loads a file by the addresses in its header. The header lies at `header`, the addresses at `fields` of the file.
/// Faults: bad_header (the addresses contradict each other or the file; at: file offset of the wrong one), empty_image,
/// truncated_image, bad_range, entry_not_in_image, as of `load_flat`.
template <image_source S>
result<flat_image> load_by_addresses(
    const S& file, std::uint64_t header, const load_addresses& a, std::uint64_t fields, phys_addr entry)
{
    const auto bad = [fields](
                         std::size_t field) { return refuse(fault_code::bad_header, stage::loading, fields + field); };
    if (a.header_addr < a.load_addr)
        return bad(offsetof(load_addresses, header_addr));
    const std::uint32_t before = a.header_addr - a.load_addr; // bytes of the image in front of its header
    if (before > header)
        return bad(offsetof(load_addresses, load_addr));
    const std::uint64_t offset = header - before;
    if (a.load_end_addr != 0 && a.load_end_addr < a.load_addr)
        return bad(offsetof(load_addresses, load_end_addr));
    const std::uint64_t size =
        a.load_end_addr != 0 ? a.load_end_addr - a.load_addr : (file.size() - byte_count::of(offset)).raw();
    const auto end = checked_add(phys_addr::at(a.load_addr), byte_count::of(size));
    if (!end)
        return refuse(fault_code::bad_range, stage::loading, a.load_addr);
    if (a.bss_end_addr != 0 && a.bss_end_addr < end->raw())
        return bad(offsetof(load_addresses, bss_end_addr));
    const std::uint64_t zeros = a.bss_end_addr != 0 ? a.bss_end_addr - end->raw() : 0;
    return place(file, offset, size, phys_addr::at(a.load_addr), zeros, entry);
}

/// Loads `Class`. The entry is `entry` if there is one, otherwise `e_entry`.
template <class Class, image_source S> result<flat_image> load_elf_of(const S& file, std::optional<phys_addr> entry)
{
    constexpr std::uint16_t machine = Class::ei_class == 2 ? 62 : 3; // EM_X86_64, EM_386
    auto elf = load_elf<Class>(file, machine, entry ? elf_entry::elsewhere : elf_entry::physical_address);
    if (!entry && elf)
        entry = phys_addr::at(elf->entry.raw());
    if (!entry && elf.error().code == fault_code::entry_not_in_image) {
        elf = load_elf<Class>(file, machine);
        if (elf)
            for (const virtual_segment& m : elf->mappings)
                if (m.virtual_range.contains(elf->entry))
                    entry = m.physical + (elf->entry - m.virtual_range.first());
    }
    if (!elf)
        return std::unexpected{elf.error()};
    return checked({.segments = elf->segments, .entry = *entry});
}

} // namespace flat

/// Loads a plain binary: the whole file at `at`, then `zeros` zero bytes, entered `entry` bytes from its beginning.
/// Faults: empty_image (a file of no bytes), bad_range (it does not lie below 4 GiB; at: `at`), entry_not_in_image
/// (at: the entry's address, or the last one there is if it wraps).
template <image_source S>
result<flat_image> load_flat(const S& file, phys_addr at, byte_count zeros = {}, byte_count entry = {})
{
    return flat::place(
        file, 0, file.size().raw(), at, zeros.raw(), checked_add(at, entry).value_or(phys_addr::at(~std::uint64_t{0})));
}

/// Loads a plain binary that is entered with paging on: the whole file at `at`, then `zeros` zero bytes, all of it
/// mapped at `mapped_at`, where it may write, and entered `entry` bytes from its beginning. It may lie above 4 GiB, if
/// the mode of paging reaches that. Faults: empty_image (a file of no bytes), bad_range (it wraps in physical or
/// virtual memory; at: `at` or `mapped_at`), entry_not_in_image (at: the entry's address, or the last one there is if
/// it wraps).
template <image_source S>
result<paged_image> load_flat_paged(
    const S& file, phys_addr at, virt_addr mapped_at, byte_count zeros = {}, byte_count entry = {})
{
    const byte_count size = file.size();
    if (size.raw() == 0)
        return refuse(fault_code::empty_image, stage::loading, 0);
    const auto copied = phys_range::checked(at, size);
    const bool fits = copied && zeros.raw() <= ~copied->last().raw() && zeros.raw() <= ~size.raw();
    const auto mapped = fits ? virt_range::checked(mapped_at, size + zeros) : std::nullopt;
    if (!fits)
        return refuse(fault_code::bad_range, stage::loading, at);
    if (!mapped)
        return refuse(fault_code::bad_range, stage::loading, mapped_at);
    if (entry >= size)
        return refuse(fault_code::entry_not_in_image, stage::loading,
            checked_add(mapped_at, entry).value_or(virt_addr::at(~std::uint64_t{0})));
    paged_image image{.segments = {}, .mappings = {}, .entry = mapped_at + entry};
    bool room = image.segments.push_back({.destination = *copied, .file = file.extents()}) &&
        image.mappings.push_back({*mapped, at, true});
    if (zeros.raw() != 0)
        room = room &&
            image.segments.push_back(
                {.destination = phys_range::of(copied->last() + byte_count::of(1), zeros), .what = content::zero});
    expects(room, "flat: two segments fit");
    return image;
}

/// Puts `file` where the image will find it as a module: the highest hole of usable memory below 4 GiB that begins at a
/// multiple of `alignment`, clear of the image and of `taken`. The byte behind it lies below 4 GiB too. Returns its
/// place, to be announced.
/// Faults: empty_image (a file of no bytes), no_room (at: its size), no_space (more than `max_segments`).
template <image_source S>
result<phys_range> add_module(segment_list& segments, const S& file, byte_count alignment, const region_map& map,
    std::span<const phys_range> taken = {})
{
    const byte_count size = file.size();
    if (size.raw() == 0)
        return refuse(fault_code::empty_image, stage::loading, 0);
    if (segments.size() == max_segments)
        return refuse(fault_code::no_space, stage::loading, max_segments + 1);
    phys_range within = phys_range::between(phys_addr{}, below_4g.last() - byte_count::of(1));
    for (;;) {
        const auto place = map.highest_hole(size, alignment, within, taken);
        if (!place)
            return refuse(fault_code::no_room, stage::loading, size.raw());
        std::optional<phys_addr> lowest;
        for (const segment& s : segments)
            if (s.destination.overlaps(*place) && (!lowest || s.destination.first() < *lowest))
                lowest = s.destination.first();
        if (!lowest) {
            const bool fits =
                segments.push_back({.destination = *place, .role = segment_role::module, .file = file.extents()});
            expects(fits, "add_module: there is room for one");
            return *place;
        }
        if (lowest->raw() == 0)
            return refuse(fault_code::no_room, stage::loading, size.raw());
        within = phys_range::between(phys_addr{}, *lowest - byte_count::of(1));
    }
}

/// The same for an image that says where its modules want to begin. Faults: as above.
template <image_source S>
result<phys_range> add_module(
    flat_image& image, const S& file, const region_map& map, std::span<const phys_range> taken = {})
{
    return add_module(image.segments, file, image.module_alignment, map, taken);
}

/// Loads an x86 ELF file of either class to be entered flat. Without `entry` it is entered at `e_entry`: as it stands
/// if it lies in the physical range of an executable PT_LOAD, otherwise, in the virtual range of one, translated to the
/// physical address it is loaded at. Other loaders differ in which of the two they try; a file in which they would
/// disagree has a PT_LOAD linked to where another one is loaded.
/// Faults: those of load_elf, bad_range (a segment does not lie below 4 GiB; at: its first address), entry_not_in_image
/// (`entry` is no byte of the file, or padding; at: it).
template <image_source S>
result<flat_image> load_flat_elf(const S& file, std::optional<phys_addr> entry = std::nullopt)
{
    std::uint8_t ident[5];
    if (is_elf(file) && read_value(file, 0, ident) && ident[4] == elf64_class::ei_class)
        return flat::load_elf_of<elf64_class>(file, entry);
    return flat::load_elf_of<elf32_class>(file, entry);
}

// Sanity checks
static_assert(sizeof(flat::load_addresses) == 16 && offsetof(flat::load_addresses, bss_end_addr) == 12);

} // namespace lobos
