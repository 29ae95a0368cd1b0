// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// What a port says of its machine is possible, and agrees with itself. That walk, clone and the manual agree on its
// mode of paging, the shared tests of tests/unit/paging show, for each mode that has its line in
// tests/support/paging_modes.hpp.

#include <tests/conformance/ports.hpp>
#include <tests/conformance/world.hpp>
#include <tests/support/paging_modes.hpp>

using namespace lobos;
using namespace lobos::conformance;

namespace {

template <class Mode, class List> inline constexpr bool is_in = false;
template <class Mode, class... Modes>
inline constexpr bool is_in<Mode, std::tuple<Modes...>> = (std::is_same_v<Mode, Modes> || ...);

} // namespace

TEMPLATE_LIST_TEST_CASE("a port's pages hold what is put into them", "", ports)
{
    using port = kernel_of<TestType>::port;
    using paging = port::paging;
    STATIC_REQUIRE(is_in<paging, test::paging_modes>);
    STATIC_REQUIRE(is_power_of_two(port::page_size));
    STATIC_REQUIRE(port::page_size.raw() >= sizeof(plan_page));
    STATIC_REQUIRE(is_power_of_two(paging::table_size) && paging::table_size <= port::page_size);
    STATIC_REQUIRE(is_power_of_two(paging::granule) && paging::granule >= port::page_size);
    STATIC_REQUIRE(is_power_of_two(TestType::store) && TestType::store.raw() <= sizeof(std::uint64_t));
    STATIC_REQUIRE(is_power_of_two(TestType::edges) && TestType::edges >= TestType::store);
    STATIC_REQUIRE(port::program_offset % alignof(overlay_program) == 0);
    STATIC_REQUIRE(port::program_offset + sizeof(overlay_program) <= port::page_size.raw());
}

TEMPLATE_LIST_TEST_CASE("a departure begins in the page of its code, and is told of a place in its frame", "", ports)
{
    using port = kernel_of<TestType>::port;
    CAPTURE(TestType::name);
    world<TestType> w{0};
    for (const std::size_t n : {0u, 5u, 20u}) {
        const auto address = [&](std::size_t page) {
            const auto at = w.machine.virtual_address(w.at(page));
            REQUIRE(at);
            return *at;
        };
        const departure_aliases where{.code = address(n), .frame = address(n + 1), .stack = address(n + 2)};
        CHECK(virt_range::of(where.code, port::page_size).contains(port::departure(where)));
        CHECK(virt_range::of(where.frame, port::page_size).contains(port::frame_argument(where)));
    }
}

TEMPLATE_LIST_TEST_CASE("the machinery lies where the overlay reaches", "", ports)
{
    using port = kernel_of<TestType>::port;
    using image = TestType::image;
    CAPTURE(TestType::name);
    const auto way = port::template route_of<image>(copy_regime::paged);
    REQUIRE(way);
    const phys_range reach = port::machinery_reach(*way);
    CHECK(overlay_reach<typename port::paging>().contains(reach));
    CHECK(reach.contains(world<TestType>::own_memory));
    CHECK(port::mode_pages(*way) <= exec_plan{}.mode_pages.size());
    const auto unpaged = port::template route_of<image>(copy_regime::unpaged);
    if (!unpaged)
        CHECK(unpaged.error().code == fault_code::unsupported);
}

TEMPLATE_LIST_TEST_CASE("a running kernel can be left, and stays the same until something changes", "", ports)
{
    using port = kernel_of<TestType>::port;
    CAPTURE(TestType::name);
    world<TestType> w{0};
    const auto facts = w.machine.processor().facts();
    CHECK(port::accepts(facts));
    CHECK(port::unchanged(facts, facts));
    CHECK(w.own_memory.contains(facts.table_root));
    TestType::change_tables(w.machine);
    const auto changed = port::unchanged(facts, w.machine.processor().facts());
    REQUIRE_FALSE(changed);
    CHECK(changed.error().code == fault_code::table_root_changed);
    CHECK(changed.error().in == stage::committing);
}
