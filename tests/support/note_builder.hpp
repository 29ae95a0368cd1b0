// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Notes of ELF files, for the tests of those who read them.

#include <string_view>

#include <tests/support/elf_builder.hpp>

namespace lobos::test {

/// Appends a note. Name and descriptor begin at multiples of `alignment`.
inline void put_note(
    bytes& notes, std::string_view name, std::uint32_t type, const bytes& descriptor, std::size_t alignment = 4)
{
    const auto pad = [&] { notes.resize((notes.size() + alignment - 1) / alignment * alignment); };
    pad();
    const std::size_t at = notes.size();
    notes.resize(at + 12);
    patch(notes, at, 4, name.size() + 1);
    patch(notes, at + 4, 4, descriptor.size());
    patch(notes, at + 8, 4, type);
    for (const char c : name)
        notes.push_back(static_cast<std::byte>(c));
    notes.push_back(std::byte{0});
    pad();
    notes.insert(notes.end(), descriptor.begin(), descriptor.end());
    pad();
}

template <class Class> typename Class::program_header note_part(
    std::uint64_t offset, std::uint64_t size, unsigned alignment)
{
    using address = typename Class::address;
    return elf_part<Class>{.type = PT_NOTE,
        .offset = static_cast<address>(offset),
        .filesz = static_cast<address>(size),
        .memsz = static_cast<address>(size),
        .flags = PF_R,
        .align = alignment};
}

/// The file of `kernel`, with `notes` at `offset` as its end.
template <class Class> bytes append_notes(basic_elf_builder<Class> kernel, std::size_t offset, const bytes& notes)
{
    kernel.size = offset;
    bytes file = kernel.build();
    file.insert(file.end(), notes.begin(), notes.end());
    return file;
}

/// A kernel at 1 MiB with a PVH entry that is `width` bytes wide.
template <class Class> bytes pvh_kernel(
    std::uint64_t entry = 0x10'0100, std::size_t width = sizeof(typename Class::address))
{
    bytes notes, value(width);
    put_note(notes, "GNU", 3, bytes(20));
    patch(value, 0, width, entry);
    put_note(notes, "Xen", 18, value);
    auto kernel = small_kernel<Class>();
    kernel.parts[0].p_paddr = 0x10'0000;
    kernel.parts[2].p_paddr = 0x10'1000;
    kernel.parts[1] = note_part<Class>(0x400, notes.size(), 4);
    return append_notes(kernel, 0x400, notes);
}

} // namespace lobos::test
