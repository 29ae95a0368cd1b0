// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/pvh_entry.hpp>

#include <lobos/x86/paging_4level.hpp>

#include <tests/catch.hpp>
#include <tests/support/note_builder.hpp>
#include <tests/support/told.hpp>

using namespace lobos;
using namespace lobos::test;
using x86::pvh_entry;

namespace {

static_assert(entry_contract<pvh_entry, x86::port<x86::paging_4m>>);
static_assert(entry_contract<pvh_entry, x86::port<x86::paging_4level>>);
static_assert(pvh_entry::state == x86::entry_state::flat_32 && !is_entered_paged<pvh_entry>);

} // namespace

TEST_CASE("a PVH image leaves unpaged, from the entry of its note", "[x86][pvh_entry]")
{
    told_exec t{pvh_kernel<elf64>()};
    const auto image = load_pvh(t.file);
    REQUIRE(image);
    const auto contract = pvh_entry::make(*image, t.modules, "quiet 1", 0xf'0010_pa);
    REQUIRE(contract);
    CHECK(contract->entry() == 0x10'0100_va);
    CHECK(contract->parameter_pages() == 1);
    CHECK(contract->virtual_layout().empty());
    CHECK(contract->segments().size() == 5);
    const phys_addr pages[] = {0xffff'f000_pa};
    const auto r = contract->registers(pages);
    CHECK(r.ax == 0);
    CHECK(r.bx == 0xffff'f000);
    CHECK(r.si == 0);
    REQUIRE(t.write(*contract) == no_fault);
    CHECK(t.asked(*contract) == no_fault);
    CHECK(t.at(told_exec::page + 32, 8) == 0xf'0010);
}

TEST_CASE("a PVH image without modules and root pointer", "[x86][pvh_entry]")
{
    told_exec t{pvh_kernel<elf32>()};
    const auto contract = pvh_entry::make(*load_pvh(t.file), {}, "");
    REQUIRE(t.write(*contract) == no_fault);
    CHECK(t.asked(*contract) == no_fault);
    CHECK(t.at(told_exec::page + 12, 4) == 0);
    CHECK(t.at(told_exec::page + 16, 8) == 0);
    CHECK(t.at(told_exec::page + 32, 8) == 0);
}

TEST_CASE("what a PVH image cannot be told", "[x86][pvh_entry]")
{
    told_exec t{pvh_kernel<elf64>()};
    const auto image = *load_pvh(t.file);
    t.modules[1].range = phys_range::of(0x40'0010_pa, 1_bytes);
    CHECK(fault_of(pvh_entry::make(image, t.modules, "")) == fault{fault_code::misaligned, stage::loading, 0x40'0010});
    const std::string long_line(4096, 'x');
    CHECK(t.write(*pvh_entry::make(image, {}, long_line)).code == fault_code::no_space);
    CHECK(t.write(*pvh_entry::make(image, {}, "", 0_pa)) == fault{fault_code::bad_range, stage::staging, 0});
}
