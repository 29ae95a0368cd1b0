// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// splitmix64: one word of state, the same numbers everywhere, so that every case can be had again from its seed.

#include <cstdint>
#include <iterator>

namespace lobos::test {

class random_numbers {
public:
    explicit random_numbers(std::uint64_t seed) : state_{seed} {}
    std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>((next() >> 32) * n >> 32); }
    bool chance(std::uint32_t in_16) { return below(16) < in_16; }
    template <class List> auto one_of(const List& list)
    {
        return *(std::begin(list) + below(static_cast<std::uint32_t>(std::size(list))));
    }

private:
    std::uint64_t next()
    {
        std::uint64_t z = state_ += 0x9e37'79b9'7f4a'7c15;
        z = (z ^ z >> 30) * 0xbf58'476d'1ce4'e5b9;
        z = (z ^ z >> 27) * 0x94d0'49bb'1331'11eb;
        return z ^ z >> 31;
    }
    std::uint64_t state_;
};

} // namespace lobos::test
