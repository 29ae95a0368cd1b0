// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/image/flat.hpp>

#include <tests/catch.hpp>
#include <tests/support/elf_builder.hpp>

using namespace lobos;
using namespace lobos::test;
using enum fault_code;

namespace {

fault loading(fault_code code, std::uint64_t at)
{
    return {code, stage::loading, at};
}

phys_range span_of(std::uint64_t first, std::uint64_t last)
{
    return phys_range::between(phys_addr::at(first), phys_addr::at(last));
}

template <class Class> basic_elf_builder<Class> low_kernel()
{
    auto k = small_kernel<Class>();
    k.parts[0].p_paddr = 0x10'0000;
    k.parts[2].p_paddr = 0x10'1000;
    return k;
}

} // namespace

TEST_CASE("a plain binary")
{
    const scattered_file file{bytes(0x1801)};
    const auto image = load_flat(file, 0x7c00_pa, 0x100_bytes, 0x1800_bytes);
    REQUIRE(image);
    REQUIRE(image->segments.size() == 2);
    CHECK(image->segments[0].destination == span_of(0x7c00, 0x9400));
    CHECK(image->segments[0].what == content::copy);
    CHECK(image->segments[0].file_offset == 0_bytes);
    CHECK(image->segments[0].file.data() == file.extents().data());
    CHECK(image->segments[1].destination == span_of(0x9401, 0x9500));
    CHECK(image->segments[1].what == content::zero);
    CHECK(image->entry == 0x9400_pa);
    CHECK(image->module_alignment == 1_bytes);
    CHECK_FALSE(image->wants_memory_map);
    CHECK(load_flat(file, 0x7c00_pa)->segments.size() == 1);
    CHECK(load_flat(file, 0x7c00_pa)->entry == 0x7c00_pa);
}

TEST_CASE("a plain binary that does not fit")
{
    const hollow_file file{0x1000};
    const auto load = [&](std::uint64_t at, std::uint64_t zeros, std::uint64_t entry) {
        return fault_of(load_flat(file, phys_addr::at(at), byte_count::of(zeros), byte_count::of(entry)));
    };
    CHECK(load(0xffff'f000, 0, 0xfff) == no_fault);
    CHECK(load(0xffff'e000, 0x1000, 0) == no_fault);
    CHECK(load(0xffff'f001, 0, 0) == loading(bad_range, 0xffff'f001));
    CHECK(load(0xffff'e000, 0x1001, 0) == loading(bad_range, 0xffff'e000));
    CHECK(load(0, ~0ull, 0) == loading(bad_range, 0));
    CHECK(load(~0ull, 0, 0) == loading(bad_range, ~0ull));
    CHECK(load(0x8000, 0x1000, 0x1000) == loading(entry_not_in_image, 0x9000)); // in the zeros
    CHECK(load(0x8000, 0, ~0ull) == loading(entry_not_in_image, ~0ull));
    CHECK(fault_of(load_flat(hollow_file{0}, 0x8000_pa)) == loading(empty_image, 0));
    CHECK(fault_of(load_flat(hollow_file{~0ull}, 0x8000_pa)) == loading(bad_range, 0x8000));
}

TEMPLATE_TEST_CASE("an ELF file is entered at its physical entry", "", elf32, elf64)
{
    auto kernel = low_kernel<TestType>();
    const auto load = [&](std::optional<phys_addr> entry = {}) {
        return load_flat_elf(scattered_file{kernel.build()}, entry);
    };
    REQUIRE(load()); // linked high: 16 bytes into the text
    CHECK(load()->entry == 0x10'0010_pa);
    CHECK(load()->segments.size() == 3);
    CHECK(load()->segments[2].destination == span_of(0x10'1045, 0x10'3044));
    kernel.entry = 0x10'0122; // a physical one
    CHECK(load()->entry == 0x10'0122_pa);
    kernel.entry = 0x10'0123;
    CHECK(fault_of(load()) == loading(entry_not_in_image, 0x10'0123));
    CHECK(load(0x10'0000_pa)->entry == 0x10'0000_pa); // then e_entry means nothing
    CHECK(fault_of(load(0x10'0123_pa)) == loading(entry_not_in_image, 0x10'0123));
    CHECK(fault_of(load(0x10'1045_pa)) == loading(entry_not_in_image, 0x10'1045)); // .bss

    // An entry that is both is the physical one.
    kernel.parts[2].p_vaddr = 0x10'0000;
    kernel.parts[2].p_flags = PF_R | PF_X;
    kernel.entry = 0x10'0020;
    CHECK(load()->entry == 0x10'0020_pa);
}

TEST_CASE("no entry in a padding")
{
    auto kernel = low_kernel<elf32>();
    kernel.parts[1] = elf_part<elf32>{.type = PT_LOBOS_PADDING, .paddr = 0x10'0010, .memsz = 0x10};
    const scattered_file file{kernel.build()};
    CHECK(fault_of(load_flat_elf(file)) == loading(entry_not_in_image, kernel.entry));
    CHECK(fault_of(load_flat_elf(file, 0x10'001f_pa)) == loading(entry_not_in_image, 0x10'001f));
    CHECK(load_flat_elf(file, 0x10'0020_pa)->entry == 0x10'0020_pa);
}

TEST_CASE("what a 32-bit state cannot reach is refused")
{
    CHECK(fault_of(load_flat_elf(scattered_file{small_kernel<elf64>().build()})) == loading(bad_range, 0x1'0010'0000));
    auto kernel = low_kernel<elf64>();
    kernel.parts[2].p_paddr = 0xffff'f000;
    CHECK(fault_of(load_flat_elf(scattered_file{kernel.build()})) == loading(bad_range, 0xffff'f045));
}

TEST_CASE("no ELF file for it")
{
    CHECK(fault_of(load_flat_elf(scattered_file{bytes(100)})) == loading(unknown_format, 0));
    CHECK(fault_of(load_flat_elf(hollow_file{0})) == loading(unknown_format, 0));
    auto kernel = low_kernel<elf32>();
    kernel.machine = EM_X86_64;
    CHECK(fault_of(load_flat_elf(scattered_file{kernel.build()})) == loading(unsupported, 18));
}

TEST_CASE("a plain binary that is entered paged")
{
    const scattered_file file{bytes(0x1801)};
    const auto image = load_flat_paged(file, 0x1'0000'0000_pa, 0xffff'8000'0010'0000_va, 0x7ff_bytes, 0x1800_bytes);
    REQUIRE(image);
    REQUIRE(image->segments.size() == 2);
    CHECK(image->segments[0].destination == span_of(0x1'0000'0000, 0x1'0000'1800));
    CHECK(image->segments[0].what == content::copy);
    CHECK(image->segments[0].file.data() == file.extents().data());
    CHECK(image->segments[1].destination == span_of(0x1'0000'1801, 0x1'0000'1fff));
    CHECK(image->segments[1].what == content::zero);
    REQUIRE(image->mappings.size() == 1);
    CHECK(image->mappings[0].virtual_range == virt_range::of(0xffff'8000'0010'0000_va, 8_KiB));
    CHECK(image->mappings[0].physical == 0x1'0000'0000_pa);
    CHECK(image->mappings[0].writable);
    CHECK(image->entry == 0xffff'8000'0010'1800_va);
    CHECK_FALSE(image->entry_from_file);
    CHECK(load_flat_paged(file, 0x8000_pa, 0xc000'0000_va)->segments.size() == 1);
    CHECK(load_flat_paged(file, 0x8000_pa, 0xc000'0000_va)->entry == 0xc000'0000_va);
}

TEST_CASE("a plain binary that does not fit into physical or virtual memory")
{
    const auto load = [](std::uint64_t size, std::uint64_t at, std::uint64_t v, std::uint64_t zeros,
                          std::uint64_t entry = 0) {
        return fault_of(load_flat_paged(
            hollow_file{size}, phys_addr::at(at), virt_addr::at(v), byte_count::of(zeros), byte_count::of(entry)));
    };
    constexpr std::uint64_t top = ~0ull;
    CHECK(load(0x1000, top - 0xfff, 0, 0) == no_fault);
    CHECK(load(0x1000, top - 0xffe, 0, 0) == loading(bad_range, top - 0xffe));
    CHECK(load(0x1000, top - 0x1fff, 0, 0x1000) == no_fault);
    CHECK(load(0x1000, top - 0x1fff, 0, 0x1001) == loading(bad_range, top - 0x1fff));
    CHECK(load(0x1000, 0, top - 0xfff, 0) == no_fault);
    CHECK(load(0x1000, 0, top - 0xffe, 0) == loading(bad_range, top - 0xffe));
    CHECK(load(0x1000, 0, top - 0x1fff, 0x1001) == loading(bad_range, top - 0x1fff));
    CHECK(load(top, 0, 0, 1) == loading(bad_range, 0));
    CHECK(load(0, 0, 0, 0) == loading(empty_image, 0));
    CHECK(load(0x1000, 0, 0x8000, 0x1000, 0xfff) == no_fault);
    CHECK(load(0x1000, 0, 0x8000, 0x1000, 0x1000) == loading(entry_not_in_image, 0x9000)); // in the zeros
    CHECK(load(0x1000, 0, 0x8000, 0, top) == loading(entry_not_in_image, top));
}

TEST_CASE("modules go as high as they can, clear of the image and of each other")
{
    const memory_map map{{span_of(0, 0x9'ffff), region_kind::usable},
        {span_of(0x10'0000, 0x40'0123), region_kind::usable},
        {span_of(0x1'0000'0000, 0x2'0000'0000), region_kind::usable}};
    const scattered_file kernel{bytes(0x1000)}, file{bytes(0x1801)};
    auto image = *load_flat(kernel, 0x3f'f000_pa, 0x1000_bytes); // up to 0x40'0fff
    image.module_alignment = 4_KiB;
    const phys_range taken[] = {span_of(0x3f'd000, 0x3f'd000)};
    const auto first = add_module(image, file, map.map, taken);
    REQUIRE(fault_of(first) == no_fault);
    CHECK(*first == span_of(0x3f'b000, 0x3f'c800));
    REQUIRE(image.segments.size() == 3);
    CHECK(image.segments[2].destination == *first);
    CHECK(image.segments[2].role == segment_role::module);
    CHECK(image.segments[2].what == content::copy);
    CHECK(image.segments[2].file.data() == file.extents().data());
    CHECK(add_module(image, file, map.map, taken).value() == span_of(0x3f'9000, 0x3f'a800));
    image.module_alignment = 1_bytes;
    REQUIRE(add_module(image, file, map.map, taken)); // behind the byte that is taken
    CHECK(image.segments[4].destination == span_of(0x3f'd7ff, 0x3f'efff));
}

TEST_CASE("a module ends below the last byte that can be announced")
{
    const memory_map map{{span_of(0xffff'0000, 0x1'0000'ffff), region_kind::usable}};
    segment_list segments;
    CHECK(add_module(segments, hollow_file{1}, 1_bytes, map.map).value() == span_of(0xffff'fffe, 0xffff'fffe));
    CHECK(add_module(segments, hollow_file{0x1000}, 4_KiB, map.map).value() == span_of(0xffff'e000, 0xffff'efff));
}

TEST_CASE("modules that find no place")
{
    const memory_map map{{span_of(0, 0xffff), region_kind::usable}};
    auto image = *load_flat(hollow_file{0x8000}, 0_pa);
    CHECK(fault_of(add_module(image, hollow_file{0}, map.map)) == loading(empty_image, 0));
    CHECK(fault_of(add_module(image, hollow_file{0x8001}, map.map)) == loading(no_room, 0x8001));
    CHECK(fault_of(add_module(image, hollow_file{~0ull}, map.map)) == loading(no_room, ~0ull));
    CHECK(image.segments.size() == 1);
    while (image.segments.size() < max_segments)
        REQUIRE(add_module(image, hollow_file{0x10}, map.map));
    CHECK(fault_of(add_module(image, hollow_file{0x10}, map.map)) == loading(no_space, max_segments + 1));
}
