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
