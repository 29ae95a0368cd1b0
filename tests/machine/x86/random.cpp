// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/machine/random.hpp>

#include <set>
#include <vector>

#include <tests/catch.hpp>

using namespace lobos;

TEST_CASE("what is random fills all that was asked for and nothing else, or is zeros", "[machine][random]")
{
    constexpr std::byte guard{0xa5};
    const bool has = (machine::cpuid(1).ecx >> 30 & 1) != 0;
    for (std::size_t size = 0; size <= 40; ++size) {
        CAPTURE(size);
        std::set<std::vector<std::byte>> seen;
        std::vector<bool> changed(size);
        for (int i = 0; i < 64; ++i) {
            std::vector<std::byte> out(size + 2, guard);
            CHECK(machine::random_bytes(std::span{out}.subspan(1, size)) == has);
            CHECK((out.front() == guard && out.back() == guard));
            for (std::size_t b = 0; b < size; ++b)
                changed[b] = changed[b] || out[b + 1] != guard;
            seen.insert(out);
        }
        for (std::size_t b = 0; b < size; ++b)
            CHECK(changed[b]); // 64 random bytes that are all the guard's are 1 in 2^512
        if (has && size >= 16)
            CHECK(seen.size() == 64);
        if (!has)
            CHECK(seen.size() == 1);
    }
}
