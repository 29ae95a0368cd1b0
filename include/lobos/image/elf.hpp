// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The loader for executable ELF files [elf/gabi ch. 4 "ELF Header", ch. 5 "Program Header"]: a kernel linked to a
/// fixed physical address (`p_paddr`), to be entered at a virtual one (`e_entry`, inside some `p_vaddr`), or, where the
/// caller says so, at a physical one. All numbers are bytes or byte addresses. The file is trusted in nothing: every
/// sum is checked against the width of the file's own class and every range against the file. The class, 32-bit or
/// 64-bit, is a parameter; both are little-endian.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <expected>

#include <lobos/core/fault.hpp>
#include <lobos/image/elf_class.hpp>
#include <lobos/image/segment.hpp>

namespace lobos {

/// An image that is entered with paging on: what must lie where, and where it must be mapped.
struct paged_image {
    segment_list segments;
    fixed_list<virtual_segment, max_segments> mappings;
    virt_addr entry;              ///< of an ELF file: `e_entry`, as the `elf_entry` reads it
    bool entry_from_file = false; ///< the file names it: ELF
};
using elf_image = paged_image;

/// What `e_entry` is.
enum class elf_entry : std::uint8_t {
    virtual_address,  ///< as the format says
    physical_address, ///< as in a Linux vmlinux, which begins before it has mapped itself
    elsewhere,        ///< not where this image is entered: not looked at
};

/// True when the file begins with the four bytes of every ELF file. It may still be one that cannot be loaded.
template <image_source S> bool is_elf(const S& file)
{
    std::byte magic[4];
    return file.read(0, magic) && magic[0] == std::byte{0x7f} && magic[1] == std::byte{'E'} &&
        magic[2] == std::byte{'L'} && magic[3] == std::byte{'F'};
}

/// One loading, from header to segments. Each step returns the faults that `load_elf` lists.
template <class Class, image_source S> class elf_loader {
    using header = typename Class::header;
    using program_header = typename Class::program_header;
    using address = typename Class::address;
    static constexpr std::uint32_t pt_load = 1, pf_x = 1, pf_w = 2;
    static_assert(std::endian::native == std::endian::little, "the tables are read as they lie in the file");

public:
    /// `image` is empty, and afterwards complete unless there was a fault.
    constexpr elf_loader(const S& file, elf_image& image, elf_entry entry = elf_entry::virtual_address)
        : file_{file},
          image_{image},
          entry_{entry}
    {
    }

    result<void> load(std::uint16_t machine)
    {
        if (auto checked = check_header(machine); !checked)
            return checked;
        for (std::uint16_t i = 0; i < header_.phnum; ++i)
            if (auto taken = take_load(i); !taken)
                return taken;
        if (loads_.empty())
            return refuse(fault_code::empty_image, stage::loading, 0);
        for (std::uint16_t i = 0; i < header_.phnum; ++i)
            if (auto taken = take_padding(i); !taken)
                return taken;
        if (entry_ != elf_entry::elsewhere && !entry_is_code())
            return refuse(fault_code::entry_not_in_image, stage::loading, header_.entry);
        image_.entry = virt_addr::at(header_.entry);
        image_.entry_from_file = true;

        for (const program_header& p : loads_)
            if (!append(p))
                return refuse(fault_code::no_space, stage::loading, max_segments + 1);
        return {};
    }

private:
    static std::unexpected<fault> bad(std::uint64_t field, fault_code code = fault_code::bad_header)
    {
        return refuse(code, stage::loading, field);
    }

    std::unexpected<fault> truncated() const
    {
        return refuse(fault_code::truncated_image, stage::loading, file_.size().raw());
    }

    std::uint64_t offset_of(std::uint16_t i) const { return header_.phoff + std::uint64_t{i} * sizeof(program_header); }

    // The bytes from `first` do not reach past the last address of the class. `size` is not 0.
    static constexpr bool wraps(address first, address size)
    {
        return static_cast<address>(size - 1) > static_cast<address>(~address{0} - first);
    }

    constexpr bool in_file(std::uint64_t offset, std::uint64_t size) const
    {
        return offset <= file_.size().raw() && size <= file_.size().raw() - offset;
    }

    result<void> check_header(std::uint16_t machine)
    {
        if (!is_elf(file_))
            return bad(0, fault_code::unknown_format);
        if (!read_value(file_, 0, header_))
            return truncated();
        const std::uint8_t* ident = header_.ident;
        if (ident[4] != Class::ei_class) // EI_CLASS: 1 or 2
            return bad(4, ident[4] == 1 || ident[4] == 2 ? fault_code::unsupported : fault_code::bad_header);
        if (ident[5] != 1) // EI_DATA: 1 is little-endian, 2 big-endian
            return bad(5, ident[5] == 2 ? fault_code::unsupported : fault_code::bad_header);
        if (ident[6] != 1) // EI_VERSION
            return bad(6);
        if (header_.type != 2) // ET_EXEC
            return bad(offsetof(header, type), fault_code::unsupported);
        if (header_.machine != machine)
            return bad(offsetof(header, machine), fault_code::unsupported);
        if (header_.version != 1)
            return bad(offsetof(header, version));
        if (header_.ehsize != sizeof(header))
            return bad(offsetof(header, ehsize));
        if (header_.phnum == 0)
            return refuse(fault_code::empty_image, stage::loading, 0);
        if (header_.phentsize != sizeof(program_header))
            return bad(offsetof(header, phentsize));
        if (header_.phnum == 0xffff) // PN_XNUM: the number did not fit here
            return refuse(fault_code::no_space, stage::loading, 0xffff);
        const auto table = static_cast<address>(header_.phnum * sizeof(program_header));
        if (header_.phoff < sizeof(header) || wraps(header_.phoff, table))
            return bad(offsetof(header, phoff));
        if (!in_file(header_.phoff, table))
            return truncated();
        return {};
    }

    result<void> take_load(std::uint16_t i)
    {
        program_header p;
        if (!read_value(file_, offset_of(i), p))
            return truncated();
        if (p.type != pt_load)
            return {};
        if (p.filesz > p.memsz)
            return bad(offset_of(i) + offsetof(program_header, filesz));
        if (p.memsz == 0)
            return {};
        if (wraps(p.paddr, p.memsz))
            return bad(offset_of(i) + offsetof(program_header, paddr));
        if (wraps(p.vaddr, p.memsz))
            return bad(offset_of(i) + offsetof(program_header, vaddr));
        if (p.filesz != 0 && wraps(p.offset, p.filesz))
            return bad(offset_of(i) + offsetof(program_header, offset));
        if (p.filesz != 0 && !in_file(p.offset, p.filesz))
            return truncated();

        const virtual_segment wanted{virt_range::of(virt_addr::at(p.vaddr), byte_count::of(p.memsz)),
            phys_addr::at(p.paddr), (p.flags & pf_w) != 0};
        for (const virtual_segment& m : image_.mappings) {
            if (const auto common = intersection(m.physical_range(), wanted.physical_range()))
                return refuse(fault_code::destinations_overlap, stage::loading, common->first());
            if (const auto common = intersection(m.virtual_range, wanted.virtual_range))
                return refuse(fault_code::mapping_conflict, stage::loading, common->first());
        }
        if (!loads_.push_back(p) || !image_.mappings.push_back(wanted))
            return refuse(fault_code::no_space, stage::loading, max_segments + 1);
        return {};
    }

    // Paddings come first in the list of segments.
    result<void> take_padding(std::uint16_t i)
    {
        program_header p;
        if (!read_value(file_, offset_of(i), p))
            return truncated();
        if (p.type != PT_LOBOS_PADDING || p.memsz == 0)
            return {};
        if (wraps(p.paddr, p.memsz))
            return bad(offset_of(i) + offsetof(program_header, paddr));
        const auto range = phys_range::of(phys_addr::at(p.paddr), byte_count::of(p.memsz));
        bool inside = false;
        for (const virtual_segment& m : image_.mappings)
            inside |= m.physical_range().contains(range);
        if (!inside)
            return bad(offset_of(i) + offsetof(program_header, paddr));
        for (const segment& other : image_.segments)
            if (const auto common = intersection(other.destination, range))
                return refuse(fault_code::destinations_overlap, stage::loading, common->first());
        if (!image_.segments.push_back({.destination = range, .what = content::padding}))
            return refuse(fault_code::no_space, stage::loading, max_segments + 1);
        return {};
    }

    // The entry is a byte of the file in an executable segment, and no padding.
    bool entry_is_code() const
    {
        for (const program_header& p : loads_) {
            const address first = entry_ == elf_entry::physical_address ? p.paddr : p.vaddr;
            const bool inside = header_.entry >= first && header_.entry - first < p.filesz;
            if (!inside || (p.flags & pf_x) == 0)
                continue;
            const phys_addr at = phys_addr::at(std::uint64_t{p.paddr} + (header_.entry - first));
            for (const segment& padding : image_.segments)
                if (padding.destination.contains(at))
                    return false;
            return true;
        }
        return false;
    }

    // Appends the bytes of one program header that lie in the file, and those that do not. False when the list is full.
    bool append(const program_header& p)
    {
        const phys_addr first = phys_addr::at(p.paddr);
        const byte_count in_file = byte_count::of(p.filesz);
        const byte_count behind = byte_count::of(p.memsz) - in_file;
        const bool copied = in_file == byte_count{} ||
            image_.segments.push_back({.destination = phys_range::of(first, in_file),
                .what = content::copy,
                .file = file_.extents(),
                .file_offset = byte_count::of(p.offset)});
        return copied &&
            (behind == byte_count{} ||
                image_.segments.push_back(
                    {.destination = phys_range::of(first + in_file, behind), .what = content::zero}));
    }

    const S& file_;
    header header_{};
    fixed_list<program_header, max_segments> loads_;
    elf_image& image_;
    elf_entry entry_;
};

/// Reads `file` as an executable of `Class` for `machine` (an EM_ number) and says what must lie where. Of each PT_LOAD
/// the bytes in the file are a `copy` segment and the rest of its memory a `zero` segment; each PT_LOBOS_PADDING, which
/// must lie inside one PT_LOAD, is a `padding` segment over them. A PT_LOAD without memory is ignored, and so are all
/// other types. Faults: unknown_format (no ELF file), truncated_image (the header, the table
/// or a segment's bytes lie past the end), bad_header (a field contradicts the format or wraps; a padding outside the
/// image), unsupported (class, byte order, not ET_EXEC, other machine), empty_image (nothing to load), no_space (more
/// than `max_segments`), destinations_overlap (two PT_LOADs, or two paddings), mapping_conflict (virtual ranges of two
/// PT_LOADs overlap), entry_not_in_image (the entry, read as `entry` says, is no byte of the file in an executable
/// PT_LOAD, or lies in a padding).
template <class Class, image_source S>
result<elf_image> load_elf(const S& file, std::uint16_t machine, elf_entry entry = elf_entry::virtual_address)
{
    result<elf_image> image;
    if (auto loaded = elf_loader<Class, S>{file, *image, entry}.load(machine); !loaded)
        image = std::unexpected{loaded.error()};
    return image;
}

/// `load_elf` for ELFCLASS32, little-endian. Faults: those of `load_elf`.
template <image_source S> result<elf_image> load_elf32(const S& file, std::uint16_t machine)
{
    return load_elf<elf32_class>(file, machine);
}

/// `load_elf` for ELFCLASS64, little-endian. Its addresses may lie anywhere in 64 bits: whether a machine reaches them
/// is for the verifier to say. Faults: those of `load_elf`.
template <image_source S> result<elf_image> load_elf64(const S& file, std::uint16_t machine)
{
    return load_elf<elf64_class>(file, machine);
}

} // namespace lobos
