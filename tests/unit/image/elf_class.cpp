// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/image/elf_class.hpp>

#include <type_traits>

#include <tests/catch.hpp>
#include <tests/support/elf_builder.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

// Offset and type of a field, by the C library's name and by ours.
#define SAME(ours, theirs)                                                                                             \
    do {                                                                                                               \
        CHECK(offsetof(mine, ours) == offsetof(libc, theirs));                                                         \
        CHECK(std::is_same_v<decltype(mine::ours), decltype(libc::theirs)>);                                           \
    } while (false)

} // namespace

TEMPLATE_TEST_CASE("the ELF header lies as the C library says", "", elf32, elf64)
{
    using libc = typename TestType::header;
    using mine = typename TestType::lobos_class::header;
    CHECK(sizeof(mine) == sizeof(libc));
    CHECK(TestType::lobos_class::ei_class == TestType::ident_class);
    CHECK(std::is_same_v<typename TestType::lobos_class::address, typename TestType::address>);
    SAME(ident, e_ident);
    SAME(type, e_type);
    SAME(machine, e_machine);
    SAME(version, e_version);
    SAME(entry, e_entry);
    SAME(phoff, e_phoff);
    SAME(shoff, e_shoff);
    SAME(flags, e_flags);
    SAME(ehsize, e_ehsize);
    SAME(phentsize, e_phentsize);
    SAME(phnum, e_phnum);
    SAME(shentsize, e_shentsize);
    SAME(shnum, e_shnum);
    SAME(shstrndx, e_shstrndx);
}

TEMPLATE_TEST_CASE("a program header lies as the C library says", "", elf32, elf64)
{
    using libc = typename TestType::program_header;
    using mine = typename TestType::lobos_class::program_header;
    CHECK(sizeof(mine) == sizeof(libc));
    SAME(type, p_type);
    SAME(offset, p_offset);
    SAME(vaddr, p_vaddr);
    SAME(paddr, p_paddr);
    SAME(filesz, p_filesz);
    SAME(memsz, p_memsz);
    SAME(flags, p_flags);
    SAME(align, p_align);
}

TEST_CASE("the type of a padding is an operating system's")
{
    CHECK(PT_LOBOS_PADDING >= PT_LOOS);
    CHECK(PT_LOBOS_PADDING <= PT_HIOS);
}
