// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Images with a PVH entry [xen/pvh]: ELF files of either class, among them a Linux vmlinux of either, with a note of
/// Xen's that names a physical 32-bit entry. Addresses are physical bytes; everything lies below 4 GiB. The image is
/// entered in flat 32-bit protected mode, and told by x86/pvh_info.hpp.

#include <lobos/image/elf_notes.hpp>
#include <lobos/image/flat.hpp>

namespace lobos {
namespace pvh {

inline constexpr std::string_view note_name = "Xen";
inline constexpr std::uint32_t note_type = 18; ///< XEN_ELFNOTE_PHYS32_ENTRY

/// The entry that the note at `n` names: as wide as the assembler that wrote it wanted, so 4 or 8 bytes.
/// Faults: bad_header (another width, or not below 4 GiB; at: the descriptor).
template <image_source S> result<phys_addr> read_entry(const S& file, const elf_note& n)
{
    std::uint64_t entry = 0;
    std::uint32_t low = 0;
    const bool wide = n.size == sizeof entry && read_value(file, n.descriptor, entry);
    if (n.size == sizeof low && read_value(file, n.descriptor, low))
        entry = low;
    else if (!wide)
        return refuse(fault_code::bad_header, stage::loading, n.descriptor);
    if (!below_4g.contains(phys_addr::at(entry)))
        return refuse(fault_code::bad_header, stage::loading, n.descriptor);
    return phys_addr::at(entry);
}

} // namespace pvh

/// True when `file` is an ELF file with the note. It may still be one that cannot be loaded.
template <image_source S> bool is_pvh(const S& file)
{
    const auto note = find_elf_note(file, pvh::note_name, pvh::note_type);
    return note && *note;
}

/// Loads an image by its PVH entry; `e_entry`, which is for others, is not looked at. The command line and the modules
/// may lie anywhere below 4 GiB; modules go to page boundaries, as Xen puts them.
/// Faults: those of find_elf_note, unknown_format (an ELF file without the note, at 0), bad_header (an entry of another
/// width than 4 or 8, or above 4 GiB; at: it), and those of load_flat_elf.
template <image_source S> result<flat_image> load_pvh(const S& file)
{
    const auto note = find_elf_note(file, pvh::note_name, pvh::note_type);
    if (!note)
        return std::unexpected{note.error()};
    if (!*note)
        return refuse(fault_code::unknown_format, stage::loading, 0);
    const auto entry = pvh::read_entry(file, **note);
    if (!entry)
        return std::unexpected{entry.error()};
    auto image = load_flat_elf(file, *entry);
    if (image) {
        image->module_alignment = byte_count::of(4096);
        image->wants_memory_map = true;
    }
    return image;
}

} // namespace lobos
