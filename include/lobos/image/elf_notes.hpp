// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Notes of an ELF file: small named records that its PT_NOTE program headers point to, by which a kernel tells a
/// loader what the format has no field for [elf/gabi ch. 5 "Note Section"]. Offsets and sizes are bytes of the file,
/// little-endian. Nothing of the file is believed, and no more than 64 KiB of notes are looked at, whatever it says.

#include <optional>
#include <string_view>

#include <lobos/image/elf.hpp>

namespace lobos {

/// Where a note lies that has been found.
struct elf_note {
    std::uint64_t descriptor; ///< offset in the file
    std::uint32_t size;       ///< of the descriptor, all of it in the file
};

namespace elf_notes {

inline constexpr std::uint32_t pt_note = 4;
inline constexpr std::uint64_t most = 65536; ///< bytes of notes, all together

struct header {
    std::uint32_t name_size, descriptor_size, type; ///< the name's with its terminator; no size is padded
};

/// Whether `name` and its terminator lie at `offset`.
template <image_source S> bool is_named(const S& file, std::uint64_t offset, std::uint32_t size, std::string_view name)
{
    if (size != name.size() + 1)
        return false;
    for (std::size_t i = 0; i < size; ++i) {
        char c = 0;
        if (!read_value(file, offset + i, c) || c != (i < name.size() ? name[i] : '\0'))
            return false;
    }
    return true;
}

/// The first note of this name and type among the `size` bytes at `begin`, which lie in the file. Name and descriptor
/// begin at multiples of `alignment`.
template <image_source S>
result<std::optional<elf_note>> find_in(const S& file, std::uint64_t begin, std::uint64_t size, std::uint64_t alignment,
    std::string_view name, std::uint32_t type)
{
    const auto padded = [alignment](std::uint64_t n) { return (n + alignment - 1) & ~(alignment - 1); };
    for (std::uint64_t at = 0; at < size;) {
        header h;
        const auto bad = refuse(fault_code::bad_header, stage::loading, begin + at);
        if (size - at < sizeof h || !read_value(file, begin + at, h))
            return bad;
        const std::uint64_t descriptor = padded(at + sizeof h + h.name_size);
        if (descriptor + h.descriptor_size > size)
            return bad;
        if (h.type == type && is_named(file, begin + at + sizeof h, h.name_size, name))
            return elf_note{begin + descriptor, h.descriptor_size};
        at = padded(descriptor + h.descriptor_size);
    }
    return std::nullopt;
}

template <class Class, image_source S>
result<std::optional<elf_note>> find(const S& file, std::string_view name, std::uint32_t type)
{
    using program_header = typename Class::program_header;
    const std::uint64_t end = file.size().raw();
    const auto truncated = refuse(fault_code::truncated_image, stage::loading, end);
    typename Class::header h;
    if (!read_value(file, 0, h))
        return truncated;
    if (h.phnum != 0 && h.phentsize != sizeof(program_header))
        return refuse(fault_code::bad_header, stage::loading, offsetof(typename Class::header, phentsize));
    const std::uint64_t table = std::uint64_t{h.phnum} * sizeof(program_header);
    if (h.phoff > end || table > end - h.phoff)
        return truncated;
    std::uint64_t seen = 0;
    for (std::uint64_t at = h.phoff; at != h.phoff + table; at += sizeof(program_header)) {
        program_header p;
        if (!read_value(file, at, p))
            return truncated;
        if (p.type != pt_note)
            continue;
        if (p.offset > end || p.filesz > end - p.offset)
            return truncated;
        if (p.filesz > most - seen)
            return refuse(fault_code::no_space, stage::loading, at);
        seen += p.filesz;
        auto found = find_in(file, p.offset, p.filesz, p.align == 8 ? 8 : 4, name, type);
        if (!found || *found)
            return found;
    }
    return std::nullopt;
}

} // namespace elf_notes

/// The first note of `name` (without a terminator) and `type` in an ELF file of either class, if there is one.
/// Faults: unknown_format (no ELF file, at 0), truncated_image (the header, the table or the notes lie past the end),
/// bad_header (the size of a program header, at the field; a note that does not end within its program header, at the
/// note), no_space (more than 64 KiB of notes; at: the program header that is too much).
template <image_source S>
result<std::optional<elf_note>> find_elf_note(const S& file, std::string_view name, std::uint32_t type)
{
    std::uint8_t ident[5];
    if (!is_elf(file))
        return refuse(fault_code::unknown_format, stage::loading, 0);
    if (read_value(file, 0, ident) && ident[4] == elf64_class::ei_class)
        return elf_notes::find<elf64_class>(file, name, type);
    return elf_notes::find<elf32_class>(file, name, type);
}

// Sanity checks
static_assert(sizeof(elf_notes::header) == 12);

} // namespace lobos
