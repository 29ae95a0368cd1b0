// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Small ELF executables of both classes in memory, valid until a test patches them. Built from the C library's own
/// structures, so that the loader's are checked against them.

#include <elf.h>

#include <lobos/image/elf.hpp>

#include <tests/support/byte_memory.hpp>

namespace lobos::test {

/// What a test says once for both classes. The kernels are linked high, and run at 1 MiB or above 4 GiB.
struct elf32 {
    using header = Elf32_Ehdr;
    using program_header = Elf32_Phdr;
    using address = Elf32_Addr;
    using lobos_class = elf32_class;
    static constexpr unsigned char ident_class = ELFCLASS32;
    static constexpr std::uint16_t machine = EM_386;
    static constexpr address virt = 0xc010'0000, phys = 0x10'0000, top = ~address{0};

    template <image_source S> static result<elf_image> load(const S& file, std::uint16_t for_machine = machine)
    {
        return load_elf32(file, for_machine);
    }
};
struct elf64 {
    using header = Elf64_Ehdr;
    using program_header = Elf64_Phdr;
    using address = Elf64_Addr;
    using lobos_class = elf64_class;
    static constexpr unsigned char ident_class = ELFCLASS64;
    static constexpr std::uint16_t machine = EM_X86_64;
    static constexpr address virt = 0xffff'ffff'c010'0000, phys = 0x1'0010'0000, top = ~address{0};

    template <image_source S> static result<elf_image> load(const S& file, std::uint16_t for_machine = machine)
    {
        return load_elf64(file, for_machine);
    }
};

template <class Class> struct basic_elf_builder {
    using header = typename Class::header;
    using program_header = typename Class::program_header;

    std::vector<program_header> parts;
    typename Class::address entry = 0;
    std::size_t size = 0; ///< of the whole file
    std::uint16_t machine = Class::machine;

    bytes build() const
    {
        bytes file(size);
        for (std::size_t i = 0; i < size; ++i)
            file[i] = pattern(i);
        header h{};
        std::memcpy(h.e_ident, ELFMAG, SELFMAG);
        h.e_ident[EI_CLASS] = Class::ident_class;
        h.e_ident[EI_DATA] = ELFDATA2LSB;
        h.e_ident[EI_VERSION] = EV_CURRENT;
        h.e_type = ET_EXEC;
        h.e_machine = machine;
        h.e_version = EV_CURRENT;
        h.e_entry = entry;
        h.e_phoff = sizeof h;
        h.e_ehsize = sizeof h;
        h.e_phentsize = sizeof(program_header);
        h.e_phnum = static_cast<std::uint16_t>(parts.size());
        std::memcpy(file.data(), &h, sizeof h);
        if (!parts.empty())
            std::memcpy(file.data() + sizeof h, parts.data(), parts.size() * sizeof(program_header));
        return file;
    }
};
using elf_builder = basic_elf_builder<elf32>;

/// A program header: the two classes order its fields differently.
template <class Class> struct elf_part {
    using address = typename Class::address;
    std::uint32_t type = PT_LOAD;
    address offset = Class::top, vaddr = Class::top, paddr = Class::top, filesz = Class::top, memsz = 1;
    std::uint32_t flags = ~0u;
    address align = Class::top;

    operator typename Class::program_header() const // NOLINT(google-explicit-constructor)
    {
        typename Class::program_header p{};
        p.p_type = type;
        p.p_offset = offset;
        p.p_vaddr = vaddr;
        p.p_paddr = paddr;
        p.p_filesz = filesz;
        p.p_memsz = memsz;
        p.p_flags = flags;
        p.p_align = align;
        return p;
    }
};

/// Text, data with bss and a note: the text linked at `virt` to run at `phys`.
template <class Class = elf32> basic_elf_builder<Class> small_kernel()
{
    using part = elf_part<Class>;
    constexpr auto virt = Class::virt, phys = Class::phys;
    return {.parts = {part{.offset = 0x200,
                          .vaddr = virt,
                          .paddr = phys,
                          .filesz = 0x123,
                          .memsz = 0x123,
                          .flags = PF_R | PF_X,
                          .align = 0x1000},
                part{.type = PT_NOTE},
                part{.offset = 0x323,
                    .vaddr = virt + 0x1000,
                    .paddr = phys + 0x1000,
                    .filesz = 0x45,
                    .memsz = 0x2045,
                    .flags = PF_R | PF_W,
                    .align = 0x1000}},
        .entry = virt + 0x10,
        .size = 0x368};
}

} // namespace lobos::test
