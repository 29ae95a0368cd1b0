// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// The notes of any file, and load_pvh, against a second reading made from the C library's structures. The ELF file
// around them is for fuzz_elf32 and fuzz_elf64. Input: shape of the file, where the bytes lie, then the bytes.

#include <elf.h>

#include <lobos/image/pvh.hpp>

#include <tests/fuzz/flat_oracle.hpp>

using namespace lobos;
using namespace lobos::fuzz;

namespace {

struct oracle {
    const long_file& file;
    wanted_flat wanted = {};
    std::optional<std::pair<std::uint64_t, std::uint64_t>> note = {}; // offset and size

    // A note of Xen's of type 18.
    void read_notes(std::uint64_t first, std::uint64_t size, std::uint64_t alignment)
    {
        std::uint64_t at = 0;
        const auto align = [&] { at += (alignment - at % alignment) % alignment; };
        while (at < size && !note) {
            if (size - at < sizeof(Elf32_Nhdr))
                return wanted.faults.add(fault_code::bad_header);
            const auto h = file.peek<Elf32_Nhdr>(first + at);
            const std::uint64_t name = first + at + sizeof h;
            at += sizeof h + h.n_namesz;
            align();
            if (at > size || h.n_descsz > size - at)
                return wanted.faults.add(fault_code::bad_header);
            if (h.n_type == 18 && h.n_namesz == 4 &&
                file.peek<std::array<char, 4>>(name) == std::array{'X', 'e', 'n', '\0'})
                note = {first + at, h.n_descsz};
            at += h.n_descsz;
            align();
        }
    }

    template <class Header, class Part> void read_file()
    {
        if (!file.has(0, sizeof(Header)))
            return wanted.faults.add(fault_code::truncated_image);
        const auto h = file.peek<Header>(0);
        if (h.e_phnum != 0 && h.e_phentsize != sizeof(Part))
            return wanted.faults.add(fault_code::bad_header);
        if (!file.has(h.e_phoff, wide{h.e_phnum} * sizeof(Part)))
            return wanted.faults.add(fault_code::truncated_image);
        wide all = 0;
        for (unsigned i = 0; i < h.e_phnum && !note && wanted.faults.none(); ++i) {
            const auto p = file.peek<Part>(h.e_phoff + i * sizeof(Part));
            if (p.p_type != PT_NOTE)
                continue;
            if (!file.has(p.p_offset, p.p_filesz))
                return wanted.faults.add(fault_code::truncated_image);
            all += p.p_filesz;
            if (all > 65536)
                return wanted.faults.add(fault_code::no_space);
            read_notes(p.p_offset, p.p_filesz, p.p_align == 8 ? 8 : 4);
        }
    }

    wanted_flat read()
    {
        if (!file.has(0, 4) || std::memcmp(file.peek<std::array<char, 4>>(0).data(), ELFMAG, SELFMAG) != 0)
            wanted.faults.add(fault_code::unknown_format);
        else if (file.has(4, 1) && file.peek<unsigned char>(4) == ELFCLASS64)
            read_file<Elf64_Ehdr, Elf64_Phdr>();
        else
            read_file<Elf32_Ehdr, Elf32_Phdr>();

        const auto found = find_elf_note(file, "Xen", 18);
        wanted.faults.check(found, stage::loading);
        must(!found || found->has_value() == note.has_value(), "a note that is none, or none that is one");
        must(!note || ((*found)->descriptor == note->first && (*found)->size == note->second), "another note");
        must(is_pvh(file) == note.has_value(), "is_pvh says something else");
        if (wanted.faults.none() && !note)
            wanted.faults.add(fault_code::unknown_format);
        if (!wanted.faults.none())
            return wanted;
        std::uint64_t entry = ~0ull;
        if (note->second == 4)
            entry = file.peek<std::uint32_t>(note->first);
        if (note->second == 8)
            entry = file.peek<std::uint64_t>(note->first);
        wanted.faults.add_if(entry > 0xffff'ffff, fault_code::bad_header);
        if (wanted.faults.none())
            wanted.elf = load_flat_elf(file, phys_addr::at(entry));
        wanted.module_alignment = 4096;
        wanted.memory_map = true;
        return wanted;
    }
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    return fuzz_flat<oracle>({data, size}, [](const long_file& file) { return load_pvh(file); });
}
