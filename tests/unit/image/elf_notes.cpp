// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/image/elf_notes.hpp>

#include <tests/catch.hpp>
#include <tests/support/note_builder.hpp>

using namespace lobos;
using namespace lobos::test;
using enum fault_code;

namespace {

fault loading(fault_code code, std::uint64_t at)
{
    return {code, stage::loading, at};
}

/// A kernel whose second program header points to `notes`.
template <class Class> bytes with_notes(const bytes& notes, unsigned alignment = 4)
{
    auto kernel = small_kernel<Class>();
    kernel.parts[1] = note_part<Class>(0x400, notes.size(), alignment);
    return append_notes(kernel, 0x400, notes);
}

/// Offset and size of a descriptor.
using place = std::pair<std::uint64_t, std::uint32_t>;

/// What is found of Xen's type 18.
place found(const bytes& file)
{
    const auto note = find_elf_note(scattered_file{file}, "Xen", 18);
    CHECK(fault_of(note) == no_fault);
    return note && *note ? place{(*note)->descriptor, (*note)->size} : place{};
}
fault refused(const bytes& file)
{
    return fault_of(find_elf_note(scattered_file{file}, "Xen", 18));
}

} // namespace

TEMPLATE_TEST_CASE("a note is found among others", "", elf32, elf64)
{
    bytes notes;
    put_note(notes, "GNU", 3, bytes(20));
    put_note(notes, "Xen", 17, bytes(3));
    put_note(notes, "Xem", 18, bytes(4));
    put_note(notes, "Xe", 18, bytes(4));
    put_note(notes, {"Xen\0", 4}, 18, bytes(4)); // five bytes long
    const std::size_t at = notes.size();
    put_note(notes, "Xen", 18, bytes(4));
    put_note(notes, "Xen", 18, bytes(8)); // the first one counts
    CHECK(found(with_notes<TestType>(notes)) == place{0x400 + at + 16, 4});
    CHECK(found(with_notes<TestType>({})) == place{});
    notes.resize(at);
    CHECK(found(with_notes<TestType>(notes)) == place{});
    auto none = small_kernel<TestType>();
    none.parts[1].p_type = PT_NULL;
    CHECK(found(none.build()) == place{});
}

TEMPLATE_TEST_CASE("names and descriptors are padded to the alignment of their program header", "", elf32, elf64)
{
    for (const unsigned alignment : {0u, 1u, 4u, 8u}) {
        const unsigned used = alignment == 8 ? 8 : 4;
        bytes notes;
        put_note(notes, "Linux", 1, bytes(5), used);
        const std::size_t at = notes.size();
        put_note(notes, "Xen", 18, bytes(8), used);
        CHECK(found(with_notes<TestType>(notes, alignment)) == place{0x400 + at + 16, 8});
    }
}

TEMPLATE_TEST_CASE("a last descriptor needs no padding behind it", "", elf32, elf64)
{
    bytes notes;
    put_note(notes, "Xen", 18, bytes(5));
    notes.resize(16 + 5);
    CHECK(found(with_notes<TestType>(notes)) == place{0x410, 5});
}

TEMPLATE_TEST_CASE("notes are believed in nothing", "", elf32, elf64)
{
    bytes notes;
    put_note(notes, "GNU", 3, bytes(4));
    put_note(notes, "Xen", 18, bytes(4));
    const bytes file = with_notes<TestType>(notes);
    const auto with = [&](std::size_t at, std::uint64_t value) {
        bytes other = file;
        patch(other, at, 4, value);
        return refused(other);
    };
    CHECK(with(0x400, 29) == loading(bad_header, 0x400));
    CHECK(with(0x400, 0xffff'ffff) == loading(bad_header, 0x400));
    CHECK(with(0x404, 25) == loading(bad_header, 0x400));
    CHECK(with(0x404, 0xffff'ffff) == loading(bad_header, 0x400));
    CHECK(with(0x404, 24) == no_fault); // swallows the other one
    CHECK(with(0x418, 5) == loading(bad_header, 0x414));

    bytes short_note = notes;
    short_note.resize(20 + 11);
    CHECK(refused(with_notes<TestType>(short_note)) == loading(bad_header, 0x414));
    bytes cut = file;
    cut.pop_back();
    CHECK(refused(cut) == loading(truncated_image, cut.size()));
    CHECK(refused(bytes(100)) == loading(unknown_format, 0));
    CHECK(refused({}) == loading(unknown_format, 0));
    cut.resize(sizeof(typename TestType::header) - 1);
    CHECK(refused(cut) == loading(truncated_image, cut.size()));
    cut = file;
    cut.resize(sizeof(typename TestType::header) + 3 * sizeof(typename TestType::program_header) - 1);
    CHECK(refused(cut) == loading(truncated_image, cut.size()));
}

TEMPLATE_TEST_CASE("tables of notes that wrap or lie past the end", "", elf32, elf64)
{
    bytes notes;
    put_note(notes, "Xen", 18, bytes(4));
    auto kernel = small_kernel<TestType>();
    const auto with = [&](typename TestType::address offset, typename TestType::address size) {
        kernel.parts[1] = note_part<TestType>(offset, size, 4);
        return refused(append_notes(kernel, 0x400, notes));
    };
    CHECK(with(0x400, 20) == no_fault);
    CHECK(with(0x400, 21) == loading(truncated_image, 0x414));
    CHECK(with(0x414, 0) == no_fault);
    CHECK(with(0x415, 0) == loading(truncated_image, 0x414));
    CHECK(with(TestType::top, 20) == loading(truncated_image, 0x414));
    CHECK(with(0x400, TestType::top) == loading(truncated_image, 0x414));

    using header = typename TestType::header;
    bytes file = with_notes<TestType>(notes);
    patch(file, offsetof(header, e_phentsize), 2, 40);
    CHECK(refused(file) == loading(bad_header, offsetof(header, e_phentsize)));
    file = with_notes<TestType>(notes);
    patch(file, offsetof(header, e_phoff), sizeof(typename TestType::address), TestType::top);
    CHECK(refused(file) == loading(truncated_image, file.size()));
}

TEMPLATE_TEST_CASE("no more than 64 KiB of notes are looked at", "", elf32, elf64)
{
    bytes notes;
    while (notes.size() < 65536 - 20)
        put_note(notes, "GNU", 3, bytes(4));
    notes.resize(65536 - 20);
    patch(notes, notes.size() - 16 - notes.size() % 20, 4, 4); // whatever is left over stays a note
    notes.resize(notes.size() - notes.size() % 20);
    put_note(notes, "Xen", 18, bytes(65536 - notes.size() - 16));
    REQUIRE(notes.size() == 65536);
    CHECK(found(with_notes<TestType>(notes)).second != 0);
    notes.resize(65537);
    CHECK(refused(with_notes<TestType>(notes)) ==
        loading(no_space, sizeof(typename TestType::header) + sizeof(typename TestType::program_header)));
}
