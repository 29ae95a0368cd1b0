// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/image/elf.hpp>

#include <cstddef>

#include <tests/catch.hpp>
#include <tests/support/elf_builder.hpp>

using namespace lobos;
using namespace lobos::test;
using enum fault_code;

namespace {

#define EHDR(field) offsetof(Elf32_Ehdr, field)
#define PHDR(i, field) part_field(i, offsetof(Elf32_Phdr, field))

fault loading(fault_code code, std::uint64_t at)
{
    return {code, stage::loading, at};
}

result<elf_image> load(const bytes& file)
{
    return load_elf32(scattered_file{file}, EM_386);
}

std::size_t width_of(std::size_t header_field)
{
    return header_field < EI_NIDENT ? 1 : header_field >= EHDR(e_version) && header_field < EHDR(e_ehsize) ? 4 : 2;
}

// What must hold of any answer, however the file came to be.
void check_invariants(const elf_image& image, std::size_t file_size)
{
    std::uint64_t occupied = 0, mapped = 0;
    for (std::size_t i = 0; i < image.segments.size(); ++i) {
        const segment& s = image.segments[i];
        CHECK(below_4g.contains(s.destination));
        if (s.what == content::copy)
            CHECK(s.file_offset.raw() + s.destination.size().raw() <= file_size);
        for (std::size_t j = 0; j < i; ++j)
            if (s.occupies() == image.segments[j].occupies()) // paddings lie over what occupies
                CHECK_FALSE(s.destination.overlaps(image.segments[j].destination));
        if (s.occupies())
            occupied += s.destination.size().raw();
    }
    for (const virtual_segment& m : image.mappings)
        mapped += m.virtual_range.size().raw();
    CHECK(occupied == mapped);
    CHECK(image.entry.raw() <= 0xffff'ffff);
}

struct expected_segment {
    std::uint64_t first, last;
    content what;
    std::uint64_t file_offset;
};

void check_segments(const elf_image& image, std::span<const expected_segment> expected)
{
    REQUIRE(image.segments.size() == expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
        CAPTURE(i);
        const segment& s = image.segments[i];
        CHECK(s.destination == phys_range::between(phys_addr::at(expected[i].first), phys_addr::at(expected[i].last)));
        CHECK(s.what == expected[i].what);
        CHECK(s.role == segment_role::kernel);
        CHECK(s.file_offset.raw() == expected[i].file_offset);
        CHECK(s.file.empty() == (s.what != content::copy));
    }
}

Elf32_Phdr padding(std::uint32_t first, std::uint32_t size)
{
    // Offset, address and file size must not matter.
    return {.p_type = PT_LOBOS_PADDING,
        .p_offset = ~0u,
        .p_vaddr = ~0u,
        .p_paddr = first,
        .p_filesz = ~0u,
        .p_memsz = size,
        .p_flags = 0,
        .p_align = 3};
}

} // namespace

TEST_CASE("a kernel becomes copy and zero segments")
{
    const scattered_file file{small_kernel().build()};
    const auto image = load_elf32(file, EM_386);
    REQUIRE(image);
    check_segments(*image,
        std::vector<expected_segment>{{0x10'0000, 0x10'0122, content::copy, 0x200},
            {0x10'1000, 0x10'1044, content::copy, 0x323}, {0x10'1045, 0x10'3044, content::zero, 0}});
    CHECK(image->segments[0].file.data() == file.extents().data());
    CHECK(image->entry == 0xc010'0010_va);
    REQUIRE(image->mappings.size() == 2);
    CHECK(image->mappings[0].virtual_range == virt_range::of(0xc010'0000_va, 0x123_bytes));
    CHECK(image->mappings[0].physical == 0x10'0000_pa);
    CHECK_FALSE(image->mappings[0].writable);
    CHECK(image->mappings[1].virtual_range == virt_range::of(0xc010'1000_va, 0x2045_bytes));
    CHECK(image->mappings[1].physical == 0x10'1000_pa);
    CHECK(image->mappings[1].writable);
    check_invariants(*image, 0x368);
}

TEST_CASE("is_elf looks at the first four bytes only")
{
    bytes file = small_kernel().build();
    CHECK(is_elf(scattered_file{file}));
    for (std::size_t size = 0; size < 6; ++size)
        CHECK(is_elf(scattered_file{bytes(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size))}) ==
            (size >= 4));
    for (std::size_t i = 0; i < 4; ++i) {
        bytes bad = file;
        bad[i] ^= std::byte{1};
        CHECK_FALSE(is_elf(scattered_file{bad}));
        CHECK(fault_of(load(bad)) == loading(unknown_format, 0));
    }
}

TEST_CASE("an ELF file cut short anywhere is refused")
{
    const bytes file = small_kernel().build();
    for (std::size_t size = 0; size < file.size(); ++size) {
        CAPTURE(size);
        const bytes cut(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size));
        CHECK(fault_of(load(cut)) == (size < 4 ? loading(unknown_format, 0) : loading(truncated_image, size)));
    }
    bytes longer = file;
    longer.push_back({});
    CHECK(load(longer));
}

TEST_CASE("the ELF header is believed in nothing")
{
    const std::size_t size = small_kernel().size;
    const struct {
        std::size_t field;
        std::uint64_t value;
        fault wanted;
    } cases[] = {
        {EI_CLASS, 0, loading(bad_header, 4)},
        {EI_CLASS, 2, loading(unsupported, 4)},
        {EI_CLASS, 3, loading(bad_header, 4)},
        {EI_CLASS, 255, loading(bad_header, 4)},
        {EI_DATA, 0, loading(bad_header, 5)},
        {EI_DATA, 2, loading(unsupported, 5)},
        {EI_DATA, 3, loading(bad_header, 5)},
        {EI_DATA, 255, loading(bad_header, 5)},
        {EI_VERSION, 0, loading(bad_header, 6)},
        {EI_VERSION, 2, loading(bad_header, 6)},
        {EI_OSABI, 255, no_fault},
        {EI_ABIVERSION, 255, no_fault},
        {EI_PAD, 255, no_fault},
        {EHDR(e_type), ET_NONE, loading(unsupported, 16)},
        {EHDR(e_type), ET_REL, loading(unsupported, 16)},
        {EHDR(e_type), ET_DYN, loading(unsupported, 16)},
        {EHDR(e_type), 0xffff, loading(unsupported, 16)},
        {EHDR(e_machine), 0, loading(unsupported, 18)},
        {EHDR(e_machine), 2, loading(unsupported, 18)},
        {EHDR(e_machine), 4, loading(unsupported, 18)},
        {EHDR(e_machine), 0xffff, loading(unsupported, 18)},
        {EHDR(e_version), 0, loading(bad_header, 20)},
        {EHDR(e_version), 2, loading(bad_header, 20)},
        {EHDR(e_version), 0x1'0001, loading(bad_header, 20)},
        {EHDR(e_entry), 0, loading(entry_not_in_image, 0)},
        {EHDR(e_entry), 0xc00f'ffff, loading(entry_not_in_image, 0xc00f'ffff)},
        {EHDR(e_entry), 0xc010'0000, no_fault},
        {EHDR(e_entry), 0xc010'0122, no_fault},
        {EHDR(e_entry), 0xc010'0123, loading(entry_not_in_image, 0xc010'0123)},
        {EHDR(e_entry), 0xc010'1000, loading(entry_not_in_image, 0xc010'1000)}, // not executable
        {EHDR(e_entry), 0xffff'ffff, loading(entry_not_in_image, 0xffff'ffff)},
        {EHDR(e_entry), 0x10'0010, loading(entry_not_in_image, 0x10'0010)}, // the physical address
        {EHDR(e_phoff), 0, loading(bad_header, 28)},
        {EHDR(e_phoff), 51, loading(bad_header, 28)},
        {EHDR(e_phoff), size - 95, loading(truncated_image, size)},
        {EHDR(e_phoff), size, loading(truncated_image, size)},
        {EHDR(e_phoff), size + 1, loading(truncated_image, size)},
        {EHDR(e_phoff), 0xffff'ffa0, loading(truncated_image, size)}, // ends with the last 32-bit address
        {EHDR(e_phoff), 0xffff'ffa1, loading(bad_header, 28)},
        {EHDR(e_phoff), 0xffff'ffff, loading(bad_header, 28)},
        {EHDR(e_shoff), 0xffff'ffff, no_fault},
        {EHDR(e_flags), 0xffff'ffff, no_fault},
        {EHDR(e_ehsize), 0, loading(bad_header, 40)},
        {EHDR(e_ehsize), 51, loading(bad_header, 40)},
        {EHDR(e_ehsize), 53, loading(bad_header, 40)},
        {EHDR(e_ehsize), 0xffff, loading(bad_header, 40)},
        {EHDR(e_phentsize), 0, loading(bad_header, 42)},
        {EHDR(e_phentsize), 31, loading(bad_header, 42)},
        {EHDR(e_phentsize), 33, loading(bad_header, 42)},
        {EHDR(e_phentsize), 0xffff, loading(bad_header, 42)},
        {EHDR(e_phnum), 0, loading(empty_image, 0)},
        {EHDR(e_phnum), 1, no_fault},
        {EHDR(e_phnum), 2, no_fault},
        {EHDR(e_phnum), (0x368 - 52) / 32 + 1, loading(truncated_image, size)},
        {EHDR(e_phnum), 0xfffe, loading(truncated_image, size)},
        {EHDR(e_phnum), 0xffff, loading(no_space, 0xffff)},
        {EHDR(e_shentsize), 0xffff, no_fault},
        {EHDR(e_shnum), 0xffff, no_fault},
        {EHDR(e_shstrndx), 0xffff, no_fault},
    };
    for (const auto& c : cases) {
        CAPTURE(c.field, c.value);
        bytes file = small_kernel().build();
        patch(file, c.field, width_of(c.field), c.value);
        const auto image = load(file);
        CHECK(fault_of(image) == c.wanted);
        if (image)
            check_invariants(*image, size);
    }
}

TEST_CASE("a PT_LOAD is believed in nothing")
{
    const std::size_t size = small_kernel().size;
    const struct {
        std::size_t field;
        std::uint64_t value;
        fault wanted;
    } cases[] = {
        {PHDR(0, p_type), PT_NULL, loading(entry_not_in_image, 0xc010'0010)},
        {PHDR(2, p_type), 0xffff'ffff, no_fault},
        {PHDR(0, p_offset), 0, no_fault}, // the header itself may be loaded
        {PHDR(0, p_offset), size - 0x123, no_fault},
        {PHDR(0, p_offset), size - 0x122, loading(truncated_image, size)},
        {PHDR(0, p_offset), size + 1, loading(truncated_image, size)},
        {PHDR(0, p_offset), 0xffff'fedd, loading(truncated_image, size)}, // ends with the last 32-bit offset
        {PHDR(0, p_offset), 0xffff'fede, loading(bad_header, PHDR(0, p_offset))},
        {PHDR(0, p_offset), 0xffff'ffff, loading(bad_header, PHDR(0, p_offset))},
        {PHDR(0, p_vaddr), 0xc010'0010, no_fault},
        {PHDR(0, p_vaddr), 0xc010'0011, loading(entry_not_in_image, 0xc010'0010)},
        {PHDR(0, p_vaddr), 0xc00f'feee, no_fault},
        {PHDR(0, p_vaddr), 0xc00f'feed, loading(entry_not_in_image, 0xc010'0010)},
        {PHDR(0, p_vaddr), 0, loading(entry_not_in_image, 0xc010'0010)},
        {PHDR(0, p_vaddr), 0xffff'fedd, loading(entry_not_in_image, 0xc010'0010)},
        {PHDR(0, p_vaddr), 0xffff'fede, loading(bad_header, PHDR(0, p_vaddr))},
        {PHDR(0, p_vaddr), 0xffff'ffff, loading(bad_header, PHDR(0, p_vaddr))},
        {PHDR(2, p_vaddr), 0xc010'0123, no_fault},
        {PHDR(2, p_vaddr), 0xc010'0122, loading(mapping_conflict, 0xc010'0122)},
        {PHDR(2, p_vaddr), 0xc00f'dfbb, no_fault},
        {PHDR(2, p_vaddr), 0xc00f'dfbc, loading(mapping_conflict, 0xc010'0000)},
        {PHDR(0, p_paddr), 0, no_fault},
        {PHDR(0, p_paddr), 0xffff'fedd, no_fault},
        {PHDR(0, p_paddr), 0xffff'fede, loading(bad_header, PHDR(0, p_paddr))},
        {PHDR(0, p_paddr), 0xffff'ffff, loading(bad_header, PHDR(0, p_paddr))},
        {PHDR(2, p_paddr), 0x10'0123, no_fault},
        {PHDR(2, p_paddr), 0x10'0122, loading(destinations_overlap, 0x10'0122)},
        {PHDR(2, p_paddr), 0xf'dfbb, no_fault},
        {PHDR(2, p_paddr), 0xf'dfbc, loading(destinations_overlap, 0x10'0000)},
        {PHDR(2, p_paddr), 0xffff'dfbb, no_fault},
        {PHDR(2, p_paddr), 0xffff'dfbc, loading(bad_header, PHDR(2, p_paddr))},
        {PHDR(0, p_filesz), 0, loading(entry_not_in_image, 0xc010'0010)},
        {PHDR(0, p_filesz), 0x10, loading(entry_not_in_image, 0xc010'0010)},
        {PHDR(0, p_filesz), 0x11, no_fault},
        {PHDR(0, p_filesz), 0x122, no_fault},
        {PHDR(0, p_filesz), 0x124, loading(bad_header, PHDR(0, p_filesz))},
        {PHDR(0, p_filesz), 0xffff'ffff, loading(bad_header, PHDR(0, p_filesz))},
        {PHDR(2, p_filesz), 0, no_fault},
        {PHDR(2, p_filesz), 1, no_fault},
        {PHDR(2, p_filesz), 0x46, loading(truncated_image, size)},
        {PHDR(2, p_filesz), 0x2046, loading(bad_header, PHDR(2, p_filesz))},
        {PHDR(2, p_memsz), 0, loading(bad_header, PHDR(2, p_filesz))},
        {PHDR(2, p_memsz), 0x44, loading(bad_header, PHDR(2, p_filesz))},
        {PHDR(2, p_memsz), 0x45, no_fault},
        {PHDR(2, p_memsz), 0x46, no_fault},
        {PHDR(2, p_memsz), 0x3fef'f000, no_fault}, // up to the last virtual address
        {PHDR(2, p_memsz), 0x3fef'f001, loading(bad_header, PHDR(2, p_vaddr))},
        {PHDR(2, p_memsz), 0xffef'f000, loading(bad_header, PHDR(2, p_vaddr))},
        {PHDR(2, p_memsz), 0xffef'f001, loading(bad_header, PHDR(2, p_paddr))},
        {PHDR(2, p_memsz), 0xffff'ffff, loading(bad_header, PHDR(2, p_paddr))},
        {PHDR(0, p_flags), 0, loading(entry_not_in_image, 0xc010'0010)},
        {PHDR(0, p_flags), PF_R | PF_W, loading(entry_not_in_image, 0xc010'0010)},
        {PHDR(0, p_flags), 0xffff'ffff, no_fault},
        {PHDR(0, p_align), 0, no_fault},
        {PHDR(0, p_align), 0xffff'ffff, no_fault},
    };
    for (const auto& c : cases) {
        CAPTURE(c.field, c.value);
        bytes file = small_kernel().build();
        patch(file, c.field, 4, c.value);
        const auto image = load(file);
        CHECK(fault_of(image) == c.wanted);
        if (image)
            check_invariants(*image, size);
    }
}

TEST_CASE("two fields at their boundaries together never break an answer")
{
    const std::size_t fields[] = {PHDR(0, p_offset), PHDR(0, p_vaddr), PHDR(0, p_paddr), PHDR(0, p_filesz),
        PHDR(0, p_memsz), PHDR(2, p_offset), PHDR(2, p_vaddr), PHDR(2, p_paddr), PHDR(2, p_filesz), PHDR(2, p_memsz)};
    const std::uint64_t values[] = {
        0, 1, 0xfff, 0x1000, 0x1001, 0x368, 0x7fff'ffff, 0x8000'0000, 0xffff'f000, 0xffff'fffe, 0xffff'ffff};
    std::size_t loaded = 0, refused = 0;
    for (const std::size_t a : fields)
        for (const std::size_t b : fields)
            for (const std::uint64_t x : values)
                for (const std::uint64_t y : values) {
                    bytes file = small_kernel().build();
                    patch(file, a, 4, x);
                    patch(file, b, 4, y);
                    const auto image = load(file);
                    ++(image ? loaded : refused);
                    if (image)
                        check_invariants(*image, file.size());
                }
    CHECK(loaded > 100);
    CHECK(refused > 1000);
}

TEST_CASE("a PT_LOAD without memory is ignored, and nothing else is nothing")
{
    elf_builder kernel = small_kernel();
    kernel.parts[1] = {.p_type = PT_LOAD,
        .p_offset = ~0u,
        .p_vaddr = ~0u,
        .p_paddr = ~0u,
        .p_filesz = 0,
        .p_memsz = 0,
        .p_flags = ~0u,
        .p_align = 0};
    const auto image = load(kernel.build());
    REQUIRE(image);
    CHECK(image->segments.size() == 3);
    CHECK(image->mappings.size() == 2);
    kernel.parts = {kernel.parts[1]};
    CHECK(fault_of(load(kernel.build())) == loading(empty_image, 0));
}

TEST_CASE("a PT_LOAD without bytes in the file may name any offset")
{
    elf_builder kernel = small_kernel();
    kernel.parts[2].p_filesz = 0;
    for (const std::uint32_t offset : {0u, 0x368u, 0x369u, 0xffff'ffffu}) {
        kernel.parts[2].p_offset = offset;
        const auto image = load(kernel.build());
        REQUIRE(fault_of(image) == no_fault);
        check_segments(*image,
            std::vector<expected_segment>{
                {0x10'0000, 0x10'0122, content::copy, 0x200}, {0x10'1000, 0x10'3044, content::zero, 0}});
    }
}

TEST_CASE("padding lies over what is loaded and changes nothing of it")
{
    const std::uint64_t text = 0x10'0000, data = 0x10'1000;
    const std::vector<expected_segment> loaded = {{text, text + 0x122, content::copy, 0x200},
        {data, data + 0x44, content::copy, 0x323}, {data + 0x45, data + 0x2044, content::zero, 0}};
    const struct {
        std::vector<Elf32_Phdr> paddings;
        std::vector<expected_segment> expected; // in front of what is loaded
    } cases[] = {
        {{padding(text + 0x20, 0x10)}, {{text + 0x20, text + 0x2f, content::padding, 0}}},
        // the first byte, the last byte, and all of the file part; over the border from file to bss
        {{padding(text + 0x122, 1), padding(data, 0x45)},
            {{text + 0x122, text + 0x122, content::padding, 0}, {data, data + 0x44, content::padding, 0}}},
        {{padding(data + 0x44, 2), padding(data + 0x2044, 1)},
            {{data + 0x44, data + 0x45, content::padding, 0}, {data + 0x2044, data + 0x2044, content::padding, 0}}},
        // out of order, touching
        {{padding(text + 0x80, 0x10), padding(text + 0x40, 0x40), padding(data, 0x2045)},
            {{text + 0x80, text + 0x8f, content::padding, 0}, {text + 0x40, text + 0x7f, content::padding, 0},
                {data, data + 0x2044, content::padding, 0}}},
        {{padding(text + 0x20, 0)}, {}},
    };
    for (const auto& c : cases)
        for (const bool before : {false, true}) { // the order of the table must not matter
            CAPTURE(&c - cases, before);
            elf_builder kernel = small_kernel();
            kernel.parts.insert(
                before ? kernel.parts.begin() : kernel.parts.end(), c.paddings.begin(), c.paddings.end());
            const auto image = load(kernel.build());
            REQUIRE(fault_of(image) == no_fault);
            auto expected = c.expected;
            expected.insert(expected.end(), loaded.begin(), loaded.end());
            check_segments(*image, expected);
            check_invariants(*image, kernel.size);
        }
}

TEST_CASE("padding outside the image, over another, or under the entry is refused")
{
    const std::size_t at = part_field(3, offsetof(Elf32_Phdr, p_paddr));
    const struct {
        std::vector<Elf32_Phdr> paddings;
        fault wanted;
    } cases[] = {
        {{padding(0xf'ffff, 1)}, loading(bad_header, at)},
        {{padding(0xf'ffff, 2)}, loading(bad_header, at)},
        {{padding(0x10'0122, 2)}, loading(bad_header, at)},
        {{padding(0x10'0123, 1)}, loading(bad_header, at)},
        {{padding(0x10'3044, 2)}, loading(bad_header, at)},
        {{padding(0xffff'ffff, 1)}, loading(bad_header, at)},
        {{padding(0xffff'ffff, 2)}, loading(bad_header, at)},
        {{padding(0x10'1000, 0xffff'ffff)}, loading(bad_header, at)},
        {{padding(0x10'1000, 0x20), padding(0x10'101f, 1)}, loading(destinations_overlap, 0x10'101f)},
        {{padding(0x10'1001, 1), padding(0x10'1000, 0x20)}, loading(destinations_overlap, 0x10'1001)},
        {{padding(0x10'0010, 1)}, loading(entry_not_in_image, 0xc010'0010)},
        {{padding(0x10'000f, 1), padding(0x10'0011, 1)}, no_fault},
    };
    for (const auto& c : cases) {
        CAPTURE(&c - cases);
        elf_builder kernel = small_kernel();
        kernel.parts.insert(kernel.parts.end(), c.paddings.begin(), c.paddings.end());
        CHECK(fault_of(load(kernel.build())) == c.wanted);
    }
}

TEST_CASE("too many parts are refused, not dropped")
{
    const auto many = [](std::size_t loads, std::size_t paddings, bool bss) {
        elf_builder kernel{.parts = {}, .entry = 0x1000, .size = 0x2000};
        for (std::size_t i = 0; i < loads; ++i) {
            const auto at = static_cast<std::uint32_t>(0x1000 * (i + 1));
            kernel.parts.push_back({.p_type = PT_LOAD,
                .p_offset = 0x1800,
                .p_vaddr = at,
                .p_paddr = at,
                .p_filesz = 0x100,
                .p_memsz = bss ? 0x200u : 0x100u,
                .p_flags = PF_X,
                .p_align = 1});
        }
        for (std::size_t i = 0; i < paddings; ++i)
            kernel.parts.push_back(padding(static_cast<std::uint32_t>(0x1001 + 2 * i), 1));
        return load(kernel.build());
    };
    CHECK(many(32, 0, false));
    CHECK(fault_of(many(33, 0, false)) == loading(no_space, 33));
    CHECK(many(16, 0, true));
    CHECK(fault_of(many(17, 0, true)) == loading(no_space, 33));
    CHECK(many(1, 30, true)); // 30 paddings, 1 piece of the file, 1 bss
    CHECK(fault_of(many(1, 31, true)) == loading(no_space, 33));
    CHECK(fault_of(many(1, 33, false)) == loading(no_space, 33));
    const auto image = many(1, 30, true);
    CHECK(image->segments.size() == 32);
    check_invariants(*image, 0x2000);
}
