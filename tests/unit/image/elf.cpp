// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/image/elf.hpp>

#include <cstddef>

#include <tests/catch.hpp>
#include <tests/support/elf_builder.hpp>

using namespace lobos;
using namespace lobos::test;
using enum fault_code;

namespace {

/// A field of the file.
struct place {
    std::size_t offset, width;
};

#define EHDR(field) place(offsetof(typename TestType::header, field), sizeof(TestType::header::field))
#define IDENT(i) place(i, 1)
#define PHDR(i, field)                                                                                                 \
    place(sizeof(typename TestType::header) + (i) * sizeof(typename TestType::program_header) +                        \
            offsetof(typename TestType::program_header, field),                                                        \
        sizeof(TestType::program_header::field))

void patch(bytes& file, place field, std::uint64_t value)
{
    test::patch(file, field.offset, field.width, value);
}

fault loading(fault_code code, std::uint64_t at)
{
    return {code, stage::loading, at};
}
fault loading(fault_code code, place field)
{
    return loading(code, field.offset);
}

template <class Class> result<elf_image> load(const bytes& file)
{
    return Class::load(scattered_file{file});
}

// What must hold of any answer, however the file came to be.
template <class Class> void check_invariants(const elf_image& image, std::size_t file_size)
{
    std::uint64_t occupied = 0, mapped = 0;
    for (std::size_t i = 0; i < image.segments.size(); ++i) {
        const segment& s = image.segments[i];
        CHECK(s.destination.last().raw() <= Class::top);
        if (s.what == content::copy)
            CHECK(s.file_offset.raw() + s.destination.size().raw() <= file_size);
        for (std::size_t j = 0; j < i; ++j)
            if (s.occupies() == image.segments[j].occupies()) // paddings lie over what occupies
                CHECK_FALSE(s.destination.overlaps(image.segments[j].destination));
        if (s.occupies())
            occupied += s.destination.size().raw();
    }
    std::size_t entered = 0;
    for (const virtual_segment& m : image.mappings) {
        mapped += m.virtual_range.size().raw();
        entered += m.virtual_range.contains(image.entry);
        CHECK(m.virtual_range.last().raw() <= Class::top);
    }
    CHECK(occupied == mapped);
    CHECK(entered == 1);
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

// Offset, address and file size must not matter.
template <class Class>
typename Class::program_header padding(typename Class::address first, typename Class::address size)
{
    return elf_part<Class>{.type = PT_LOBOS_PADDING, .paddr = first, .memsz = size, .flags = 0, .align = 3};
}

} // namespace

TEMPLATE_TEST_CASE("a kernel becomes copy and zero segments", "", elf32, elf64)
{
    constexpr std::uint64_t p = TestType::phys, v = TestType::virt;
    const scattered_file file{small_kernel<TestType>().build()};
    const auto image = TestType::load(file);
    REQUIRE(image);
    check_segments(*image,
        std::vector<expected_segment>{{p, p + 0x122, content::copy, 0x200},
            {p + 0x1000, p + 0x1044, content::copy, 0x323}, {p + 0x1045, p + 0x3044, content::zero, 0}});
    CHECK(image->segments[0].file.data() == file.extents().data());
    CHECK(image->entry == virt_addr::at(v + 0x10));
    REQUIRE(image->mappings.size() == 2);
    CHECK(image->mappings[0].virtual_range == virt_range::of(virt_addr::at(v), 0x123_bytes));
    CHECK(image->mappings[0].physical == phys_addr::at(p));
    CHECK_FALSE(image->mappings[0].writable);
    CHECK(image->mappings[1].virtual_range == virt_range::of(virt_addr::at(v + 0x1000), 0x2045_bytes));
    CHECK(image->mappings[1].physical == phys_addr::at(p + 0x1000));
    CHECK(image->mappings[1].writable);
    check_invariants<TestType>(*image, 0x368);
}

TEST_CASE("each door takes its own class only, and the machine that it is asked for")
{
    const scattered_file small{small_kernel<elf32>().build()}, large{small_kernel<elf64>().build()};
    CHECK(fault_of(load_elf32(large, EM_X86_64)) == loading(unsupported, 4));
    CHECK(fault_of(load_elf64(small, EM_386)) == loading(unsupported, 4));
    CHECK(fault_of(load_elf32(small, EM_X86_64)) == loading(unsupported, 18));
    CHECK(fault_of(load_elf64(large, EM_386)) == loading(unsupported, 18));
    auto alpha = small_kernel<elf64>();
    alpha.machine = EM_ALPHA;
    CHECK(load_elf64(scattered_file{alpha.build()}, EM_ALPHA));
    CHECK(fault_of(load_elf64(scattered_file{alpha.build()}, EM_X86_64)) == loading(unsupported, 18));
    CHECK(fault_of(load_elf64(large, EM_ALPHA)) == loading(unsupported, 18));
}

TEMPLATE_TEST_CASE("is_elf looks at the first four bytes only", "", elf32, elf64)
{
    bytes file = small_kernel<TestType>().build();
    CHECK(is_elf(scattered_file{file}));
    for (std::size_t size = 0; size < 6; ++size)
        CHECK(is_elf(scattered_file{bytes(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size))}) ==
            (size >= 4));
    for (std::size_t i = 0; i < 4; ++i) {
        bytes bad = file;
        bad[i] ^= std::byte{1};
        CHECK_FALSE(is_elf(scattered_file{bad}));
        CHECK(fault_of(load<TestType>(bad)) == loading(unknown_format, 0));
    }
}

TEMPLATE_TEST_CASE("an ELF file cut short anywhere is refused", "", elf32, elf64)
{
    const bytes file = small_kernel<TestType>().build();
    for (std::size_t size = 0; size < file.size(); ++size) {
        CAPTURE(size);
        const bytes cut(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size));
        CHECK(
            fault_of(load<TestType>(cut)) == (size < 4 ? loading(unknown_format, 0) : loading(truncated_image, size)));
    }
    bytes longer = file;
    longer.push_back({});
    CHECK(load<TestType>(longer));
}

TEMPLATE_TEST_CASE("the ELF header is believed in nothing", "", elf32, elf64)
{
    constexpr std::uint64_t v = TestType::virt, p = TestType::phys, top = TestType::top;
    const std::size_t size = small_kernel<TestType>().size;
    constexpr std::size_t header = sizeof(typename TestType::header);
    constexpr std::size_t table = 3 * sizeof(typename TestType::program_header);
    const struct {
        place field;
        std::uint64_t value;
        fault wanted;
    } cases[] = {
        {IDENT(EI_CLASS), 0, loading(bad_header, 4)},
        {IDENT(EI_CLASS), ELFCLASS32 + ELFCLASS64 - TestType::ident_class, loading(unsupported, 4)},
        {IDENT(EI_CLASS), 3, loading(bad_header, 4)},
        {IDENT(EI_CLASS), 255, loading(bad_header, 4)},
        {IDENT(EI_DATA), 0, loading(bad_header, 5)},
        {IDENT(EI_DATA), 2, loading(unsupported, 5)},
        {IDENT(EI_DATA), 3, loading(bad_header, 5)},
        {IDENT(EI_DATA), 255, loading(bad_header, 5)},
        {IDENT(EI_VERSION), 0, loading(bad_header, 6)},
        {IDENT(EI_VERSION), 2, loading(bad_header, 6)},
        {IDENT(EI_OSABI), 255, no_fault},
        {IDENT(EI_ABIVERSION), 255, no_fault},
        {IDENT(EI_PAD), 255, no_fault},
        {EHDR(e_type), ET_NONE, loading(unsupported, 16)},
        {EHDR(e_type), ET_REL, loading(unsupported, 16)},
        {EHDR(e_type), ET_DYN, loading(unsupported, 16)},
        {EHDR(e_type), 0xffff, loading(unsupported, 16)},
        {EHDR(e_machine), 0, loading(unsupported, 18)},
        {EHDR(e_machine), 2, loading(unsupported, 18)},
        {EHDR(e_machine), EM_68K, loading(unsupported, 18)},
        {EHDR(e_machine), 0xffff, loading(unsupported, 18)},
        {EHDR(e_version), 0, loading(bad_header, EHDR(e_version))},
        {EHDR(e_version), 2, loading(bad_header, EHDR(e_version))},
        {EHDR(e_version), 0x1'0001, loading(bad_header, EHDR(e_version))},
        {EHDR(e_entry), 0, loading(entry_not_in_image, 0)},
        {EHDR(e_entry), v - 1, loading(entry_not_in_image, v - 1)},
        {EHDR(e_entry), v, no_fault},
        {EHDR(e_entry), v + 0x122, no_fault},
        {EHDR(e_entry), v + 0x123, loading(entry_not_in_image, v + 0x123)},
        {EHDR(e_entry), v + 0x1000, loading(entry_not_in_image, v + 0x1000)}, // not executable
        {EHDR(e_entry), top, loading(entry_not_in_image, top)},
        {EHDR(e_entry), p + 0x10, loading(entry_not_in_image, p + 0x10)}, // the physical address
        {EHDR(e_phoff), 0, loading(bad_header, EHDR(e_phoff))},
        {EHDR(e_phoff), header - 1, loading(bad_header, EHDR(e_phoff))},
        {EHDR(e_phoff), size - table + 1, loading(truncated_image, size)},
        {EHDR(e_phoff), size, loading(truncated_image, size)},
        {EHDR(e_phoff), size + 1, loading(truncated_image, size)},
        {EHDR(e_phoff), top - table + 1, loading(truncated_image, size)}, // ends with the last address
        {EHDR(e_phoff), top - table + 2, loading(bad_header, EHDR(e_phoff))},
        {EHDR(e_phoff), top, loading(bad_header, EHDR(e_phoff))},
        {EHDR(e_shoff), top, no_fault},
        {EHDR(e_flags), 0xffff'ffff, no_fault},
        {EHDR(e_ehsize), 0, loading(bad_header, EHDR(e_ehsize))},
        {EHDR(e_ehsize), header - 1, loading(bad_header, EHDR(e_ehsize))},
        {EHDR(e_ehsize), header + 1, loading(bad_header, EHDR(e_ehsize))},
        {EHDR(e_ehsize), 0xffff, loading(bad_header, EHDR(e_ehsize))},
        {EHDR(e_phentsize), 0, loading(bad_header, EHDR(e_phentsize))},
        {EHDR(e_phentsize), table / 3 - 1, loading(bad_header, EHDR(e_phentsize))},
        {EHDR(e_phentsize), table / 3 + 1, loading(bad_header, EHDR(e_phentsize))},
        {EHDR(e_phentsize), 0xffff, loading(bad_header, EHDR(e_phentsize))},
        {EHDR(e_phnum), 0, loading(empty_image, 0)},
        {EHDR(e_phnum), 1, no_fault},
        {EHDR(e_phnum), 2, no_fault},
        {EHDR(e_phnum), (0x368 - header) / (table / 3) + 1, loading(truncated_image, size)},
        {EHDR(e_phnum), 0xfffe, loading(truncated_image, size)},
        {EHDR(e_phnum), 0xffff, loading(no_space, 0xffff)},
        {EHDR(e_shentsize), 0xffff, no_fault},
        {EHDR(e_shnum), 0xffff, no_fault},
        {EHDR(e_shstrndx), 0xffff, no_fault},
    };
    for (const auto& c : cases) {
        CAPTURE(c.field.offset, c.value);
        bytes file = small_kernel<TestType>().build();
        patch(file, c.field, c.value);
        const auto image = load<TestType>(file);
        CHECK(fault_of(image) == c.wanted);
        if (image)
            check_invariants<TestType>(*image, size);
    }
}

TEMPLATE_TEST_CASE("a PT_LOAD is believed in nothing", "", elf32, elf64)
{
    constexpr std::uint64_t v = TestType::virt, p = TestType::phys, top = TestType::top;
    const std::size_t size = small_kernel<TestType>().size;
    const struct {
        place field;
        std::uint64_t value;
        fault wanted;
    } cases[] = {
        {PHDR(0, p_type), PT_NULL, loading(entry_not_in_image, v + 0x10)},
        {PHDR(2, p_type), 0xffff'ffff, no_fault},
        {PHDR(0, p_offset), 0, no_fault}, // the header itself may be loaded
        {PHDR(0, p_offset), size - 0x123, no_fault},
        {PHDR(0, p_offset), size - 0x122, loading(truncated_image, size)},
        {PHDR(0, p_offset), size + 1, loading(truncated_image, size)},
        {PHDR(0, p_offset), top - 0x122, loading(truncated_image, size)}, // ends with the last offset
        {PHDR(0, p_offset), top - 0x121, loading(bad_header, PHDR(0, p_offset))},
        {PHDR(0, p_offset), top, loading(bad_header, PHDR(0, p_offset))},
        {PHDR(0, p_vaddr), v + 0x10, no_fault},
        {PHDR(0, p_vaddr), v + 0x11, loading(entry_not_in_image, v + 0x10)},
        {PHDR(0, p_vaddr), v - 0x112, no_fault},
        {PHDR(0, p_vaddr), v - 0x113, loading(entry_not_in_image, v + 0x10)},
        {PHDR(0, p_vaddr), 0, loading(entry_not_in_image, v + 0x10)},
        {PHDR(0, p_vaddr), top - 0x122, loading(entry_not_in_image, v + 0x10)},
        {PHDR(0, p_vaddr), top - 0x121, loading(bad_header, PHDR(0, p_vaddr))},
        {PHDR(0, p_vaddr), top, loading(bad_header, PHDR(0, p_vaddr))},
        {PHDR(2, p_vaddr), v + 0x123, no_fault},
        {PHDR(2, p_vaddr), v + 0x122, loading(mapping_conflict, v + 0x122)},
        {PHDR(2, p_vaddr), v - 0x2045, no_fault},
        {PHDR(2, p_vaddr), v - 0x2044, loading(mapping_conflict, v)},
        {PHDR(0, p_paddr), 0, no_fault},
        {PHDR(0, p_paddr), top - 0x122, no_fault},
        {PHDR(0, p_paddr), top - 0x121, loading(bad_header, PHDR(0, p_paddr))},
        {PHDR(0, p_paddr), top, loading(bad_header, PHDR(0, p_paddr))},
        {PHDR(2, p_paddr), p + 0x123, no_fault},
        {PHDR(2, p_paddr), p + 0x122, loading(destinations_overlap, p + 0x122)},
        {PHDR(2, p_paddr), p - 0x2045, no_fault},
        {PHDR(2, p_paddr), p - 0x2044, loading(destinations_overlap, p)},
        {PHDR(2, p_paddr), top - 0x2044, no_fault},
        {PHDR(2, p_paddr), top - 0x2043, loading(bad_header, PHDR(2, p_paddr))},
        {PHDR(0, p_filesz), 0, loading(entry_not_in_image, v + 0x10)},
        {PHDR(0, p_filesz), 0x10, loading(entry_not_in_image, v + 0x10)},
        {PHDR(0, p_filesz), 0x11, no_fault},
        {PHDR(0, p_filesz), 0x122, no_fault},
        {PHDR(0, p_filesz), 0x124, loading(bad_header, PHDR(0, p_filesz))},
        {PHDR(0, p_filesz), top, loading(bad_header, PHDR(0, p_filesz))},
        {PHDR(2, p_filesz), 0, no_fault},
        {PHDR(2, p_filesz), 1, no_fault},
        {PHDR(2, p_filesz), 0x46, loading(truncated_image, size)},
        {PHDR(2, p_filesz), 0x2046, loading(bad_header, PHDR(2, p_filesz))},
        {PHDR(2, p_memsz), 0, loading(bad_header, PHDR(2, p_filesz))},
        {PHDR(2, p_memsz), 0x44, loading(bad_header, PHDR(2, p_filesz))},
        {PHDR(2, p_memsz), 0x45, no_fault},
        {PHDR(2, p_memsz), 0x46, no_fault},
        {PHDR(2, p_memsz), top - v - 0xfff, no_fault}, // up to the last virtual address
        {PHDR(2, p_memsz), top - v - 0xffe, loading(bad_header, PHDR(2, p_vaddr))},
        {PHDR(2, p_memsz), top - p - 0xfff, loading(bad_header, PHDR(2, p_vaddr))},
        {PHDR(2, p_memsz), top - p - 0xffe, loading(bad_header, PHDR(2, p_paddr))},
        {PHDR(2, p_memsz), top, loading(bad_header, PHDR(2, p_paddr))},
        {PHDR(0, p_flags), 0, loading(entry_not_in_image, v + 0x10)},
        {PHDR(0, p_flags), PF_R | PF_W, loading(entry_not_in_image, v + 0x10)},
        {PHDR(0, p_flags), 0xffff'ffff, no_fault},
        {PHDR(0, p_align), 0, no_fault},
        {PHDR(0, p_align), top, no_fault},
    };
    for (const auto& c : cases) {
        CAPTURE(c.field.offset, c.value);
        bytes file = small_kernel<TestType>().build();
        patch(file, c.field, c.value);
        const auto image = load<TestType>(file);
        CHECK(fault_of(image) == c.wanted);
        if (image)
            check_invariants<TestType>(*image, size);
    }
}

TEMPLATE_TEST_CASE("two fields at their boundaries together never break an answer", "", elf32, elf64)
{
    constexpr std::uint64_t top = TestType::top, half = top / 2;
    const place fields[] = {PHDR(0, p_offset), PHDR(0, p_vaddr), PHDR(0, p_paddr), PHDR(0, p_filesz), PHDR(0, p_memsz),
        PHDR(2, p_offset), PHDR(2, p_vaddr), PHDR(2, p_paddr), PHDR(2, p_filesz), PHDR(2, p_memsz)};
    const std::uint64_t values[] = {0, 1, 0xfff, 0x1000, 0x1001, 0x368, half, half + 1, top - 0xfff, top - 1, top};
    std::size_t loaded = 0, refused = 0;
    for (const place a : fields)
        for (const place b : fields)
            for (const std::uint64_t x : values)
                for (const std::uint64_t y : values) {
                    bytes file = small_kernel<TestType>().build();
                    patch(file, a, x);
                    patch(file, b, y);
                    const auto image = load<TestType>(file);
                    ++(image ? loaded : refused);
                    if (image)
                        check_invariants<TestType>(*image, file.size());
                }
    CHECK(loaded > 100);
    CHECK(refused > 1000);
}

TEMPLATE_TEST_CASE("a PT_LOAD without memory is ignored, and nothing else is nothing", "", elf32, elf64)
{
    auto kernel = small_kernel<TestType>();
    kernel.parts[1] = elf_part<TestType>{.filesz = 0, .memsz = 0, .align = 0};
    const auto image = load<TestType>(kernel.build());
    REQUIRE(image);
    CHECK(image->segments.size() == 3);
    CHECK(image->mappings.size() == 2);
    kernel.parts = {kernel.parts[1]};
    CHECK(fault_of(load<TestType>(kernel.build())) == loading(empty_image, 0));
}

TEMPLATE_TEST_CASE("a PT_LOAD without bytes in the file may name any offset", "", elf32, elf64)
{
    auto kernel = small_kernel<TestType>();
    kernel.parts[2].p_filesz = 0;
    constexpr std::uint64_t p = TestType::phys;
    for (const typename TestType::address offset : {typename TestType::address{0}, typename TestType::address{0x368},
             typename TestType::address{0x369}, TestType::top}) {
        kernel.parts[2].p_offset = offset;
        const auto image = load<TestType>(kernel.build());
        REQUIRE(fault_of(image) == no_fault);
        check_segments(*image,
            std::vector<expected_segment>{
                {p, p + 0x122, content::copy, 0x200}, {p + 0x1000, p + 0x3044, content::zero, 0}});
    }
}

TEMPLATE_TEST_CASE("padding lies over what is loaded and changes nothing of it", "", elf32, elf64)
{
    constexpr auto text = TestType::phys, data = text + 0x1000;
    const std::vector<expected_segment> loaded = {{text, text + 0x122, content::copy, 0x200},
        {data, data + 0x44, content::copy, 0x323}, {data + 0x45, data + 0x2044, content::zero, 0}};
    const struct {
        std::vector<typename TestType::program_header> paddings;
        std::vector<expected_segment> expected; // in front of what is loaded
    } cases[] = {
        {{padding<TestType>(text + 0x20, 0x10)}, {{text + 0x20, text + 0x2f, content::padding, 0}}},
        // the first byte, the last byte, and all of the file part; over the border from file to bss
        {{padding<TestType>(text + 0x122, 1), padding<TestType>(data, 0x45)},
            {{text + 0x122, text + 0x122, content::padding, 0}, {data, data + 0x44, content::padding, 0}}},
        {{padding<TestType>(data + 0x44, 2), padding<TestType>(data + 0x2044, 1)},
            {{data + 0x44, data + 0x45, content::padding, 0}, {data + 0x2044, data + 0x2044, content::padding, 0}}},
        // out of order, touching
        {{padding<TestType>(text + 0x80, 0x10), padding<TestType>(text + 0x40, 0x40), padding<TestType>(data, 0x2045)},
            {{text + 0x80, text + 0x8f, content::padding, 0}, {text + 0x40, text + 0x7f, content::padding, 0},
                {data, data + 0x2044, content::padding, 0}}},
        {{padding<TestType>(text + 0x20, 0)}, {}},
    };
    for (const auto& c : cases)
        for (const bool before : {false, true}) { // the order of the table must not matter
            CAPTURE(&c - cases, before);
            auto kernel = small_kernel<TestType>();
            kernel.parts.insert(
                before ? kernel.parts.begin() : kernel.parts.end(), c.paddings.begin(), c.paddings.end());
            const auto image = load<TestType>(kernel.build());
            REQUIRE(fault_of(image) == no_fault);
            auto expected = c.expected;
            expected.insert(expected.end(), loaded.begin(), loaded.end());
            check_segments(*image, expected);
            check_invariants<TestType>(*image, kernel.size);
        }
}

TEMPLATE_TEST_CASE("padding outside the image, over another, or under the entry is refused", "", elf32, elf64)
{
    constexpr auto p = TestType::phys, v = TestType::virt, top = TestType::top;
    const place at = PHDR(3, p_paddr);
    const struct {
        std::vector<typename TestType::program_header> paddings;
        fault wanted;
    } cases[] = {
        {{padding<TestType>(p - 1, 1)}, loading(bad_header, at)},
        {{padding<TestType>(p - 1, 2)}, loading(bad_header, at)},
        {{padding<TestType>(p + 0x122, 2)}, loading(bad_header, at)},
        {{padding<TestType>(p + 0x123, 1)}, loading(bad_header, at)},
        {{padding<TestType>(p + 0x3044, 2)}, loading(bad_header, at)},
        {{padding<TestType>(top, 1)}, loading(bad_header, at)},
        {{padding<TestType>(top, 2)}, loading(bad_header, at)},
        {{padding<TestType>(p + 0x1000, top)}, loading(bad_header, at)},
        {{padding<TestType>(p + 0x1000, 0x20), padding<TestType>(p + 0x101f, 1)},
            loading(destinations_overlap, p + 0x101f)},
        {{padding<TestType>(p + 0x1001, 1), padding<TestType>(p + 0x1000, 0x20)},
            loading(destinations_overlap, p + 0x1001)},
        {{padding<TestType>(p + 0x10, 1)}, loading(entry_not_in_image, v + 0x10)},
        {{padding<TestType>(p + 0xf, 1), padding<TestType>(p + 0x11, 1)}, no_fault},
    };
    for (const auto& c : cases) {
        CAPTURE(&c - cases);
        auto kernel = small_kernel<TestType>();
        kernel.parts.insert(kernel.parts.end(), c.paddings.begin(), c.paddings.end());
        CHECK(fault_of(load<TestType>(kernel.build())) == c.wanted);
    }
}

TEMPLATE_TEST_CASE("an entry given as a physical address is looked for at p_paddr", "", elf32, elf64)
{
    using address = typename TestType::address;
    constexpr auto p = TestType::phys, v = TestType::virt;
    const struct {
        address entry;
        bool inside;
    } cases[] = {{p, true}, {p + 0x10, true}, {p + 0x122, true}, {p + 0x123, false}, {p + 0x1000, false},
        {p - 1, false}, {v, false}, {v + 0x10, false}, {0, false}, {TestType::top, false}};
    for (const auto& c : cases) {
        CAPTURE(c.entry);
        auto kernel = small_kernel<TestType>();
        kernel.entry = c.entry;
        const auto image = load_elf<typename TestType::lobos_class>(
            scattered_file{kernel.build()}, TestType::machine, elf_entry::physical_address);
        CHECK(fault_of(image) == (c.inside ? no_fault : loading(entry_not_in_image, c.entry)));
        if (image)
            CHECK(image->entry == virt_addr::at(c.entry));
    }
    auto kernel = small_kernel<TestType>();
    kernel.entry = p + 0x10;
    kernel.parts.push_back(padding<TestType>(p + 0x10, 1));
    CHECK(fault_of(load_elf<typename TestType::lobos_class>(scattered_file{kernel.build()}, TestType::machine,
              elf_entry::physical_address)) == loading(entry_not_in_image, p + 0x10));
}

TEMPLATE_TEST_CASE("too many parts are refused, not dropped", "", elf32, elf64)
{
    using address = typename TestType::address;
    const auto many = [](std::size_t loads, std::size_t paddings, bool bss) {
        basic_elf_builder<TestType> kernel{.parts = {}, .entry = 0x1000, .size = 0x2000};
        for (std::size_t i = 0; i < loads; ++i) {
            const auto at = static_cast<address>(0x1000 * (i + 1));
            kernel.parts.push_back(elf_part<TestType>{.offset = 0x1800,
                .vaddr = at,
                .paddr = at,
                .filesz = 0x100,
                .memsz = bss ? address{0x200} : address{0x100},
                .flags = PF_X,
                .align = 1});
        }
        for (std::size_t i = 0; i < paddings; ++i)
            kernel.parts.push_back(padding<TestType>(static_cast<address>(0x1001 + 2 * i), 1));
        return load<TestType>(kernel.build());
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
    check_invariants<TestType>(*image, 0x2000);
}
