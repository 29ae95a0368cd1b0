// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/page.hpp>

#include <lobos/x86/paging_4k.hpp>
#include <lobos/x86/paging_4level.hpp>
#include <lobos/x86/paging_pae.hpp>

#include <tests/catch.hpp>

using namespace lobos;

TEST_CASE("a page is what the last level maps and every table but PAE's root takes", "[x86][page]")
{
    STATIC_REQUIRE(x86::page_size == 4_KiB);
    STATIC_REQUIRE(x86::page_size == x86::paging_4k::granule);
    STATIC_REQUIRE(x86::page_size == x86::paging_pae::granule);
    STATIC_REQUIRE(x86::page_size == x86::paging_4level::table_size);
}
