// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Small ELF32 executables in memory, valid until a test patches them.

#include <elf.h>

#include <tests/support/byte_memory.hpp>

namespace lobos::test {

/// Builds from the C library's own structures, so that the loader's are checked against them.
struct elf_builder {
    std::vector<Elf32_Phdr> parts;
    std::uint32_t entry = 0;
    std::size_t size = 0; ///< of the whole file

    bytes build() const
    {
        bytes file(size);
        for (std::size_t i = 0; i < size; ++i)
            file[i] = pattern(i);
        Elf32_Ehdr h{};
        std::memcpy(h.e_ident, ELFMAG, SELFMAG);
        h.e_ident[EI_CLASS] = ELFCLASS32;
        h.e_ident[EI_DATA] = ELFDATA2LSB;
        h.e_ident[EI_VERSION] = EV_CURRENT;
        h.e_type = ET_EXEC;
        h.e_machine = EM_386;
        h.e_version = EV_CURRENT;
        h.e_entry = entry;
        h.e_phoff = sizeof h;
        h.e_ehsize = sizeof h;
        h.e_phentsize = sizeof(Elf32_Phdr);
        h.e_phnum = static_cast<Elf32_Half>(parts.size());
        std::memcpy(file.data(), &h, sizeof h);
        if (!parts.empty())
            std::memcpy(file.data() + sizeof h, parts.data(), parts.size() * sizeof(Elf32_Phdr));
        return file;
    }
};

/// The file offset of a field of program header `i`.
constexpr std::size_t part_field(std::size_t i, std::size_t field)
{
    return sizeof(Elf32_Ehdr) + i * sizeof(Elf32_Phdr) + field;
}

/// Text, data with bss and a note, linked at 3 GiB + 1 MiB to run at 1 MiB.
inline elf_builder small_kernel()
{
    return {.parts = {{.p_type = PT_LOAD,
                          .p_offset = 0x200,
                          .p_vaddr = 0xc010'0000,
                          .p_paddr = 0x10'0000,
                          .p_filesz = 0x123,
                          .p_memsz = 0x123,
                          .p_flags = PF_R | PF_X,
                          .p_align = 0x1000},
                {.p_type = PT_NOTE,
                    .p_offset = ~0u,
                    .p_vaddr = ~0u,
                    .p_paddr = ~0u,
                    .p_filesz = ~0u,
                    .p_memsz = 1,
                    .p_flags = ~0u,
                    .p_align = ~0u},
                {.p_type = PT_LOAD,
                    .p_offset = 0x323,
                    .p_vaddr = 0xc010'1000,
                    .p_paddr = 0x10'1000,
                    .p_filesz = 0x45,
                    .p_memsz = 0x2045,
                    .p_flags = PF_R | PF_W,
                    .p_align = 0x1000}},
        .entry = 0xc010'0010,
        .size = 0x368};
}

} // namespace lobos::test
