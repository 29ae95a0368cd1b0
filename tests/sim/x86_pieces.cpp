// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/sim/x86_pieces.hpp>

#include <algorithm>
#include <set>

#include <tests/catch.hpp>

using namespace lobos;

TEST_CASE("an instruction is found in one place of one piece, of 32-bit or of 64-bit code")
{
    std::set<sim::x86_pieces::instruction_bytes> seen;
    std::size_t all = 0;
    for (const bool is_64 : {false, true}) {
        const auto code = sim::x86_pieces::code(is_64);
        for (std::size_t i = 0; i < x86::pieces; ++i) {
            const auto p = static_cast<x86::piece>(i);
            if (p == x86::piece::copy_32 || (is_64 && !sim::x86_pieces::is_native(p) && p != x86::piece::switch_long))
                continue;
            for (std::size_t at = 0; at + 1 < code[p].size(); ++at, ++all)
                seen.insert({code[p][at], code[p][at + 1]});
        }
    }
    CHECK(seen.size() == all);
}

TEST_CASE("a machine has the pieces of the ways that it offers")
{
    using enum x86::piece;
    const auto code_32 = sim::x86_pieces::code(false);
    const auto code_64 = sim::x86_pieces::code(true);
    for (std::size_t i = 0; i < x86::pieces; ++i) {
        const auto p = static_cast<x86::piece>(i);
        CHECK(code_32[p].empty() == (p == switch_long));
        CHECK_FALSE(code_64[p].empty());
        CHECK(std::ranges::equal(code_32[p], code_64[p]) == !(sim::x86_pieces::is_native(p) || p == switch_long));
    }
    // The loop for the hub is the one that a 32-bit kernel has anyway.
    CHECK(std::ranges::equal(code_32[copy], code_64[copy_32]));
    CHECK(std::ranges::equal(code_32[copy], code_32[copy_32]));
    for (const auto c : sim::x86_pieces::runnable())
        CHECK(sim::x86_pieces::size(c) != 0);
}
