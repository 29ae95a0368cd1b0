// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/paging/direct_range.hpp>

#include <lobos/alpha/paging_8k.hpp>
#include <lobos/x86/paging_4level.hpp>

#include <tests/catch.hpp>

using namespace lobos;

namespace {

constexpr direct_range some{0xffff'0000_va, phys_range::between(0x2000_pa, 0x5fff_pa)};

struct direct_mode {
    static constexpr direct_range direct = some;
};
struct mode {
    static constexpr phys_range physical_reach = phys_range::between(0x1000_pa, 0xffff_pa);
};

} // namespace

TEST_CASE("a direct range is memory in a row, and nothing beside it", "[paging][direct_range]")
{
    STATIC_REQUIRE(some.virtual_range() == virt_range::between(0xffff'0000_va, 0xffff'3fff_va));
    for (const std::uint64_t offset : {0x0u, 0x1u, 0x1fffu, 0x3fffu}) {
        CAPTURE(offset);
        const phys_addr p = 0x2000_pa + byte_count::of(offset);
        const virt_addr v = 0xffff'0000_va + byte_count::of(offset);
        CHECK(some.physical_of(v) == p);
        CHECK(some.virtual_of(p) == v);
    }
    for (const std::uint64_t v : {0xfffe'ffffu, 0xffff'4000u, 0x2000u})
        CHECK_FALSE(some.physical_of(virt_addr::at(v)));
    for (const std::uint64_t p : {0x1fffu, 0x6000u, 0xffff'0000u})
        CHECK_FALSE(some.virtual_of(phys_addr::at(p)));
}

TEST_CASE("a direct range may end with the address space", "[paging][direct_range]")
{
    constexpr direct_range last{virt_addr::at(~std::uint64_t{0xfff}), phys_range::between(0x1000_pa, 0x1fff_pa)};
    CHECK(last.physical_of(virt_addr::at(~std::uint64_t{0})) == 0x1fff_pa);
    CHECK_FALSE(last.physical_of(virt_addr::at(~std::uint64_t{0x1000})));
}

TEST_CASE("an overlay works in the direct range, or where its tables map memory one to one", "[paging][direct_range]")
{
    STATIC_REQUIRE(has_direct_range<direct_mode> && !has_direct_range<mode>);
    CHECK(overlay_reach<direct_mode>() == some.physical);
    CHECK(overlay_reach<mode>() == mode::physical_reach);
    CHECK(overlay_address<direct_mode>(0x2010_pa) == 0xffff'0010_va);
    CHECK(overlay_address<mode>(0x2010_pa) == 0x2010_va);
    STATIC_REQUIRE(has_direct_range<alpha::paging_8k> && !has_direct_range<x86::paging_4level>);
    CHECK(overlay_address<alpha::paging_8k>(0x101'0000_pa) == virt_addr::at(0xffff'fc00'0101'0000));
}
