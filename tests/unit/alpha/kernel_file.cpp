// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/alpha/kernel_file.hpp>

#include <tests/catch.hpp>
#include <tests/support/alpha_elf.hpp>

using namespace lobos;
using namespace lobos::alpha;
using namespace lobos::test;
using enum fault_code;

namespace {

constexpr std::uint64_t kseg_first = 0xffff'fc00'0000'0000, io_first = 0xffff'fd00'0000'0000;

phys_range from_to(std::uint64_t first, std::uint64_t last)
{
    return phys_range::between(phys_addr::at(first), phys_addr::at(last));
}

fault loading(fault_code code, std::uint64_t at)
{
    return {code, stage::loading, at};
}

result<elf_image> load(const alpha_elf_builder& kernel)
{
    return load_kernel_file(scattered_file{kernel.build()});
}

/// The kernel with the physical address of its data, which are 0x45 bytes and a bss, elsewhere.
result<elf_image> with_data_at(std::uint64_t physical)
{
    auto kernel = alpha_kernel();
    kernel.parts[2].p_paddr = physical;
    return load(kernel);
}

} // namespace

TEST_CASE("an address in kseg means the memory there, and any other itself", "[alpha][kernel_file]")
{
    CHECK(meant_memory(from_to(kseg_first, kseg_first)) == from_to(0, 0));
    CHECK(meant_memory(from_to(kseg_first + 0x101'0000, kseg_first + 0x101'0fff)) == from_to(0x101'0000, 0x101'0fff));
    CHECK(meant_memory(from_to(kseg_first, io_first - 1)) == from_to(0, 0xff'ffff'ffff));
    for (const phys_range same : {from_to(0, 0), from_to(0x101'0000, 0x101'0fff), from_to(0, kseg_first - 1),
             from_to(0xffff'fe00'0000'0000, ~0ull), from_to(0x100'0000'0000, 0x100'0000'0000)})
        CHECK(meant_memory(same) == same);
}

TEST_CASE("what is only partly memory in kseg, or I/O, can be no memory", "[alpha][kernel_file]")
{
    for (const phys_range none : {from_to(io_first, io_first), from_to(io_first - 1, io_first),
             from_to(kseg_first - 1, kseg_first), from_to(0xffff'fdff'ffff'ffff, 0xffff'fdff'ffff'ffff),
             from_to(0xffff'fdff'ffff'ffff, 0xffff'fe00'0000'0000), from_to(kseg_first, 0xffff'fe00'0000'0000),
             from_to(0, ~0ull)}) {
        CAPTURE(none.first().raw(), none.last().raw());
        CHECK_FALSE(meant_memory(none));
    }
}

TEST_CASE("a kernel linked for kseg is loaded to memory, and mapped where it is linked", "[alpha][kernel_file]")
{
    const auto image = load(alpha_kernel());
    REQUIRE(image);
    REQUIRE(image->segments.size() == 3);
    const auto& s = image->segments;
    CHECK(s[0].destination == from_to(0x101'0000, 0x101'0122));
    CHECK(s[1].destination == from_to(0x101'2000, 0x101'2044));
    CHECK(s[2].destination == from_to(0x101'2045, 0x101'4044));
    CHECK(s[0].what == content::copy);
    CHECK(s[1].file_offset == 0x323_bytes);
    CHECK(s[2].what == content::zero);
    REQUIRE(image->mappings.size() == 2);
    CHECK(image->mappings[0].physical == 0x101'0000_pa);
    CHECK(image->mappings[1].physical == 0x101'2000_pa);
    CHECK(image->mappings[1].virtual_range.first() == virt_addr::at(kseg_first + 0x101'2000));
    CHECK(image->entry == virt_addr::at(kseg_first + 0x101'0000));
}

TEST_CASE(
    "a file may say physical addresses, for all parts or for some, and so may its padding", "[alpha][kernel_file]")
{
    auto kernel = alpha_kernel();
    kernel.parts[2].p_paddr = 0x200'0000;
    kernel.parts[1] = alpha_part{
        .type = PT_LOBOS_PADDING, .offset = 0, .vaddr = 0, .paddr = kseg_first + 0x101'0100, .filesz = 0, .memsz = 16};
    const auto image = load(kernel);
    REQUIRE(image);
    CHECK(image->segments[0].destination == from_to(0x101'0100, 0x101'010f));
    CHECK(image->segments[0].what == content::padding);
    CHECK(image->segments[1].destination == from_to(0x101'0000, 0x101'0122));
    CHECK(image->segments[2].destination == from_to(0x200'0000, 0x200'0044));
    CHECK(image->mappings[1].physical == 0x200'0000_pa);
}

TEST_CASE("an address in kseg that is no memory is refused", "[alpha][kernel_file]")
{
    CHECK(with_data_at(io_first - 0x2045)); // the last of it
    // The bytes of the file in memory, and the bss from I/O's first on.
    CHECK(fault_of(with_data_at(io_first - 0x45)) == loading(bad_range, io_first));
    CHECK(fault_of(with_data_at(io_first - 0x44)) == loading(bad_range, io_first - 0x44));
    CHECK(fault_of(with_data_at(0xffff'fd01'fc00'0000)) == loading(bad_range, 0xffff'fd01'fc00'0000));
    // Each of both parts may be memory, and still not all of it be in one row.
    CHECK(fault_of(with_data_at(kseg_first - 0x45)) == loading(bad_range, kseg_first - 0x45));
}

TEST_CASE("two addresses that mean the same memory are one destination too many", "[alpha][kernel_file]")
{
    CHECK(fault_of(with_data_at(0x101'0122)) == loading(destinations_overlap, 0x101'0122));
    CHECK(fault_of(with_data_at(0x101'0000 - 0x2044)) == loading(destinations_overlap, 0x101'0000));
    CHECK(with_data_at(0x101'0123));
    CHECK(with_data_at(0x101'0000 - 0x2045));
    CHECK(fault_of(with_data_at(kseg_first + 0x101'0122)) ==
        loading(destinations_overlap, kseg_first + 0x101'0122)); // as the file has it
}

TEST_CASE("what no loader of ELF takes is no kernel for an Alpha", "[alpha][kernel_file]")
{
    auto other = alpha_kernel();
    other.machine = EM_X86_64;
    CHECK(fault_of(load(other)) == loading(unsupported, offsetof(Elf64_Ehdr, e_machine)));
    CHECK(fault_of(load_kernel_file(scattered_file{small_kernel<elf32>().build()})) == loading(unsupported, EI_CLASS));
    auto elsewhere = alpha_kernel();
    elsewhere.entry = kseg_first + 0x101'0123;
    CHECK(fault_of(load(elsewhere)) == loading(entry_not_in_image, kseg_first + 0x101'0123));
    CHECK(fault_of(load_kernel_file(hollow_file{100})) == loading(unknown_format, 0));
}
