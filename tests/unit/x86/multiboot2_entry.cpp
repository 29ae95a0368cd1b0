// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/multiboot2_entry.hpp>

#include <lobos/x86/multiboot2_reader.hpp>
#include <lobos/x86/paging_4level.hpp>

#include <tests/catch.hpp>
#include <tests/support/scratch_page.hpp>
#include <tests/support/told.hpp>

using namespace lobos;
using namespace lobos::test;
using x86::multiboot2_entry;

namespace {

static_assert(entry_contract<multiboot2_entry, x86::port<x86::paging_4m>>);
static_assert(entry_contract<multiboot2_entry, x86::port<x86::paging_4level>>);
static_assert(multiboot2_entry::state == x86::entry_state::flat_32 && !is_entered_paged<multiboot2_entry>);

/// An ELF file with a header that asks for aligned modules.
bytes kernel()
{
    bytes file = small_kernel().build();
    const std::uint32_t words[] = {0xe852'50d6, 0, 32, 0u - 0xe852'50d6u - 32u, 6, 8, 0, 8};
    for (std::size_t i = 0; i < 8; ++i)
        patch(file, 0x200 + 4 * i, 4, words[i]);
    return file;
}

} // namespace

TEST_CASE("a multiboot 2 image leaves unpaged, from its physical entry", "[x86][multiboot2_entry]")
{
    told_exec t{kernel()};
    const auto image = load_multiboot2(t.file);
    REQUIRE(image);
    const auto contract = multiboot2_entry::make(*image, t.modules, "quiet 1");
    REQUIRE(contract);
    CHECK(contract->entry() == 0x10'0010_va);
    CHECK(contract->parameter_pages() == 1);
    CHECK(contract->virtual_layout().empty());
    CHECK(contract->segments().size() == 5);
    const phys_addr pages[] = {0xffff'f000_pa};
    const auto r = contract->registers(pages);
    CHECK(r.ax == 0x36d7'6289);
    CHECK(r.bx == 0xffff'f000);
    CHECK(r.si == 0);
}

TEST_CASE("what a multiboot 2 image is told can be read by it", "[x86][multiboot2_entry]")
{
    told_exec t{kernel()};
    const auto contract = multiboot2_entry::make(*load_multiboot2(t.file), t.modules, "quiet 1");
    REQUIRE(t.write(*contract) == no_fault);
    CHECK(t.asked(*contract) == no_fault);
    const multiboot2_reader reader{t.memory, phys_addr::at(told_exec::page)};
    memory_map read{};
    REQUIRE(reader.read_memory_map(read.map));
    CHECK(std::ranges::equal(read.map.regions(), t.handed.map.regions()));
    CHECK(reader.module_count() == 2u);
    CHECK_FALSE(reader.rsdp()->has_value());
    char text[64];
    CHECK(reader.string(**reader.command_line(), text) == "quiet 1");
}

TEST_CASE("what a multiboot 2 image cannot be told", "[x86][multiboot2_entry]")
{
    told_exec t{kernel()};
    const auto image = *load_multiboot2(t.file);
    t.modules[1].range = phys_range::of(0x40'0010_pa, 1_bytes);
    CHECK(fault_of(multiboot2_entry::make(image, t.modules, "")) ==
        fault{fault_code::misaligned, stage::loading, 0x40'0010});
    const std::string long_line(4096, 'x');
    CHECK(t.write(*multiboot2_entry::make(image, {}, long_line)).code == fault_code::no_space);
    const bytes root(21);
    CHECK(t.write(*multiboot2_entry::make(image, {}, "", {.rsdp = root})) ==
        fault{fault_code::bad_header, stage::staging, 21});
}

TEST_CASE("with EFI's memory map a multiboot 2 image is told in a row of pages", "[x86][multiboot2_entry]")
{
    told_exec t{kernel()};
    constexpr std::uint64_t source = 0x7'0000, count = 100;
    for (std::uint64_t i = 0; i < count; ++i)
        store(t.memory, phys_addr::at(source + 48 * i),
            efi::descriptor{6, 0, 0x2000'0000 + 0x2000 * i, 0, 1, efi::descriptor::at_run_time});
    const efi_firmware firmware{
        true, 0xf'0000_pa, phys_range::of(phys_addr::at(source), byte_count::of(48 * count)), 48, 1};
    const auto contract = multiboot2_entry::make(*load_multiboot2(t.file), t.modules, "quiet 1", {.efi = firmware});
    REQUIRE(t.write(*contract) == no_fault);
    CHECK(t.asked(*contract) == no_fault);
    const auto read = multiboot2_reader{t.memory, phys_addr::at(told_exec::page)}.efi();
    REQUIRE((read && *read));
    CHECK((*read)->system_table == 0xf'0000_pa);
    CHECK((*read)->memory_map.size() == byte_count::of(48 * count));
    // Of pages that do not follow each other the longest row counts, and it may be too short.
    const phys_addr parted[] = {0x1'3000_pa, 0x1'5000_pa, 0x1'6000_pa, 0x1'8000_pa};
    CHECK(contract->registers(parted).bx == 0x1'5000);
    CHECK(fault_of(contract->write_parameters(t.memory, t.handed.map, parted, scratch_page())) == no_fault);
    const fault said =
        fault_of(contract->write_parameters(t.memory, t.handed.map, std::span{parted}.first(2), scratch_page()));
    CHECK(said.code == fault_code::no_space);
    CHECK(said.at > 48 * count);
}
