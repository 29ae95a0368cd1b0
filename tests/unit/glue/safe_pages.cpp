// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/glue/safe_pages.hpp>
#include <lobos/sim/x86_kernel.hpp>

#include <tests/catch.hpp>
#include <tests/contract.hpp>

using namespace lobos;
using namespace lobos::literals;

namespace {

using pages = safe_pages<sim::x86_kernel>;

/// The ascending kernel's first free page.
constexpr phys_addr first_free = sim::x86_kernel::own_memory.last() + 1_bytes;
constexpr phys_range everywhere = phys_range::between(0_pa, phys_addr::at(~std::uint64_t{0}));

} // namespace

TEST_CASE("pages are taken around the image, and all of them go back")
{
    sim::x86_kernel k{2_MiB};
    std::vector<safe_region> storage(4);
    const segment image[] = {{.destination = phys_range::of(first_free, 12_KiB), .what = content::scratch},
        {.destination = phys_range::of(first_free + 16_KiB, 1_bytes), .what = content::zero},
        {.destination = phys_range::of(first_free + 12_KiB, 4_KiB), .what = content::padding}};
    {
        pages p{k};
        p.keep_list_in(storage);
        // Three are the image's; the fourth is padding, where a safe page may lie; of the fifth it wants one byte.
        CHECK(p.take(safe_role::code, image, everywhere) == first_free + 12_KiB);
        CHECK(p.take(safe_role::stack, image, everywhere) == first_free + 20_KiB);
        CHECK(k.pages_taken() == 6);
        p.give_back_rejected();
        CHECK(k.pages_taken() == 2);
        CHECK(p.regions().size() == 2);

        pages other{std::move(p)};
        CHECK(k.pages_taken() == 2);
        CHECK(other.regions().size() == 2);
    }
    CHECK(k.pages_taken() == 0);
    CHECK(k.wrong_frees == 0);
}

TEST_CASE("a page in the middle of which the image begins is the image's")
{
    sim::x86_kernel k{2_MiB};
    std::vector<safe_region> storage(4);
    pages p{k};
    p.keep_list_in(storage);
    const segment image[] = {{.destination = phys_range::of(first_free + 0xfff_bytes, 1_bytes)}};
    CHECK(p.take(safe_role::code, image, everywhere) == first_free + 4_KiB);
}

TEST_CASE("a page that a file is kept in is nobody's to give")
{
    sim::x86_kernel k{2_MiB};
    std::vector<safe_region> storage(4);
    pages p{k};
    p.keep_list_in(storage);
    const phys_addr file = first_free + 0x1801_bytes;
    const segment image[] = {{.destination = phys_range::of(first_free, 1_bytes)},
        {.destination = phys_range::of(file, 1_bytes), .what = content::kept}};
    store(k.memory(), first_free + 4_KiB, std::uint64_t{0x1234});
    CHECK(p.take(safe_role::code, image, everywhere).error() ==
        fault{fault_code::source_in_safe_region, stage::staging, file.raw()});
    CHECK(load<std::uint64_t>(k.memory(), first_free + 4_KiB) == 0x1234);
    CHECK(k.pages_taken() == 1); // the one that is put aside
    p.give_back_rejected();
    CHECK(k.pages_taken() == 0);
}

TEST_CASE("pages that follow each other are one region, and each goes back")
{
    sim::x86_kernel k{2_MiB};
    std::vector<safe_region> storage(4);
    {
        pages p{k};
        p.keep_list_in(storage);
        for (int i = 0; i < 3; ++i)
            CHECK(p.take(safe_role::plan, {}, everywhere));
        CHECK(p.regions().size() == 1);
        CHECK(k.pages_taken() == 3);
    }
    CHECK(k.pages_taken() == 0);
    CHECK(k.wrong_frees == 0);
}

TEST_CASE("what was put aside has one owner too")
{
    sim::x86_kernel k{2_MiB};
    std::vector<safe_region> storage(4);
    const segment image[] = {{.destination = phys_range::of(first_free, 8_KiB)}};
    {
        pages p{k};
        p.keep_list_in(storage);
        CHECK(p.take(safe_role::code, image, everywhere) == first_free + 8_KiB);
        const pages other{std::move(p)};
        CHECK(k.pages_taken() == 3);
    }
    CHECK(k.pages_taken() == 0);
    CHECK(k.wrong_frees == 0);
}

TEST_CASE("what was put aside goes back even when nothing else was found")
{
    sim::x86_kernel k{2_MiB};
    std::vector<safe_region> storage(4);
    const segment everything[] = {{.destination = phys_range::of(0_pa, 2_MiB), .what = content::scratch}};
    {
        pages p{k};
        p.keep_list_in(storage);
        CHECK(
            p.take(safe_role::code, everything, everywhere).error() == fault{fault_code::no_memory, stage::staging, 0});
        CHECK(k.pages_taken() > 100);
    }
    CHECK(k.pages_taken() == 0);
    CHECK(k.wrong_frees == 0);
}

TEST_CASE("a list that is full keeps no page it cannot name")
{
    sim::x86_kernel k{2_MiB};
    std::vector<safe_region> storage(1);
    pages p{k};
    p.keep_list_in(storage);
    CHECK(p.take(safe_role::plan, {}, everywhere));
    CHECK(p.take(safe_role::plan, {}, everywhere)); // the neighbour, of the same role: one region
    CHECK(p.take(safe_role::code, {}, everywhere).error() == fault{fault_code::no_space, stage::staging, 2});
    CHECK(k.pages_taken() == 2);
    CHECK_THROWS_AS(p.keep_list_in(storage), contract_error);
}

TEST_CASE("surviving regions are listed, and not given back")
{
    sim::x86_kernel k{2_MiB};
    const phys_range log = phys_range::of(phys_addr::at(0x18'0000), 8_KiB);
    REQUIRE(k.map().add(log, region_kind::surviving));
    REQUIRE(k.map().add(phys_range::of(0_pa, 4_KiB), region_kind::reserved));
    std::vector<safe_region> storage(2);
    {
        pages p{k};
        p.keep_list_in(storage);
        CHECK(p.take(safe_role::code, {}, everywhere));
        REQUIRE(p.add_surviving(k.memory_map()));
        REQUIRE(p.regions().size() == 2);
        CHECK(p.regions()[1] == safe_region{log, safe_role::log});
        CHECK(p.add_surviving(k.memory_map()).error().code == fault_code::no_space);
    }
    CHECK(k.pages_taken() == 0);
    CHECK(k.wrong_frees == 0);
}

TEST_CASE("a page out of reach is put aside like one that the image wants")
{
    sim::x86_kernel k{2_MiB};
    std::vector<safe_region> storage(4);
    {
        pages p{k};
        p.keep_list_in(storage);
        const phys_range reach = phys_range::of(first_free + 8_KiB, 8_KiB);
        CHECK(p.take(safe_role::code, {}, reach) == first_free + 8_KiB);
        CHECK(k.pages_taken() == 3);
        CHECK(p.take(safe_role::stack, {}, reach) == first_free + 12_KiB);
        CHECK(p.take(safe_role::frame, {}, reach).error() == fault{fault_code::no_memory, stage::staging, 0});
        p.give_back_rejected();
        CHECK(k.pages_taken() == 2);
    }
    CHECK(k.pages_taken() == 0);
    CHECK(k.wrong_frees == 0);
}
