// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/linux32_entry.hpp>

#include <asm/bootparam.h> // linux-libc-dev: the parameters in the kernel's own words

#include <lobos/x86/paging_4m.hpp>

#include <tests/catch.hpp>
#include <tests/support/bzimage_builder.hpp>
#include <tests/support/scratch_page.hpp>

using lobos::byte_count;
using lobos::fault;
using lobos::fault_code;
using lobos::phys_addr;
using lobos::phys_range;
using lobos::region_kind;
using lobos::stage;
using lobos::x86::linux32_entry;
using namespace lobos::literals;
using namespace lobos::test;

namespace {

using port = lobos::x86::port<lobos::x86::paging_4m>;
static_assert(lobos::entry_contract<linux32_entry, port>);

const memory_map machine{{phys_range::between(0_pa, 0x9'ffff_pa), region_kind::usable},
    {phys_range::between(0x10'0000_pa, 0xfff'ffff_pa), region_kind::usable}};
const memory_map handed{{phys_range::between(0_pa, 0x9'ffff_pa), region_kind::usable},
    {phys_range::between(0x10'0000_pa, 0xfff'ffff_pa), region_kind::usable},
    {phys_range::between(0x20'0000_pa, 0x20'ffff_pa), region_kind::safe}};

lobos::linux_image image_of(std::string_view command_line, std::uint64_t initrd = 0)
{
    static const scattered_file file{bzimage_builder{.cmdline_size = 4095}.build()};
    const lobos::linux_request request{.command_line = command_line};
    const auto image = initrd == 0 ? lobos::load_bzimage(file, request, machine.map)
                                   : lobos::load_bzimage(file, hollow_file{initrd}, request, machine.map);
    REQUIRE(fault_of(image) == no_fault);
    return *image;
}

/// Two pages for parameters, with something in them, in the middle of memory that nobody may touch.
struct parameter_memory {
    byte_memory memory{0x2000, 0x30'0000_pa};
    std::vector<phys_addr> pages{0x30'0000_pa, 0x30'1000_pa};

    parameter_memory()
    {
        const bytes old(0x2000, std::byte{0xa5});
        memory.write(0x30'0000_pa, old);
    }
    ::boot_params params() { return lobos::load<::boot_params>(memory, pages[0]); }
    bytes page(std::size_t i)
    {
        bytes out(0x1000);
        memory.read(pages[i], out);
        return out;
    }
};

} // namespace

TEST_CASE("Linux leaves unpaged, with a flat table, from its entry", "[x86][linux32_entry]")
{
    const auto image = image_of("quiet", 5000);
    const linux32_entry contract{image};
    STATIC_REQUIRE(linux32_entry::state == lobos::x86::entry_state::flat_32);
    STATIC_REQUIRE_FALSE(lobos::is_entered_paged<linux32_entry>);
    CHECK(contract.entry() == 0x100'0000_va);
    CHECK(contract.segments().size() == image.segments.size());
    CHECK(contract.segments()[0].destination == image.segments[0].destination);
    CHECK(contract.segments().data() != image.segments.data());
    CHECK(contract.virtual_layout().empty());
    CHECK(contract.parameter_pages() == 2);
}

TEST_CASE("esi is the boot parameters, and all else is 0", "[x86][linux32_entry]")
{
    const linux32_entry contract{image_of("")};
    const phys_addr pages[] = {0xffff'e000_pa, 0x1000_pa};
    const auto r = contract.registers(pages);
    CHECK(r.si == 0xffff'e000);
    CHECK(r.ax == 0);
    CHECK(r.bx == 0);
}

TEST_CASE("the parameters lie in memory as Linux reads them", "[x86][linux32_entry]")
{
    parameter_memory m;
    const linux32_entry contract{image_of("console=ttyS0 quiet", 5000), {.acpi_rsdp = 0xf'5a10_pa}};
    REQUIRE(fault_of(contract.write_parameters(m.memory, handed.map, m.pages, scratch_page())) == no_fault);
    const ::boot_params p = m.params();
    CHECK(+p.hdr.header == 0x53726448);
    CHECK(+p.hdr.type_of_loader == 0xff);
    CHECK(+p.hdr.code32_start == 0x100'0000);
    CHECK(+p.hdr.cmd_line_ptr == 0x30'1000);
    CHECK(+p.hdr.ramdisk_image == 0xfff'e000);
    CHECK(+p.hdr.ramdisk_size == 5000);
    CHECK(+p.acpi_rsdp_addr == 0xf'5a10);
    REQUIRE(p.e820_entries == 4);
    const std::uint64_t expected[4][3] = {
        {0, 0xa'0000, 1}, {0x10'0000, 0x10'0000, 1}, {0x20'0000, 0x1'0000, 2}, {0x21'0000, 0xfdf'0000, 1}};
    for (std::size_t i = 0; i < 4; ++i) {
        const auto entry = p.e820_table[i]; // packed
        CHECK(std::uint64_t{entry.addr} == expected[i][0]);
        CHECK(std::uint64_t{entry.size} == expected[i][1]);
        CHECK(std::uint64_t{entry.type} == expected[i][2]);
    }
    const bytes line = m.page(1);
    CHECK(std::string{reinterpret_cast<const char*>(line.data())} == "console=ttyS0 quiet");
    CHECK(line[20] == std::byte{0xa5}); // nothing behind the terminator
}

TEST_CASE("no ACPI pointer is known unless it is told", "[x86][linux32_entry]")
{
    parameter_memory m;
    REQUIRE(linux32_entry{image_of("")}.write_parameters(m.memory, handed.map, m.pages, scratch_page()));
    CHECK(+m.params().acpi_rsdp_addr == 0);
    CHECK(+m.params().hdr.ramdisk_size == 0);
}

TEST_CASE("a command line of every length ends with its terminator", "[x86][linux32_entry]")
{
    for (const std::size_t size : {0u, 1u, 255u, 2047u, 4094u, 4095u}) {
        parameter_memory m;
        const std::string text(size, 'x');
        REQUIRE(linux32_entry{image_of(text)}.write_parameters(m.memory, handed.map, m.pages, scratch_page()));
        const bytes line = m.page(1);
        CAPTURE(size);
        CHECK(std::count(line.begin(), line.end(), std::byte{'x'}) == static_cast<std::ptrdiff_t>(size));
        CHECK(line[size] == std::byte{0});
        if (size < 4095)
            CHECK(line[size + 1] == std::byte{0xa5});
    }
}

TEST_CASE("parameters that Linux could not find are refused", "[x86][linux32_entry]")
{
    const linux32_entry contract{image_of("quiet")};
    const auto said = [&](phys_addr parameters, phys_addr line) {
        byte_memory none{0};
        const phys_addr pages[] = {parameters, line};
        return fault_of(contract.write_parameters(none, handed.map, pages, scratch_page()));
    };
    const auto bad = [](std::uint64_t at) { return fault{fault_code::bad_range, stage::staging, at}; };
    CHECK(said(0x1'0000'0000_pa, 0x1000_pa) == bad(0x1'0000'0000));
    CHECK(said(0xffff'f001_pa, 0x1000_pa) == bad(0xffff'f001));
    CHECK(said(0x1000_pa, 0x1'0000'0000_pa) == bad(0x1'0000'0000));
}

TEST_CASE("a memory map that does not fit is a fault, and nothing is written", "[x86][linux32_entry]")
{
    std::vector<lobos::region> storage(200);
    lobos::region_map map{storage};
    for (std::uint64_t i = 0; i < 129; ++i)
        REQUIRE(map.add(phys_range::of(phys_addr::at(i * 0x2000), 4_KiB), region_kind::usable));
    byte_memory none{0};
    const phys_addr pages[] = {0x1000_pa, 0x2000_pa};
    CHECK(fault_of(linux32_entry{image_of("quiet")}.write_parameters(none, map, pages, scratch_page())) ==
        fault{fault_code::too_many_regions, stage::staging, 129});
}

TEST_CASE("what has no room in the page is in pages of its own", "[x86][linux32_entry]")
{
    std::vector<lobos::region> storage(200);
    lobos::region_map map{storage};
    for (std::uint64_t i = 0; i < 130; ++i)
        REQUIRE(map.add(phys_range::of(phys_addr::at(i * 0x2000), 4_KiB), region_kind::usable));
    const bytes seed(32, std::byte{0x5e});
    byte_memory memory{0x3000, 0x30'0000_pa};
    const phys_addr pages[] = {0x30'1000_pa, 0x30'2000_pa, 0x30'0000_pa};
    const linux32_entry contract{image_of("quiet"), {.rng_seed = seed, .regions = 130}};
    REQUIRE(contract.parameter_pages() == 3);
    REQUIRE(fault_of(contract.write_parameters(memory, map, pages, scratch_page())) == no_fault);
    const auto p = lobos::load<::boot_params>(memory, 0x30'1000_pa);
    CHECK(+p.e820_entries == 128);
    CHECK(std::uint64_t{p.hdr.setup_data} == 0x30'0000);
    const auto first = lobos::load<::setup_data>(memory, 0x30'0000_pa);
    CHECK(std::uint32_t{first.type} == 9);
    CHECK(std::uint32_t{first.len} == 32);
    REQUIRE(std::uint64_t{first.next} == 0x30'0030);
    const auto second = lobos::load<::setup_data>(memory, 0x30'0030_pa);
    CHECK(std::uint32_t{second.type} == 1);
    CHECK(std::uint32_t{second.len} == 40);
    CHECK(std::uint64_t{second.next} == 0);
    CHECK(lobos::load<std::uint64_t>(memory, 0x30'0040_pa) == 128 * 0x2000);
    CHECK(lobos::load<std::uint64_t>(memory, 0x30'0054_pa) == 129 * 0x2000);
}

TEST_CASE("a page of setup data is below 4 GiB like the others", "[x86][linux32_entry]")
{
    byte_memory none{0};
    const bytes seed(32);
    const phys_addr pages[] = {0x1000_pa, 0x2000_pa, 0x1'0000'0000_pa};
    CHECK(fault_of(linux32_entry{image_of("quiet"), {.rng_seed = seed}}.write_parameters(
              none, handed.map, pages, scratch_page())) == fault{fault_code::bad_range, stage::staging, 0x1'0000'0000});
}

TEST_CASE("a kernel above 4 GiB has no 32-bit entry", "[x86][linux32_entry]")
{
    byte_memory none{0};
    auto image = image_of("quiet");
    image.entry = 0x1'0000'0000_pa;
    const phys_addr pages[] = {0x1000_pa, 0x2000_pa};
    CHECK(fault_of(linux32_entry{image}.write_parameters(none, handed.map, pages, scratch_page())) ==
        fault{fault_code::bad_range, stage::staging, 0x1'0000'0000});
}
