// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// What is written for every Linux is tested with linux32_entry and boot_params; rule 11 in linux_rules.
#include <lobos/x86/vmlinux_entry.hpp>

#include <lobos/x86/paging_mode.hpp>

#include <tests/support/told_linux.hpp>

using namespace lobos;
using namespace lobos::test;
using lobos::x86::vmlinux32_entry;
using lobos::x86::vmlinux64_entry;

namespace {

template <class Contract, class... Paging>
constexpr bool leaves_any = (entry_contract<Contract, x86::port<Paging>> && ...);
template <class Contract>
constexpr bool leaves_all =
    leaves_any<Contract, x86::paging_4k, x86::paging_4m, x86::paging_pae, x86::paging_4level, x86::paging_5level>;
static_assert(leaves_all<vmlinux32_entry> && leaves_all<vmlinux64_entry>);

} // namespace

TEST_CASE("a 32-bit vmlinux is entered unpaged at its physical entry", "[x86][vmlinux_entry]")
{
    told_linux<vmlinux32_entry> told;
    const vmlinux32_entry contract = told.contract();
    STATIC_REQUIRE(vmlinux32_entry::state == x86::entry_state::flat_32);
    STATIC_REQUIRE_FALSE(is_entered_paged<vmlinux32_entry>);
    CHECK(contract.entry() == 0x100'0010_va);
    CHECK(contract.virtual_layout().empty());
    CHECK(contract.registers(told.pages).si == 0x30'0000);
    CHECK(contract.registers(told.pages).bx == 0);
    const ::boot_params p = told.params();
    CHECK(+p.hdr.header == 0x53726448);
    CHECK(+p.hdr.code32_start == 0x100'0010);
    CHECK(std::uint64_t{p.hdr.pref_address} == 0x100'0000);
    CHECK(+p.hdr.init_size == 0x4000);
}

TEST_CASE("a 64-bit vmlinux is entered in 64-bit mode, all of it mapped one to one", "[x86][vmlinux_entry]")
{
    told_linux<vmlinux64_entry> told;
    const vmlinux64_entry contract = told.contract();
    STATIC_REQUIRE(vmlinux64_entry::state == x86::entry_state::long_64);
    STATIC_REQUIRE(std::is_same_v<entry_paging<vmlinux64_entry, x86::paging_5level>, x86::paging_4level>);
    STATIC_REQUIRE(finds_parameters_mapped<vmlinux64_entry>);
    CHECK(contract.entry() == 0x100'0010_va);
    REQUIRE(contract.virtual_layout().size() == 2);
    CHECK(contract.virtual_layout()[1].virtual_range == virt_range::of(0x100'0000_va, 0x4000_bytes));
    CHECK(contract.virtual_layout()[1].physical == 0x100'0000_pa);
    CHECK(contract.parameter_reach() == below_4g);
    CHECK(contract.registers(told.pages).si == 0x30'0000);
    CHECK(+told.params().hdr.code32_start == 0);
}
