// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/sim/alpha_tlb.hpp>

#include <tests/catch.hpp>

using lobos::sim::alpha_tlb;

namespace {

constexpr std::uint64_t every_space = 0x10;

bool knows(const alpha_tlb& tlb, std::uint64_t space, std::uint64_t address, std::uint64_t entry)
{
    const auto* found = tlb.find(space, address);
    return found && *found == entry;
}

} // namespace

TEST_CASE("an entry is its own address space's, or all of theirs")
{
    alpha_tlb tlb;
    tlb.remember(1, 0x4123, 0x9'0000'1101);
    tlb.remember(2, 0x5fff, 0xa'0000'1101);
    tlb.remember(2, 0xffff'fffe'0000'6000, 0xb'0000'1101 | every_space);
    CHECK(knows(tlb, 1, 0x5000, 0x9'0000'1101));
    CHECK(knows(tlb, 2, 0x4000, 0xa'0000'1101));
    CHECK_FALSE(tlb.find(0, 0x4000));
    CHECK_FALSE(tlb.find(1, 0x3fff));
    CHECK_FALSE(tlb.find(1, 0x6000));
    for (const std::uint64_t space : {0u, 1u, 2u, 0xffffu})
        CHECK(knows(tlb, space, 0xffff'fffe'0000'7fff, 0xb'0000'1111));
    CHECK_FALSE(tlb.find(2, 0xffff'fffd'0000'6000));
}

TEST_CASE("what is remembered anew takes the place of what was, for one space or for all")
{
    alpha_tlb tlb;
    tlb.remember(1, 0x4000, 0x9'0000'1101 | every_space);
    tlb.remember(1, 0x4000, 0xa'0000'1101);
    CHECK(knows(tlb, 1, 0x4000, 0xa'0000'1101));
    CHECK_FALSE(tlb.find(2, 0x4000));
    tlb.remember(1, 0x4000, 0xc'0000'1101 | every_space);
    CHECK(knows(tlb, 1, 0x4000, 0xc'0000'1111));
    CHECK(knows(tlb, 2, 0x4000, 0xc'0000'1111));
}

TEST_CASE("everything is forgotten, or all that is of some space, or a page")
{
    const auto full = [] {
        alpha_tlb tlb;
        tlb.remember(1, 0x4000, 0x9'0000'1101);
        tlb.remember(1, 0x6000, 0x9'0000'1101);
        tlb.remember(2, 0x4000, 0xa'0000'1101);
        tlb.remember(1, 0x8000, 0xb'0000'1101 | every_space);
        return tlb;
    };
    alpha_tlb tlb = full();
    tlb.forget_spaces();
    CHECK_FALSE(tlb.find(1, 0x4000));
    CHECK_FALSE(tlb.find(2, 0x4000));
    CHECK(tlb.find(2, 0x8000));
    tlb.forget_all();
    CHECK_FALSE(tlb.find(2, 0x8000));

    tlb = full();
    tlb.forget_page(1, 0x5fff);
    CHECK_FALSE(tlb.find(1, 0x4000));
    CHECK(tlb.find(1, 0x6000));
    CHECK(tlb.find(2, 0x4000));
    CHECK(tlb.find(1, 0x8000));
    tlb.forget_page(7, 0x8000);
    CHECK_FALSE(tlb.find(1, 0x8000));
}
