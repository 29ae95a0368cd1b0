// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/sim/x86_tlb.hpp>

#include <tests/catch.hpp>

using lobos::sim::x86_tlb;

namespace {

x86_tlb::page page(std::uint64_t physical, bool global = false, unsigned size_bits = 12)
{
    return {physical, size_bits, true, false, true, false, global};
}
bool knows(const x86_tlb& tlb, unsigned context, std::uint64_t linear, std::uint64_t physical)
{
    const auto* found = tlb.find(context, linear);
    return found && found->physical == physical;
}

} // namespace

TEST_CASE("a page is known to its own context, and a global one to all")
{
    x86_tlb tlb;
    tlb.remember(1, 0x5123, page(0x9000));
    tlb.remember(2, 0x5fff, page(0xa000));
    tlb.remember(2, 0x7000, page(0xb000, true));
    CHECK(knows(tlb, 1, 0x5000, 0x9000));
    CHECK(knows(tlb, 2, 0x5000, 0xa000));
    CHECK_FALSE(tlb.find(0, 0x5000));
    CHECK_FALSE(tlb.find(1, 0x6000));
    for (unsigned context = 0; context < 4; ++context)
        CHECK(knows(tlb, context, 0x7abc, 0xb000));
    CHECK_FALSE(tlb.find(0xfff, 0xffff'ffff'ffff'7000));
}

TEST_CASE("what is remembered anew takes the place of what was, global or not")
{
    x86_tlb tlb;
    tlb.remember(1, 0x5000, page(0x9000, true));
    tlb.remember(1, 0x5000, page(0xa000));
    CHECK(knows(tlb, 1, 0x5000, 0xa000));
    CHECK_FALSE(tlb.find(2, 0x5000));
    tlb.remember(1, 0x5000, page(0xc000, true));
    CHECK(knows(tlb, 1, 0x5000, 0xc000));
    CHECK(knows(tlb, 2, 0x5000, 0xc000));
}

TEST_CASE("a context is forgotten with its tables, without the global pages")
{
    x86_tlb tlb;
    for (const unsigned context : {0u, 1u, 0xfffu}) {
        tlb.remember(context, 0x5000, page(0x9000));
        tlb.remember_table(context, 0x5000, 21, {.physical = 0x1000});
    }
    tlb.remember(1, 0x7000, page(0xb000, true));
    tlb.forget(1);
    CHECK_FALSE(tlb.find(1, 0x5000));
    CHECK_FALSE(tlb.find_table(1, 0x5000, 21));
    CHECK(tlb.find(1, 0x7000));
    for (const unsigned context : {0u, 0xfffu}) {
        CHECK(tlb.find(context, 0x5000));
        CHECK(tlb.find_table(context, 0x5000, 21));
    }
    tlb.forget_global();
    CHECK_FALSE(tlb.find(1, 0x7000));
    CHECK(tlb.find(0, 0x5000));
    tlb.remember(1, 0x7000, page(0xb000, true));
    tlb.forget_all();
    CHECK_FALSE(tlb.find(1, 0x7000));
    CHECK_FALSE(tlb.find(0, 0x5000));
    CHECK_FALSE(tlb.find_table(0xfff, 0x5000, 21));
}

TEST_CASE("a page is forgotten whole, in its context and among the global ones")
{
    x86_tlb tlb;
    tlb.remember(1, 0x20'0000, page(0x60'0000, false, 21));
    tlb.remember(1, 0x3f'f000, page(0x7f'f000, false, 21));
    tlb.remember(1, 0x40'0000, page(0x80'0000));
    tlb.remember(2, 0x20'0000, page(0x90'0000, false, 21));
    tlb.remember(2, 0x21'0000, page(0xa1'0000, true, 21));
    tlb.remember_table(1, 0xffff'8000'0000'0000, 39, {.physical = 0x1000});
    tlb.remember_table(2, 0xffff'8000'0000'0000, 39, {.physical = 0x2000});
    tlb.forget_page(1, 0x2a'bcde);
    CHECK_FALSE(tlb.find(1, 0x20'0000));
    CHECK_FALSE(tlb.find(1, 0x3f'f000));
    CHECK_FALSE(tlb.find(2, 0x21'0000)); // global
    CHECK(tlb.find(1, 0x40'0000));
    CHECK(tlb.find(2, 0x20'0000));
    CHECK_FALSE(tlb.find_table(1, 0xffff'8000'0000'0000, 39)); // every table of the context
    CHECK(tlb.find_table(2, 0xffff'8000'0000'0000, 39));
}

TEST_CASE("tables of different levels are told apart, at either end of the addresses")
{
    x86_tlb tlb;
    const unsigned shifts[] = {21, 30, 39, 48};
    for (const std::uint64_t linear : {std::uint64_t{0}, 0xffff'ffff'ffff'f000})
        for (const unsigned shift : shifts)
            tlb.remember_table(7, linear, shift, {.physical = linear ^ shift});
    for (const std::uint64_t linear : {std::uint64_t{0}, 0xffff'ffff'ffff'f000})
        for (const unsigned shift : shifts) {
            const auto* found = tlb.find_table(7, linear, shift);
            REQUIRE(found);
            CHECK(found->physical == (linear ^ shift));
            CHECK_FALSE(tlb.find_table(7, linear ^ (std::uint64_t{1} << shift), shift));
            CHECK(tlb.find_table(7, linear ^ (std::uint64_t{1} << (shift - 1)), shift) == found);
        }
}
