// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Every way in which a few pages can change places: partial injections of source pages to destination pages.

#include <array>
#include <cstddef>

namespace lobos::test::page_layout {

/// Page `source[d]` goes to page `d`, unless that is `nothing`.
inline constexpr std::size_t nothing = ~std::size_t{0};
template <std::size_t Most> using injection = std::array<std::size_t, Most>;

/// Calls `visit(source)` for every injection of `n` pages. `d` and `used` are 0, to begin with.
template <std::size_t Most, class Visit>
void every_injection(std::size_t n, std::size_t d, unsigned used, injection<Most>& source, Visit& visit)
{
    if (d == n) {
        visit(source);
        return;
    }
    source[d] = nothing;
    every_injection(n, d + 1, used, source, visit);
    for (std::size_t s = 0; s < n; ++s)
        if ((used >> s & 1) == 0) {
            source[d] = s;
            every_injection(n, d + 1, used | 1u << s, source, visit);
        }
}

/// How many circles of pages there are that wait for each other, by following each page from its smallest.
template <std::size_t Most> std::size_t circles(std::size_t n, const injection<Most>& source)
{
    std::size_t found = 0;
    for (std::size_t d = 0; d < n; ++d) {
        std::size_t at = source[d];
        while (at != nothing && at > d)
            at = source[at];
        found += at == d && source[d] != d ? 1u : 0u;
    }
    return found;
}

} // namespace lobos::test::page_layout
