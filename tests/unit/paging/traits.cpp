// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/paging/traits.hpp>

#include <tests/support/paging_modes.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

struct without_granule : example_paging {
private:
    using example_paging::granule;
};
struct of_signed_words : example_paging {
    using word = std::int16_t;
};
struct without_levels : example_paging {
    static constexpr unsigned levels = 0;
};
static_assert(!paging_traits<int> && !paging_traits<without_granule> && !paging_traits<of_signed_words> &&
    !paging_traits<without_levels>);

/// Calls `f` with each level as a constant.
template <unsigned Levels, class F> void for_each_level(F f)
{
    [&]<unsigned... L>(std::integer_sequence<unsigned, L...>) { (f(std::integral_constant<unsigned, L>{}), ...); }(
        std::make_integer_sequence<unsigned, Levels>{});
}

/// What is kept of a leaf, in a mode that can forbid execution and in one that cannot.
template <class Entry> Entry kept(Entry e, lobos::access rights, bool executable = true)
{
    if constexpr (requires { e.executable(); })
        return e.kept(rights, executable);
    else
        return e.kept(rights);
}

} // namespace

TEMPLATE_LIST_TEST_CASE("the sizes of a mode fit together", "[paging][traits]", paging_modes)
{
    using mode = manual<TestType>;
    STATIC_REQUIRE(paging_traits<TestType>);
    STATIC_REQUIRE(TestType::levels == mode::levels);
    CHECK(TestType::table_size == byte_count::of(mode::table_size));
    CHECK(TestType::physical_reach == phys_range::of(0_pa, byte_count::of(std::uint64_t{1} << mode::physical_bits)));
    bool granule_is_a_page = false;
    unsigned covered = TestType::template shift<0>;
    CHECK(std::uint64_t{1} << covered == mode::smallest_page);
    for_each_level<TestType::levels>([&](auto level) {
        CHECK(span_of<TestType, level> == byte_count::of(mode::span[level]));
        CHECK(TestType::template shift<level> == covered);
        const std::uint64_t used = level + 1 == mode::levels ? root_bytes<TestType>() : TestType::table_size.raw();
        CHECK(sizeof(typename TestType::word) << TestType::template index_bits<level> == used);
        covered += TestType::template index_bits<level>;
        granule_is_a_page |= span_of<TestType, level> == TestType::granule && TestType::template may_be_leaf<level>;
        CHECK(TestType::template may_be_leaf<level> == (level < mode::page_levels));
    });
    CHECK(TestType::largest_new_leaf == mode::largest_made);
    STATIC_REQUIRE(TestType::template may_be_leaf<TestType::largest_new_leaf>);
    STATIC_REQUIRE(span_of<TestType, TestType::largest_new_leaf> >= TestType::granule);
    CHECK(covered == static_cast<unsigned>(std::bit_width(mode::addresses - 1)));
    CHECK(granule_is_a_page);
    STATIC_REQUIRE(TestType::template may_be_leaf<0>);
}

TEMPLATE_LIST_TEST_CASE(
    "a mode reaches every address that the manual names, and no other", "[paging][traits]", paging_modes)
{
    using mode = manual<TestType>;
    constexpr std::uint64_t end = mode::addresses;
    constexpr std::uint64_t hole = mode::first_hole;
    const auto reached = [](std::uint64_t first, std::uint64_t last) {
        return reaches<TestType>(virt_range::between(virt_addr::at(first), virt_addr::at(last)));
    };
    CHECK(reached(0, 0));
    CHECK(reached(0, hole - 1));
    CHECK_FALSE(reached(hole - 1, hole));
    CHECK_FALSE(reached(hole, hole));
    CHECK(reached(mode::address_of(end - 1), mode::address_of(end - 1)));
    CHECK_FALSE(reached(0, mode::address_of(end - 1) + (hole == end)));
    CHECK_FALSE(reached(end, end));
    if (hole == end) {
        CHECK_FALSE(reached(~std::uint64_t{0}, ~std::uint64_t{0}));
        return;
    }
    const std::uint64_t again = mode::address_of(hole);
    CHECK(reached(again, mode::address_of(end - 1)));
    CHECK_FALSE(reached(again - 1, again - 1));
    CHECK_FALSE(reached(again - 1, again));
}

TEMPLATE_LIST_TEST_CASE("an entry that was made says what was asked for", "[paging][traits]", paging_modes)
{
    using mode = manual<TestType>;
    constexpr std::uint64_t end = std::uint64_t{1} << mode::physical_bits;
    for_each_level<TestType::levels>([](auto level) {
        using entry = TestType::template entry<level>;
        if constexpr (TestType::template may_be_leaf<level>)
            for (const lobos::access rights : {lobos::access::read_only, lobos::access::read_write})
                for (const auto place : {std::uint64_t{0}, mode::span[level], end - mode::span[level]}) {
                    CAPTURE(+level, place);
                    const entry e = entry::leaf(phys_addr::at(place), rights);
                    const std::uint64_t writable = rights == lobos::access::read_write ? mode::writable : 0;
                    CHECK(e.bits ==
                        (in_entry<TestType>(place) | mode::present | writable | mode::page[level] |
                            mode::preset[level]));
                    CHECK(e.present());
                    CHECK(e.valid());
                    CHECK(e.is_leaf());
                    CHECK(e.target() == phys_addr::at(place));
                    CHECK(e.rights() == rights);
                    CHECK(kept(e, rights).bits == e.bits);
                }
        if constexpr (level > 0) {
            const auto place = end - mode::table_size;
            const entry e = entry::table(phys_addr::at(place));
            CHECK(e.present());
            CHECK(e.valid());
            CHECK_FALSE(e.is_leaf());
            CHECK(e.target() == phys_addr::at(place));
            CHECK(e.rights() == lobos::access::read_write);
            CHECK((e.bits & (mode::page[level] | mode::no_execute)) == 0);
        }
        CHECK_FALSE(entry{}.present());
    });
}

TEMPLATE_LIST_TEST_CASE(
    "what is kept of an entry is its place, its memory type, and the rights", "[paging][traits]", paging_modes)
{
    using mode = manual<TestType>;
    for_each_level<mode::page_levels>([](auto level) {
        using entry = TestType::template entry<level>;
        const std::uint64_t place = 5 * mode::span[level];
        for (const std::uint64_t writable : {std::uint64_t{0}, std::uint64_t{mode::writable}})
            for (const lobos::access rights : {lobos::access::read_only, lobos::access::read_write})
                for (const bool executable : {true, false}) {
                    const std::uint64_t asked = (rights == lobos::access::read_write ? mode::writable : 0) |
                        (executable ? 0 : mode::no_execute);
                    const std::uint64_t base =
                        in_entry<TestType>(place) | mode::present | mode::page[level] | mode::memory_type[level];
                    const entry e{static_cast<TestType::word>(base | mode::noted[level] | writable)};
                    CHECK(kept(e, rights, executable).bits == (base | mode::preset[level] | asked));
                }
    });
}
