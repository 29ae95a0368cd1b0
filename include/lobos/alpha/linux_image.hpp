// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The loader of Linux/Alpha: a vmlinux in ELF, which is what all loaders of it come to, or another kernel that is made
/// to be loaded in its place. It has fixed addresses, begins with its first instruction, and takes memory on both its
/// sides (<lobos/alpha/linux_parameters.hpp>); an initrd goes as high as it can.

#include <lobos/alpha/kernel_file.hpp>
#include <lobos/alpha/linux_parameters.hpp>

namespace lobos::alpha {

/// What to load beside the file itself, and where not to.
struct linux_request {
    std::string_view command_line = {};
    phys_range within = kseg_memory;        ///< where an initrd may lie
    std::span<const phys_range> taken = {}; ///< whatever else is to be avoided
};

struct linux_image {
    segment_list segments;
    fixed_list<virtual_segment, max_segments> layout; ///< where the kernel expects itself
    virt_addr entry;
    phys_range kernel = phys_range::of(phys_addr{}, 1_bytes); ///< with all that it takes on its sides
    phys_addr parameters;                                     ///< where its page of parameters will lie
    std::optional<phys_range> initrd = {};
    std::string_view command_line = {}; ///< the caller's, checked
};

namespace detail {

/// What Linux takes beside its file, as segments.
inline result<void> add_sides(linux_image& image, phys_addr start, phys_addr last)
{
    const auto below = linux_pages_below(start);
    if (!below)
        return std::unexpected{below.error()};
    const auto end = address_after(phys_range::between(last, last));
    const auto behind = end ? checked_align_up(*end, paging_8k::granule) : std::nullopt;
    const auto behind_range = behind ? phys_range::checked(*behind, linux_behind_end) : std::nullopt;
    if (!behind_range || !kseg_memory.contains(*behind_range))
        return refuse(fault_code::bad_range, stage::loading, last);
    image.kernel = phys_range::between(below->all.first(), behind_range->last());
    image.parameters = below->parameters;
    const phys_range page = phys_range::of(below->parameters, paging_8k::granule);
    const segment sides[] = {
        {.destination = phys_range::between(below->all.first(), page.first() - 1_bytes), .what = content::scratch},
        {.destination = phys_range::between(page.last() + 1_bytes, below->all.last()), .what = content::scratch},
        {.destination = phys_range::between(*end, behind_range->last()), .what = content::scratch},
    };
    for (const segment& s : sides)
        if (!image.segments.push_back(s))
            return refuse(fault_code::no_space, stage::loading, max_segments + 1);
    return {};
}

} // namespace detail

/// Says what must lie where. Faults: those of load_kernel_file; command_line_too_long (at: its length; a NUL in it is
/// one too); unsupported (at: the entry, which is not the first byte of the image, in kseg); misaligned, bad_range (at:
/// the first byte, which is no multiple of 64 KiB or has no room below; or the last, with no room behind), no_space.
template <image_source K> result<linux_image> load_linux(const K& file, const linux_request& wanted)
{
    if (wanted.command_line.size() > linux_page::longest_command_line || has_terminator(wanted.command_line))
        return refuse(fault_code::command_line_too_long, stage::loading, wanted.command_line.size());
    const auto elf = load_kernel_file(file);
    if (!elf)
        return std::unexpected{elf.error()};
    phys_range all = elf->segments[0].destination;
    for (const segment& s : elf->segments)
        all = phys_range::between(
            std::min(all.first(), s.destination.first()), std::max(all.last(), s.destination.last()));
    if (to_kseg(all.first()) != elf->entry)
        return refuse(fault_code::unsupported, stage::loading, elf->entry);
    linux_image image;
    image.segments = elf->segments;
    image.layout = elf->mappings;
    image.entry = elf->entry;
    image.command_line = wanted.command_line;
    if (const auto added = detail::add_sides(image, all.first(), all.last()); !added)
        return std::unexpected{added.error()};
    return image;
}

/// The same with an initrd, which goes as high as it can in usable memory. Faults: those above; empty_image (at: 0, for
/// an initrd of no bytes), no_room (at: its size).
template <image_source K, image_source I>
result<linux_image> load_linux(const K& file, const I& initrd, const linux_request& wanted, const region_map& map)
{
    auto image = load_linux(file, wanted);
    if (!image)
        return image;
    const byte_count size = initrd.size();
    if (size == byte_count{})
        return refuse(fault_code::empty_image, stage::loading, 0);
    constexpr std::size_t most_taken = 64;
    fixed_list<phys_range, most_taken + 1> taken;
    (void)taken.push_back(image->kernel);
    for (const phys_range& r : wanted.taken)
        if (!taken.push_back(r))
            return refuse(fault_code::no_space, stage::loading, wanted.taken.size());
    const auto within = intersection(wanted.within, kseg_memory);
    image->initrd = within ? map.highest_hole(size, paging_8k::granule, *within, taken) : std::nullopt;
    if (!image->initrd)
        return refuse(fault_code::no_room, stage::loading, size.raw());
    if (!image->segments.push_back(
            {.destination = *image->initrd, .role = segment_role::initrd, .file = initrd.extents()}))
        return refuse(fault_code::no_space, stage::loading, max_segments + 1);
    return image;
}

} // namespace lobos::alpha
