// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What every byte of a window of memory is to become, drawn at random: rotations, permutations, moves onto themselves,
/// zeros and holes over each other, with their edges around those of words and pages rather than anywhere. Bytes are
/// tokens of which no two are alike, so that nothing is right by chance.

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include <tests/support/random_numbers.hpp>

namespace lobos::test {

/// Byte `i` of the window is token `i + first_token` before the first step; what a fill leaves is token `zero`.
using token = std::uint32_t;
inline constexpr token zero = 0;
inline constexpr token first_token = 1;
inline constexpr token untouched = ~token{0}; ///< in a wanted byte: not the image's

/// What each byte of a window is to become.
class wanted_map {
public:
    wanted_map(std::uint32_t window, random_numbers& random) : random_{random}, wanted_(window, untouched)
    {
        if (random.chance(4)) // all of it in place, to be changed here and there
            std::iota(wanted_.begin(), wanted_.end(), first_token);
        const std::uint32_t changes = random.chance(8) ? 1 + random.below(3) : 1 + random.below(40);
        for (std::uint32_t i = 0; i < changes; ++i)
            change();
    }
    const std::vector<token>& tokens() const { return wanted_; }

private:
    static constexpr std::uint32_t page = 4096;
    static constexpr std::uint32_t sizes[] = {1, 1, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 63, 64, 65, 511, 512, 513,
        page - 1, page, page + 1, 2 * page - 1, 2 * page, 2 * page + 1};
    static constexpr std::uint32_t nudges[] = {0, 0, 0, 1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65};

    std::uint32_t window() const { return static_cast<std::uint32_t>(wanted_.size()); }
    std::uint32_t any_size(std::uint32_t most)
    {
        return std::min(random_.chance(12) ? random_.one_of(sizes) : 1 + random_.below(most), most);
    }
    /// Near an edge of a page, mostly, with room for `size` behind it.
    std::uint32_t any_place(std::uint32_t size)
    {
        const std::uint32_t edge = random_.below(window() / page + 1) * page;
        const std::uint32_t nudge = random_.one_of(nudges);
        const std::uint32_t near = random_.chance(8) || nudge > edge ? edge + nudge : edge - nudge;
        return std::min(random_.chance(13) ? near : random_.below(window()), window() - size);
    }
    void take(std::uint32_t to, std::uint32_t from) { wanted_[to] = from + first_token; }

    /// Puts the pieces of [at, at + size) back in the order in which `order` lists them.
    void arrange(std::uint32_t at, std::uint32_t size, std::uint32_t longest)
    {
        std::vector<std::uint32_t> starts;
        for (std::uint32_t done = 0; done < size; done += random_.chance(12) ? longest : 1 + random_.below(longest))
            starts.push_back(done);
        std::vector<std::uint32_t> order(starts.size());
        std::iota(order.begin(), order.end(), 0u);
        const std::uint32_t kind = random_.below(4);
        if (kind == 0)
            std::reverse(order.begin(), order.end());
        else if (kind == 1) // neighbours change places
            for (std::size_t i = 1; i < order.size(); i += 2)
                std::swap(order[i - 1], order[i]);
        else if (kind == 2) // like cards
            for (std::size_t i = 0; i < order.size(); ++i)
                order[i] = static_cast<std::uint32_t>((i % 2 == 0 ? 0 : (order.size() + 1) / 2) + i / 2);
        else
            for (std::uint32_t i = 1; i < order.size(); ++i)
                std::swap(order[i], order[random_.below(i + 1)]);
        std::uint32_t to = at;
        for (const std::uint32_t piece : order) {
            const std::uint32_t end = piece + 1 < starts.size() ? starts[piece + 1] : size;
            for (std::uint32_t from = starts[piece]; from < end; ++from)
                take(to++, at + from);
        }
    }

    void change()
    {
        const std::uint32_t size = random_.chance(3) ? window() : any_size(window());
        const std::uint32_t at = any_place(size);
        const auto for_each = [&](auto set) {
            for (std::uint32_t i = 0; i < size; ++i)
                set(at + i, i);
        };
        switch (random_.below(10)) {
        case 0: arrange(at, size, std::max(any_size(size), size / 4000 + 1)); break;
        case 1: { // a rotation
            const std::uint32_t by = any_size(size);
            for_each([&](std::uint32_t to, std::uint32_t i) { take(to, at + (i + by) % size); });
            break;
        }
        case 2: { // a move, onto itself if it is not far
            const std::uint32_t from = random_.chance(12)
                ? std::min(random_.chance(8) ? at + random_.one_of(sizes) : at - std::min(at, random_.one_of(sizes)),
                      window() - size)
                : any_place(size);
            for_each([&](std::uint32_t to, std::uint32_t i) { take(to, from + i); });
            break;
        }
        case 3: for_each([&](std::uint32_t to, std::uint32_t) { wanted_[to] = zero; }); break;
        case 4: for_each([&](std::uint32_t to, std::uint32_t) { wanted_[to] = untouched; }); break;
        case 5: for_each([&](std::uint32_t to, std::uint32_t) { take(to, to); }); break;
        case 6: { // two places change places
            const std::uint32_t other = any_place(size);
            for_each([&](std::uint32_t to, std::uint32_t i) {
                take(to, other + i);
                take(other + i, to);
            });
            break;
        }
        case 7: { // holes at equal distances
            const std::uint32_t every = 2 + any_size(size);
            for_each([&](std::uint32_t to, std::uint32_t i) {
                if (i % every == 0)
                    wanted_[to] = untouched;
            });
            break;
        }
        case 8: { // zeros, then what follows them if they have the address that stands for zeros, the last of all
            const std::uint32_t zeros = (size + 1) / 2;
            for_each([&](std::uint32_t to, std::uint32_t i) {
                if (i < zeros)
                    wanted_[to] = zero;
                else
                    take(to, i - 1);
            });
            break;
        }
        default: { // pieces from anywhere
            const std::uint32_t piece = std::max(any_size(size), size / 2000 + 1);
            std::uint32_t from = 0;
            for_each([&](std::uint32_t to, std::uint32_t i) {
                if (i % piece == 0)
                    from = any_place(piece);
                take(to, from + i % piece);
            });
        }
        }
    }

    random_numbers& random_;
    std::vector<token> wanted_;
};

/// Circles of bytes that are wanted in each other's places: of each, a byte at least has to be saved elsewhere.
inline std::size_t circles_of_bytes(const std::vector<token>& wanted)
{
    // 0: not looked at; else the walk that came past.
    std::vector<std::uint32_t> walked(wanted.size());
    std::size_t circles = 0;
    for (std::uint32_t start = 0; start < wanted.size(); ++start) {
        std::uint32_t at = start;
        while (walked[at] == 0 && wanted[at] != untouched && wanted[at] != zero) {
            walked[at] = start + 1;
            at = wanted[at] - first_token;
        }
        const bool circle = wanted[at] != untouched && wanted[at] != zero && walked[at] == start + 1;
        circles += circle && wanted[at] - first_token != at ? 1u : 0u;
    }
    return circles;
}

} // namespace lobos::test
