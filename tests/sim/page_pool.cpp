// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/sim/page_pool.hpp>

#include <tests/catch.hpp>

using namespace lobos;
using namespace lobos::literals;

namespace {

constexpr auto some = phys_range::of(0x10'0000_pa, 1_MiB);

} // namespace

TEST_CASE("pages are given once, shuffled by the seed, and counted")
{
    sim::page_pool ascending{some, 4_KiB, 0};
    sim::page_pool shuffled{some, 4_KiB, 5};
    std::set<std::uint64_t> given;
    bool same_order = true;
    std::uint64_t expected = some.first().raw();
    for (;;) {
        const auto page = shuffled.take();
        const auto other = ascending.take();
        CHECK(page.has_value() == other.has_value());
        if (!page)
            break;
        CHECK(other == phys_addr::at(expected));
        expected += 0x1000;
        same_order = same_order && page == other;
        CHECK(given.insert(page->raw()).second);
        CHECK(some.contains(phys_range::of(*page, 4_KiB)));
        CHECK(is_aligned(*page, 4_KiB));
    }
    CHECK_FALSE(same_order);
    CHECK(given.size() == 256);
    CHECK(shuffled.size() == 256);
    CHECK(shuffled.taken() == given);
    for (const std::uint64_t page : given)
        CHECK(shuffled.give_back(phys_addr::at(page)));
    CHECK(shuffled.taken().empty());
    CHECK_FALSE(shuffled.give_back(phys_addr::at(*given.begin())));
}

TEST_CASE("a page is given by its address, if nobody has it")
{
    sim::page_pool pool{some, 4_KiB, 5};
    const phys_addr wanted = 0x18'0000_pa;
    CHECK(pool.take(wanted));
    CHECK_FALSE(pool.take(wanted));
    CHECK_FALSE(pool.take(0x20'0000_pa));
    CHECK_FALSE(pool.take(wanted + 1_bytes));
    CHECK(pool.taken().size() == 1);
    std::set<std::uint64_t> given{wanted.raw()};
    while (const auto page = pool.take()) {
        CHECK(given.insert(page->raw()).second);
        CHECK_FALSE(pool.take(*page));
    }
    CHECK(given.size() == pool.size());
    CHECK(pool.give_back(wanted));
    CHECK(pool.take() == wanted);
    for (const std::uint64_t page : given)
        CHECK(pool.give_back(phys_addr::at(page)));
    CHECK(pool.take(wanted));
}

TEST_CASE("of what is no whole page there is none")
{
    sim::page_pool pool{phys_range::between(0x1001_pa, 0x3ffe_pa), 4_KiB, 0};
    CHECK(pool.take() == 0x2000_pa);
    CHECK_FALSE(pool.take());
}
