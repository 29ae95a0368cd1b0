// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/plan/step_chain.hpp>

#include <vector>

#include <tests/catch.hpp>
#include <tests/support/byte_memory.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

/// Memory in which every byte is somebody's, and pages in no order.
struct chained {
    byte_memory memory{0x1'0000};
    std::vector<phys_addr> left{0x2000_pa, 0xe000_pa, 0x6000_pa}; // the last comes first
    step_chain chain{8_KiB};

    chained() { memory.write(0_pa, bytes(0x1'0000, std::byte{0xa5})); }

    result<void> add(const overlay_step& step)
    {
        return chain.add(memory, step, [&]() -> result<phys_addr> {
            if (left.empty())
                return refuse(fault_code::no_memory, stage::staging, 0x77);
            const phys_addr page = left.back();
            left.pop_back();
            return page;
        });
    }
    std::uint64_t word(std::uint64_t at) { return load<std::uint64_t>(memory, phys_addr::at(at)); }
};

} // namespace

TEST_CASE("a chain without steps has no page", "[plan][step_chain]")
{
    const step_chain none{4_KiB};
    CHECK(none.first() == ~std::uint64_t{0});
    CHECK(none.pages() == 0);
    CHECK(none.steps() == 0);
}

TEST_CASE("steps lie behind the page's head, and the rest of the page is known", "[plan][step_chain]")
{
    chained c;
    REQUIRE(c.add({0x5000, 0x1000, 0x123}));
    REQUIRE(c.add(overlay_step::fill(0x9000, 8)));
    CHECK(c.chain.first() == 0x6000);
    CHECK(c.chain.pages() == 1);
    CHECK(c.chain.steps() == 2);
    const std::uint64_t wanted[] = {~std::uint64_t{0}, 2, 0x4000, 0x1000, 0x123, 0, 0x9000, 8};
    for (std::size_t i = 0; i < std::size(wanted); ++i) {
        CAPTURE(i);
        CHECK(c.word(0x6000 + 8 * i) == wanted[i]);
    }
    for (std::uint64_t at = 0x6000 + sizeof wanted; at < 0x8000; at += 8)
        REQUIRE(c.word(at) == 0);
    CHECK(c.word(0x5ff8) == 0xa5a5'a5a5'a5a5'a5a5);
    CHECK(c.word(0x8000) == 0xa5a5'a5a5'a5a5'a5a5);
}

TEST_CASE("a full page leads to the next", "[plan][step_chain]")
{
    chained c;
    for (std::uint64_t i = 0; i < 341; ++i)
        REQUIRE(c.add({i + 0x10'0000, i, i + 1}));
    CHECK(c.chain.pages() == 3);
    CHECK(c.chain.steps() == 341);
    CHECK(c.word(0x6000) == 0xe000);
    CHECK(c.word(0x6008) == 170);
    CHECK(c.word(0xe000) == 0x2000);
    CHECK(c.word(0xe008) == 170);
    CHECK(c.word(0xe010 + 8) == 170); // the first step's source
    CHECK(c.word(0x2000) == ~std::uint64_t{0});
    CHECK(c.word(0x2008) == 1);
    CHECK(c.word(0x2010 + 16) == 341); // its size
}

TEST_CASE("without a page the chain is as it was", "[plan][step_chain]")
{
    chained c;
    c.left = {0x4000_pa};
    for (std::uint64_t i = 0; i < 170; ++i)
        REQUIRE(c.add({i + 0x10'0000, i, 1}));
    CHECK(fault_of(c.add({1, 2, 3})) == fault{fault_code::no_memory, stage::staging, 0x77});
    CHECK(c.chain.steps() == 170);
    CHECK(c.word(0x4000) == ~std::uint64_t{0});
    CHECK(c.word(0x4008) == 170);
}
