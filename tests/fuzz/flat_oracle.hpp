// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What the targets for images that are entered flat have in common: a file with the fuzzer's bytes somewhere in it, a
/// second reading of load addresses with sums that cannot overflow, and that nothing past the end of a file matters.

#include <lobos/image/flat.hpp>

#include <tests/fuzz/files.hpp>

namespace lobos::fuzz {

/// What a loader is to say.
struct wanted_flat {
    expected_faults faults = {};
    std::optional<result<flat_image>> elf = {}; ///< when the file is to be loaded as ELF: what that gives
    wide offset = 0, at = 0, size = 0, zeros = 0;
    std::uint64_t entry = 0;
    std::uint64_t module_alignment = 1;
    bool memory_map = false, video_mode = false;

    /// The load addresses `header`, `load`, `load_end` and `bss_end` of a header at offset `found` of a file.
    void by_addresses(const long_file& file, std::uint64_t found, const std::uint32_t (&a)[4], std::uint32_t entry_at)
    {
        const wide header = a[0], load = a[1], load_end = a[2], bss_end = a[3];
        faults.add_if(
            header < load || header - load > found || (load_end != 0 && load_end < load), fault_code::bad_header);
        if (!faults.none())
            return;
        offset = found - (header - load);
        at = load;
        size = load_end != 0 ? load_end - load : file.size().raw() - offset;
        const wide end = at + size;
        faults.add_if(bss_end != 0 && bss_end < end, fault_code::bad_header);
        faults.add_if(size == 0, fault_code::empty_image);
        faults.add_if(!file.has(offset, size), fault_code::truncated_image);
        faults.add_if(end > wide{1} << 32, fault_code::bad_range);
        faults.add_if(entry_at < at || entry_at >= end, fault_code::entry_not_in_image);
        zeros = bss_end > end ? bss_end - end : 0;
        entry = entry_at;
    }

    void check(const long_file& file, const result<flat_image>& image) const
    {
        if (elf && faults.none() && !*elf) {
            must(!image && image.error() == elf->error(), "another fault than of the ELF file");
            return;
        }
        faults.check(image, stage::loading);
        if (!image)
            return;
        must(image->module_alignment.raw() == module_alignment && image->wants_memory_map == memory_map &&
                image->wants_video_mode == video_mode,
            "other wishes");
        if (elf) {
            must(image->entry == (*elf)->entry && image->segments.size() == (*elf)->segments.size(),
                "another image than the ELF file's");
            return;
        }
        must(image->entry.raw() == entry, "another entry");
        must(image->segments.size() == (zeros != 0 ? 2u : 1u), "another number of segments");
        const segment& copied = image->segments[0];
        must(copied.what == content::copy && copied.destination.first().raw() == at &&
                copied.destination.size().raw() == size && copied.file_offset.raw() == offset &&
                copied.file.data() == file.extents().data(),
            "another segment");
        must(zeros == 0 ||
                (image->segments[1].what == content::zero &&
                    image->segments[1].destination.first().raw() == at + size &&
                    image->segments[1].destination.size().raw() == zeros),
            "other zeros");
    }
};

/// The fuzzer's bytes in a file of zeros. `Oracle` reads it once more, `load` is the loader.
template <class Oracle> int fuzz_flat(input in, auto load)
{
    const std::uint8_t shape = in.byte();
    const std::uint64_t at = (shape & 1) != 0 ? in.number(2) : 0;
    const std::uint64_t behind = (shape & 2) != 0 ? in.address() : 0;
    const bytes some = copy_of(in.rest());
    const std::uint64_t before = at + some.size();
    const std::uint64_t size = before + std::min(behind, ~before);
    const long_file file{at, some, size, std::byte{0xa5}};
    if (takes_long(file))
        return 0;
    const result<flat_image> image = load(file);
    Oracle{file}.read().check(file, image);

    const result<flat_image> again = load(long_file{at, some, size, std::byte{0xff}});
    must(image.has_value() == again.has_value() && (image || image.error() == again.error()),
        "the answer depends on what lies past the file");
    return 0;
}

} // namespace lobos::fuzz
