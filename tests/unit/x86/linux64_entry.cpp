// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// What is written for every Linux is tested with linux32_entry and boot_params; rule 11 in linux_rules.
#include <lobos/x86/linux64_entry.hpp>

#include <lobos/x86/paging_mode.hpp>

#include <tests/support/scratch_page.hpp>
#include <tests/support/told_linux.hpp>

using namespace lobos;
using namespace lobos::test;
using lobos::x86::linux64_entry;

namespace {

template <class... Paging> constexpr bool leaves_any = (entry_contract<linux64_entry, x86::port<Paging>> && ...);
static_assert(leaves_any<x86::paging_4k, x86::paging_4m, x86::paging_pae, x86::paging_4level, x86::paging_5level>);

linux_told high_kernel()
{
    linux_told what{.pages = 0x1'3000'0000_pa};
    what.kernel.xloadflags = 3;
    return what;
}

fault refused_page(std::uint64_t at)
{
    return {fault_code::bad_range, stage::staging, at};
}

} // namespace

TEST_CASE("Linux is entered in 64-bit mode on four levels, behind its first 512 bytes", "[x86][linux64_entry]")
{
    const told_linux<linux64_entry> told;
    const linux64_entry contract = told.contract();
    STATIC_REQUIRE(linux64_entry::state == x86::entry_state::long_64);
    STATIC_REQUIRE(is_entered_paged<linux64_entry>);
    STATIC_REQUIRE(std::is_same_v<entry_paging<linux64_entry, x86::paging_5level>, x86::paging_4level>);
    STATIC_REQUIRE(finds_parameters_mapped<linux64_entry>);
    CHECK(contract.entry() == 0x100'0200_va);
    CHECK(contract.segments().size() == told.image.segments.size());
    CHECK(contract.parameter_pages() == 2);
}

TEST_CASE("all of init_size is mapped one to one, and low memory", "[x86][linux64_entry]")
{
    const told_linux<linux64_entry> told;
    linux64_entry contract = told.contract();
    REQUIRE(contract.virtual_layout().size() == 2);
    const virtual_segment& low = contract.virtual_layout()[0];
    CHECK(low.virtual_range == virt_range::of(0_va, 640_KiB));
    CHECK(low.physical == 0_pa);
    CHECK(low.writable);
    const virtual_segment& kernel = contract.virtual_layout()[1];
    CHECK(kernel.virtual_range == virt_range::of(0x100'0000_va, 8_MiB));
    CHECK(kernel.physical == 0x100'0000_pa);
    CHECK(kernel.writable);
    const linux64_entry copy = contract; // which looks at its own
    CHECK(copy.virtual_layout().data() != contract.virtual_layout().data());
}

TEST_CASE("rsi is the boot parameters, wherever they lie", "[x86][linux64_entry]")
{
    const told_linux<linux64_entry> told;
    const phys_addr pages[] = {0x12'3456'7000_pa, 0x1000_pa};
    const auto r = told.contract().registers(pages);
    CHECK(r.si == 0x12'3456'7000);
    CHECK(r.ax == 0);
    CHECK(r.bx == 0);
}

TEST_CASE("the parameters say where everything is", "[x86][linux64_entry]")
{
    told_linux<linux64_entry> told{{.rsdp = 0xf'5a10_pa}};
    const ::boot_params p = told.params();
    CHECK(+p.hdr.header == 0x53726448);
    CHECK(+p.hdr.cmd_line_ptr == 0x30'1000);
    CHECK(+p.hdr.ramdisk_size == 5000);
    CHECK(+p.hdr.code32_start == 0x100'0000);
    CHECK(+p.acpi_rsdp_addr == 0xf'5a10);
    CHECK(p.e820_entries == 10);
}

TEST_CASE("a kernel that can lie above 4 GiB has its parameters there", "[x86][linux64_entry]")
{
    told_linux<linux64_entry> told{high_kernel()};
    CHECK(told.contract().entry() == virt_addr::at(told.image.kernel.first().raw() + 0x200));
    CHECK(told.contract().parameter_reach() == x86::paging_4level::physical_reach);
    const ::boot_params p = told.params();
    CHECK(+p.hdr.code32_start == 0);
    CHECK(+p.hdr.cmd_line_ptr == 0x3000'1000);
    CHECK(+p.ext_cmd_line_ptr == 1);
    CHECK(+p.ext_ramdisk_image == told.image.initrd->first().raw() >> 32);
    CHECK(+p.ext_ramdisk_image == 1);
    CHECK(+p.hdr.ramdisk_image == (told.image.initrd->first().raw() & 0xffff'ffff));
}

TEST_CASE("one that cannot does not", "[x86][linux64_entry]")
{
    const told_linux<linux64_entry> told;
    const linux64_entry contract = told.contract();
    CHECK(contract.parameter_reach() == below_4g);
    byte_memory none{0};
    const auto said = [&](phys_addr parameters, phys_addr line) {
        const phys_addr pages[] = {parameters, line};
        return fault_of(contract.write_parameters(none, told.handed.map, pages, scratch_page()));
    };
    CHECK(said(0x1'0000'0000_pa, 0x1000_pa) == refused_page(0x1'0000'0000));
    CHECK(said(0x1000_pa, 0xffff'f001_pa) == refused_page(0xffff'f001));
}

TEST_CASE("no 64-bit entry, and nothing is written", "[x86][linux64_entry]")
{
    told_linux<linux64_entry> told;
    told.image.entry_64.reset();
    byte_memory none{0};
    CHECK(fault_of(told.contract().write_parameters(none, told.handed.map, told.pages, scratch_page())) ==
        fault{fault_code::unsupported, stage::staging, 0x236});
    CHECK(told.contract().entry().raw() == no_entry.raw());
}
