// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The two classes of ELF files: the header and the program headers as they lie in the file, little-endian
/// [elf/gabi ch. 4 "ELF Header", ch. 5 "Program Header"]. Names are the manual's without their prefixes (`e_`, `p_`).
/// Offsets, sizes and addresses are in bytes and as wide as the class.

#include <cstddef>
#include <cstdint>

namespace lobos {

/// A program header of this type names memory inside the image, [p_paddr, p_paddr + p_memsz), that the image leaves
/// alone, so that safe regions may lie there. It is what the `.org` gaps of [lobos/2000 fig. 2] say, put
/// where a loader can read it. The number ("lob" and a zero byte) lies in PT_LOOS..PT_HIOS, 0x60000000..0x6fffffff, the
/// range that [elf/gabi ch. 5] leaves to operating systems, so other loaders ignore it. `p_offset`, `p_vaddr`,
/// `p_filesz` and `p_flags` mean nothing here.
inline constexpr std::uint32_t PT_LOBOS_PADDING = 0x6c6f6200;

/// ELFCLASS32.
struct elf32_class {
    using address = std::uint32_t;
    static constexpr std::uint8_t ei_class = 1;

    struct header {
        std::uint8_t ident[16];
        std::uint16_t type, machine;
        std::uint32_t version, entry, phoff, shoff, flags;
        std::uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
    };
    struct program_header {
        std::uint32_t type, offset, vaddr, paddr, filesz, memsz, flags, align;
    };
};

/// ELFCLASS64. The flags of a program header moved to the front, for the sake of alignment.
struct elf64_class {
    using address = std::uint64_t;
    static constexpr std::uint8_t ei_class = 2;

    struct header {
        std::uint8_t ident[16];
        std::uint16_t type, machine;
        std::uint32_t version;
        std::uint64_t entry, phoff, shoff;
        std::uint32_t flags;
        std::uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
    };
    struct program_header {
        std::uint32_t type, flags;
        std::uint64_t offset, vaddr, paddr, filesz, memsz, align;
    };
};

// Sanity checks
static_assert(sizeof(elf32_class::header) == 52 && sizeof(elf32_class::program_header) == 32);
static_assert(offsetof(elf32_class::header, phnum) == 44 && offsetof(elf32_class::program_header, memsz) == 20);
static_assert(sizeof(elf64_class::header) == 64 && sizeof(elf64_class::program_header) == 56);
static_assert(offsetof(elf64_class::header, phnum) == 56 && offsetof(elf64_class::program_header, memsz) == 40);
static_assert(PT_LOBOS_PADDING >= 0x60000000 && PT_LOBOS_PADDING <= 0x6fffffff);

} // namespace lobos
