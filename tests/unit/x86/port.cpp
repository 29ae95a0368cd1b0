// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/port.hpp>

#include <vector>

#include <tests/support/departing.hpp>

using namespace lobos;
using namespace lobos::test;
using namespace lobos::x86;

namespace {

using kernel_32 = port<paging_4m>;
using kernel_64 = port<paging_4level>;

/// Contracts are looked at by their types only.
template <entry_state State, class Paging> struct enters {
    static constexpr entry_state state = State;
    using paging = Paging;
};
using linux_32 = enters<entry_state::flat_32, void>;
using itself = enters<entry_state::as_running, same_paging>;
using linux_64 = enters<entry_state::long_64, paging_4level>;

/// What is put into tables, in the order in which it is.
struct seen {
    std::vector<mapping> all;
    result<void> operator()(const mapping& m)
    {
        all.push_back(m);
        return {};
    }
    bool maps(std::uint64_t v, std::uint64_t p) const
    {
        for (const mapping& m : all)
            if (m.virtual_range.contains(virt_addr::at(v)))
                return m.physical.raw() + (v - m.virtual_range.first().raw()) == p;
        return false;
    }
};

exec_plan plan_with_pages()
{
    exec_plan plan{};
    plan.code = 0x1'0000_pa;
    plan.stack = 0x1'1000_pa;
    plan.frame = 0x1'2000_pa;
    plan.mode_pages = {0x1'3000_pa, 0x1'4000_pa};
    return plan;
}

} // namespace

TEST_CASE("the way follows from contract, copy and the running kernel's mode", "[x86][port]")
{
    CHECK_FALSE(kernel_32::route_of<itself>(copy_regime::paged)->hub);
    CHECK(kernel_32::route_of<linux_32>(copy_regime::paged)->hub);
    CHECK(kernel_32::route_of<linux_64>(copy_regime::paged)->up);
    CHECK_FALSE(kernel_64::route_of<linux_64>(copy_regime::paged)->hub);
    CHECK(port<paging_5level>::route_of<linux_64>(copy_regime::paged)->up); // one level less
    CHECK(kernel_64::route_of<linux_64>(copy_regime::unpaged)->up);
    CHECK(kernel_64::route_of<linux_64>(copy_regime::unpaged)->from_long);
    CHECK(fault_of(kernel_64::route_of<itself>(copy_regime::unpaged)) ==
        fault{fault_code::unsupported, stage::mapping, static_cast<std::uint64_t>(entry_state::as_running)});
}

TEST_CASE("pages of modes are counted, and what 32-bit code reads lies where it can", "[x86][port]")
{
    const auto stay = *kernel_64::route_of<itself>(copy_regime::paged);
    const auto down = *kernel_64::route_of<linux_32>(copy_regime::paged);
    const auto over = *kernel_64::route_of<linux_64>(copy_regime::paged);
    const auto round = *kernel_64::route_of<linux_64>(copy_regime::unpaged);
    CHECK(kernel_64::mode_pages(stay) == 0);
    CHECK(kernel_64::mode_pages(down) == 1);
    CHECK(kernel_64::mode_pages(over) == 1);
    CHECK(kernel_64::mode_pages(round) == 2);
    CHECK(kernel_64::machinery_reach(stay) == paging_4level::physical_reach);
    CHECK(kernel_64::machinery_reach(over) == paging_4level::physical_reach);
    CHECK(kernel_64::machinery_reach(down) == below_4g);
    CHECK(kernel_64::machinery_reach(round) == below_4g);
    CHECK_FALSE(kernel_64::has_entry_tables(over));
    CHECK(kernel_64::has_entry_tables(round));
}

TEST_CASE("the tables of modes are mapped where the change of mode finds them", "[x86][port]")
{
    const exec_plan plan = plan_with_pages();
    const auto mapped = [&]<class Port>(Port, const route& way) {
        seen put;
        REQUIRE(Port::map_for_copy(way, plan, put));
        return put;
    };
    // From 64-bit tables down: the hub's address means the copy's own until paging ends.
    CHECK(mapped(kernel_64{}, *kernel_64::route_of<linux_32>(copy_regime::paged)).maps(0x1'3008, 0x1'2008));
    // In one width, the same page.
    CHECK(mapped(kernel_32{}, *kernel_32::route_of<linux_32>(copy_regime::paged)).maps(0x1'3008, 0x1'3008));
    CHECK(mapped(kernel_64{}, *kernel_64::route_of<linux_64>(copy_regime::paged)).maps(0x1'3008, 0x1'3008));
    CHECK(mapped(kernel_64{}, *kernel_64::route_of<itself>(copy_regime::paged)).all.empty());

    seen entry;
    const auto up = *kernel_32::route_of<linux_64>(copy_regime::paged);
    REQUIRE(kernel_32::map_for_entry<paging_4level>(up, plan, entry));
    for (const std::uint64_t page : {0x1'0000u, 0x1'1000u, 0x1'2000u})
        CHECK(entry.maps(page, page));
    CHECK(entry.maps(0x1'3000, 0x1'4000)); // from the hub's address on, the 64-bit image's
    seen same_width;
    const auto up_32 = *kernel_32::route_of<enters<entry_state::paged_32, paging_pae>>(copy_regime::unpaged);
    REQUIRE(kernel_32::map_for_entry<paging_pae>(up_32, plan, same_width));
    CHECK(same_width.maps(0x1'3000, 0x1'3000));
}

TEST_CASE("what cannot be mapped is the caller's fault, and is passed on", "[x86][port]")
{
    const exec_plan plan = plan_with_pages();
    int left = 0;
    const auto full = [&](const mapping&) -> result<void> {
        if (left-- == 0)
            return refuse(fault_code::no_memory, stage::mapping, 0);
        return {};
    };
    const auto up = *kernel_32::route_of<linux_64>(copy_regime::paged);
    auto put = full;
    CHECK(fault_of(kernel_32::map_for_copy(up, plan, put)).code == fault_code::no_memory);
    for (int first = 0; first < 4; ++first) {
        left = first;
        CHECK(fault_of(kernel_32::map_for_entry<paging_4level>(up, plan, put)).code == fault_code::no_memory);
    }
}

TEST_CASE("the departure begins behind the head of the code page, at the kernel's address", "[x86][port]")
{
    const departure_aliases where{0xc071'0000_va, 0xc073'0000_va, 0xc075'0000_va};
    CHECK(kernel_32::departure(where) == 0xc071'0020_va);
}

TEST_CASE("a kernel of another mode of paging is refused by the port", "[x86][port]")
{
    machine_facts facts{};
    facts.cr0 = 0x8000'0001;
    facts.cr4 = 0x10;
    CHECK(kernel_32::accepts(facts));
    CHECK_FALSE(kernel_64::accepts(facts));
    machine_facts moved = facts;
    moved.table_root = 0x5000_pa;
    CHECK(kernel_32::unchanged(facts, facts));
    CHECK(fault_of(kernel_32::unchanged(facts, moved)).code == fault_code::table_root_changed);
}
