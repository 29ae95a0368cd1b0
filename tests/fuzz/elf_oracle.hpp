// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The ELF loader against a second reading of the same file, made from the C library's structures with sums that cannot
/// overflow: both accept the same files, and give the same segments. Input: shape of the file, then its beginning.

#include <cstring>

#include <lobos/image/elf.hpp>

#include <tests/fuzz/files.hpp>
#include <tests/fuzz/naive_map.hpp>
#include <tests/support/elf_builder.hpp>

namespace lobos::fuzz {

template <class Class> struct elf_oracle {
    using header = typename Class::header;
    using program_header = typename Class::program_header;

    const long_file& file;
    std::uint16_t machine;
    expected_faults faults = {};
    std::vector<segment> segments = {}; // without the file
    std::vector<virtual_segment> mappings = {};
    std::uint64_t entry = 0;
    bool takes_long = false; ///< thousands of program headers that are all there: nothing new, and slow

    void read()
    {
        header h{};
        if (!file.has(0, 4) || std::memcmp(file.peek<std::array<char, 4>>(0).data(), ELFMAG, SELFMAG) != 0)
            return faults.add(fault_code::unknown_format);
        if (!file.has(0, sizeof h))
            return faults.add(fault_code::truncated_image);
        h = file.peek<header>(0);
        const auto ident = [&](int i, unsigned char right, unsigned char other) {
            if (h.e_ident[i] != right)
                faults.add(h.e_ident[i] == other ? fault_code::unsupported : fault_code::bad_header);
        };
        ident(EI_CLASS, Class::ident_class, ELFCLASS32 + ELFCLASS64 - Class::ident_class);
        ident(EI_DATA, ELFDATA2LSB, ELFDATA2MSB);
        ident(EI_VERSION, EV_CURRENT, EV_CURRENT);
        faults.add_if(h.e_type != ET_EXEC || h.e_machine != machine, fault_code::unsupported);
        faults.add_if(h.e_version != EV_CURRENT || h.e_ehsize != sizeof h, fault_code::bad_header);
        faults.add_if(h.e_phentsize != sizeof(program_header) || h.e_phoff < sizeof h, fault_code::bad_header);
        faults.add_if(h.e_phnum == 0, fault_code::empty_image);
        faults.add_if(h.e_phnum == PN_XNUM, fault_code::no_space);
        const wide table = wide{h.e_phnum} * sizeof(program_header);
        faults.add_if(wide{h.e_phoff} + table > wide{Class::top} + 1, fault_code::bad_header);
        if (!file.has(h.e_phoff, table))
            faults.add(fault_code::truncated_image);
        if (!faults.none())
            return;
        takes_long = h.e_phnum > 200;
        if (takes_long)
            return;
        entry = h.e_entry;
        std::vector<program_header> parts;
        for (unsigned i = 0; i < h.e_phnum; ++i)
            parts.push_back(file.peek<program_header>(h.e_phoff + i * sizeof(program_header)));
        read_parts(parts);
    }

    void read_parts(const std::vector<program_header>& parts)
    {
        const auto too_far = [](wide first, wide size) { return first + size > wide{Class::top} + 1; };
        std::vector<program_header> loads, paddings;
        std::size_t pieces = 0, entered = 0;
        for (const program_header& p : parts) {
            faults.add_if(p.p_type == PT_LOAD && p.p_filesz > p.p_memsz, fault_code::bad_header);
            if (p.p_memsz == 0 || (p.p_type != PT_LOAD && p.p_type != 0x6c6f6200))
                continue;
            faults.add_if(too_far(p.p_paddr, p.p_memsz), fault_code::bad_header);
            if (p.p_type != PT_LOAD) {
                paddings.push_back(p);
                continue;
            }
            faults.add_if(too_far(p.p_vaddr, p.p_memsz), fault_code::bad_header);
            if (p.p_filesz != 0) {
                faults.add_if(too_far(p.p_offset, p.p_filesz), fault_code::bad_header);
                faults.add_if(!file.has(p.p_offset, p.p_filesz), fault_code::truncated_image);
            }
            for (const program_header& q : loads) {
                faults.add_if(meet(p.p_paddr, p.p_memsz, q.p_paddr, q.p_memsz), fault_code::destinations_overlap);
                faults.add_if(meet(p.p_vaddr, p.p_memsz, q.p_vaddr, q.p_memsz), fault_code::mapping_conflict);
            }
            loads.push_back(p);
            pieces += (p.p_filesz != 0) + (p.p_memsz > p.p_filesz);
            if (entry >= p.p_vaddr && entry - p.p_vaddr < p.p_filesz && (p.p_flags & PF_X) != 0) {
                const wide at = wide{p.p_paddr} + (entry - p.p_vaddr);
                const bool skipped = std::ranges::any_of(parts, [&](const program_header& q) {
                    return q.p_type == 0x6c6f6200 && q.p_paddr <= at && at - q.p_paddr < q.p_memsz;
                });
                entered += skipped ? 0 : 1;
            }
        }
        for (std::size_t i = 0; i < paddings.size(); ++i) {
            const program_header& p = paddings[i];
            faults.add_if(std::ranges::none_of(loads,
                              [&](const program_header& q) {
                                  return q.p_paddr <= p.p_paddr &&
                                      wide{p.p_paddr} + p.p_memsz <= wide{q.p_paddr} + q.p_memsz;
                              }),
                fault_code::bad_header);
            for (std::size_t j = 0; j < i; ++j)
                faults.add_if(meet(p.p_paddr, p.p_memsz, paddings[j].p_paddr, paddings[j].p_memsz),
                    fault_code::destinations_overlap);
        }
        faults.add_if(loads.empty(), fault_code::empty_image);
        faults.add_if(entered != 1, fault_code::entry_not_in_image);
        faults.add_if(pieces + paddings.size() > max_segments || loads.size() > max_segments, fault_code::no_space);
        if (!faults.none())
            return;
        const auto add = [&](wide first, wide size, content what, std::uint64_t offset) {
            if (size != 0)
                segments.push_back({.destination = phys_range::of(phys_addr::at(static_cast<std::uint64_t>(first)),
                                        byte_count::of(static_cast<std::uint64_t>(size))),
                    .what = what,
                    .file_offset = byte_count::of(offset)});
        };
        for (const program_header& p : paddings)
            add(p.p_paddr, p.p_memsz, content::padding, 0);
        for (const program_header& p : loads) {
            add(p.p_paddr, p.p_filesz, content::copy, p.p_offset);
            add(wide{p.p_paddr} + p.p_filesz, p.p_memsz - p.p_filesz, content::zero, 0);
            mappings.push_back({virt_range::of(virt_addr::at(p.p_vaddr), byte_count::of(p.p_memsz)),
                phys_addr::at(p.p_paddr), (p.p_flags & PF_W) != 0});
        }
    }

    static bool meet(wide a, wide a_size, wide b, wide b_size) { return a < b + b_size && b < a + a_size; }
};

inline void must_be_alike(const elf_image& a, const elf_image& b)
{
    must(a.entry == b.entry && a.segments.size() == b.segments.size() && a.mappings.size() == b.mappings.size(),
        "the same file gives another image");
}

template <class Class> int fuzz_elf(input in)
{
    const std::uint8_t shape = in.byte();
    const std::uint16_t machine = (shape & 1) != 0 ? EM_ALPHA : Class::machine;
    const std::uint64_t behind = (shape & 2) != 0 ? in.address() : 0;
    const bytes beginning = copy_of(in.rest());
    const long_file file{beginning, behind, std::byte{0xa5}};
    elf_oracle<Class> oracle{file, machine};
    oracle.read();
    if (oracle.takes_long)
        return 0;
    const auto image = Class::load(file, machine);
    oracle.faults.check(image, stage::loading);

    // What lies past the end, which nobody may look at, must not matter. Nor must the pieces that the file lies in.
    const auto again = Class::load(long_file{beginning, behind, std::byte{0xff}}, machine);
    must(image.has_value() == again.has_value() && (image || image.error() == again.error()),
        "the answer depends on what lies past the file");
    if (behind == 0) {
        scattered pieces{beginning, (std::size_t{shape} >> 4) + 1};
        const auto scattered_image = Class::load(staged_file{pieces, pieces.extents()}, machine);
        must(image.has_value() == scattered_image.has_value() && (image || image.error() == scattered_image.error()),
            "the answer depends on where the file lies");
        if (image)
            must_be_alike(*image, *scattered_image);
    }
    if (!image)
        return 0;

    must(image->entry.raw() == oracle.entry, "another entry");
    must(image->segments.size() == oracle.segments.size(), "another number of segments");
    std::size_t i = 0;
    for (const segment& s : image->segments) {
        const segment& wanted = oracle.segments[i++];
        must(s.destination == wanted.destination && s.what == wanted.what && s.role == segment_role::kernel,
            "another segment");
        must(s.what != content::copy || s.file_offset == wanted.file_offset, "a segment from elsewhere in the file");
        must((s.what == content::copy) == (s.file.data() == file.extents().data()), "not a segment of this file");
    }
    must(image->mappings.size() == oracle.mappings.size(), "another number of mappings");
    i = 0;
    for (const virtual_segment& m : image->mappings) {
        const virtual_segment& wanted = oracle.mappings[i++];
        must(m.virtual_range == wanted.virtual_range && m.physical == wanted.physical && m.writable == wanted.writable,
            "another mapping");
    }
    return 0;
}

} // namespace lobos::fuzz
