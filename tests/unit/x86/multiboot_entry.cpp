// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/multiboot_entry.hpp>

#include <lobos/x86/paging_4level.hpp>

#include <tests/catch.hpp>
#include <tests/support/scratch_page.hpp>
#include <tests/support/told.hpp>

using namespace lobos;
using namespace lobos::test;
using x86::multiboot_entry;

namespace {

static_assert(entry_contract<multiboot_entry, x86::port<x86::paging_4m>>);
static_assert(entry_contract<multiboot_entry, x86::port<x86::paging_4level>>);
static_assert(multiboot_entry::state == x86::entry_state::flat_32 && !is_entered_paged<multiboot_entry>);

/// An ELF file with a header that asks for aligned modules and a memory map.
bytes kernel()
{
    bytes file = small_kernel().build();
    patch(file, 0x200, 4, 0x1bad'b002);
    patch(file, 0x204, 4, 3);
    patch(file, 0x208, 4, 0u - 0x1bad'b002u - 3u);
    return file;
}

} // namespace

TEST_CASE("a multiboot 1 image leaves unpaged, from its physical entry", "[x86][multiboot_entry]")
{
    told_exec t{kernel()};
    const auto image = load_multiboot(t.file);
    REQUIRE(image);
    const auto contract = multiboot_entry::make(*image, t.modules, "quiet 1");
    REQUIRE(contract);
    CHECK(contract->entry() == 0x10'0010_va);
    CHECK(contract->parameter_pages() == 1);
    CHECK(contract->virtual_layout().empty());
    REQUIRE(contract->segments().size() == 5);
    CHECK(contract->segments()[4].destination == t.modules[1].range);
    const phys_addr pages[] = {0xffff'f000_pa};
    const auto r = contract->registers(pages);
    CHECK(r.ax == 0x2bad'b002);
    CHECK(r.bx == 0xffff'f000);
    CHECK(r.si == 0);
    CHECK(r.real_base == 0);
}

TEST_CASE("what a multiboot 1 image is told can be read by it", "[x86][multiboot_entry]")
{
    told_exec t{kernel()};
    const auto contract = multiboot_entry::make(*load_multiboot(t.file), t.modules, "quiet 1");
    REQUIRE(t.write(*contract) == no_fault);
    CHECK(t.asked(*contract) == no_fault);
    const multiboot_reader reader{t.memory, phys_addr::at(told_exec::page)};
    memory_map read{};
    REQUIRE(reader.read_memory_map(read.map));
    CHECK(std::ranges::equal(read.map.regions(), t.handed.map.regions()));
    char text[64];
    CHECK(reader.string(*reader.command_line(), text) == "quiet 1");
    REQUIRE(reader.module_count() == 2);
    CHECK(reader.module(0)->start == t.modules[0].range.first());
    CHECK(reader.string(reader.module(0)->string, text) == "first one");
}

TEST_CASE("modules that were placed for a multiboot 1 image", "[x86][multiboot_entry]")
{
    told_exec t{kernel()};
    auto image = *load_multiboot(t.file);
    const auto place = add_module(image, hollow_file{0x5001}, t.running.map);
    REQUIRE(place);
    CHECK(is_aligned(place->first(), 4_KiB));
    const multiboot_module placed[] = {{*place, "initrd"}};
    const auto contract = multiboot_entry::make(image, placed, "");
    REQUIRE(contract);
    CHECK(contract->segments().size() == 4);
    REQUIRE(t.write(*contract) == no_fault);
    CHECK(t.asked(*contract) == no_fault);
}

TEST_CASE("what a multiboot 1 image cannot be told", "[x86][multiboot_entry]")
{
    told_exec t{kernel()};
    const auto image = *load_multiboot(t.file);
    t.modules[1].range = phys_range::of(0x40'0010_pa, 1_bytes);
    CHECK(fault_of(multiboot_entry::make(image, t.modules, "")) ==
        fault{fault_code::misaligned, stage::loading, 0x40'0010});
    const std::string long_line(4096, 'x');
    CHECK(t.write(*multiboot_entry::make(image, {}, long_line)).code == fault_code::no_space);
    byte_memory none{0};
    const phys_addr high[] = {0x1'0000'0000_pa};
    CHECK(fault_of(multiboot_entry::make(image, {}, "")->write_parameters(none, t.handed.map, high, scratch_page())) ==
        fault{fault_code::bad_range, stage::staging, 0x1'0000'0000});
}
