// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What a region map is, said as simply as it can be: everything that was ever added, and of all that covers a byte the
/// strongest kind counts. Shares no code with core/region_map.hpp.

#include <algorithm>
#include <optional>
#include <vector>

#include <lobos/core/region_map.hpp>

#include <tests/fuzz/fuzz.hpp>

namespace lobos::fuzz {

/// A range as plain numbers, both ends included.
struct piece {
    std::uint64_t first, last;
    bool holds(std::uint64_t a) const { return first <= a && a <= last; }
    bool holds(piece p) const { return first <= p.first && p.last <= last; }
    bool meets(piece p) const { return first <= p.last && p.first <= last; }
};
inline piece plain(phys_range r)
{
    return {r.first().raw(), r.last().raw()};
}

class naive_map {
public:
    void add(phys_range r, region_kind kind) { added_.push_back({plain(r), kind}); }
    void forget_last() { added_.pop_back(); }

    std::optional<region_kind> at(std::uint64_t address) const
    {
        std::optional<region_kind> kind;
        for (const claim& c : added_)
            if (c.where.holds(address) && (!kind || *kind < c.kind))
                kind = c.kind;
        return kind;
    }

    /// Sorted, disjoint, merged.
    std::vector<region> regions() const
    {
        std::vector<std::uint64_t> edges; // where something may change
        for (const claim& c : added_) {
            edges.push_back(c.where.first);
            if (c.where.last != top)
                edges.push_back(c.where.last + 1);
        }
        std::sort(edges.begin(), edges.end());
        edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
        std::vector<region> merged;
        for (std::size_t i = 0; i < edges.size(); ++i) {
            const std::uint64_t last = i + 1 < edges.size() ? edges[i + 1] - 1 : top;
            const auto kind = at(edges[i]);
            if (!kind)
                continue;
            auto first = phys_addr::at(edges[i]);
            if (!merged.empty() && merged.back().kind == *kind && merged.back().range.last().raw() == edges[i] - 1) {
                first = merged.back().range.first();
                merged.pop_back();
            }
            merged.push_back({phys_range::between(first, phys_addr::at(last)), *kind});
        }
        return merged;
    }

    std::vector<piece> usable() const
    {
        std::vector<piece> pieces;
        for (const region& r : regions())
            if (r.kind == region_kind::usable)
                pieces.push_back(plain(r.range));
        return pieces;
    }

    /// The lowest or the highest hole: of all places that touch an edge on one side, one that is free.
    std::optional<std::uint64_t> hole(
        bool lowest, wide size, wide alignment, piece within, const std::vector<piece>& taken) const
    {
        std::optional<std::uint64_t> best;
        const auto consider = [&](piece free, wide at) {
            if (at > top || at + (size - 1) > free.last || at < free.first)
                return;
            const piece here{static_cast<std::uint64_t>(at), static_cast<std::uint64_t>(at + (size - 1))};
            if (std::ranges::any_of(taken, [&](piece t) { return t.meets(here); }))
                return;
            if (!best || (lowest ? here.first < *best : here.first > *best))
                best = here.first;
        };
        const auto up = [&](wide a) { return (a + (alignment - 1)) / alignment * alignment; };
        const auto before = [&](piece free, wide end) { // the highest that ends in front of `end`
            if (end >= size)
                consider(free, (end - size) / alignment * alignment);
        };
        for (const piece& u : usable()) {
            if (!u.meets(within))
                continue;
            const piece free{std::max(u.first, within.first), std::min(u.last, within.last)};
            lowest ? consider(free, up(free.first)) : before(free, wide{free.last} + 1);
            for (const piece& t : taken)
                lowest ? consider(free, up(wide{t.last} + 1)) : before(free, t.first);
        }
        return best;
    }

    static constexpr std::uint64_t top = std::numeric_limits<std::uint64_t>::max();

private:
    struct claim {
        piece where;
        region_kind kind;
    };
    std::vector<claim> added_;
};

/// Compares all that `map` holds with what it should, and looks for the ends of its regions.
inline void must_agree(const region_map& map, const naive_map& wanted)
{
    must(std::ranges::equal(map.regions(), wanted.regions()), "the map is not what was added");
    for (const region& r : map.regions())
        for (const std::uint64_t a : {r.range.first().raw(), r.range.last().raw()})
            for (const std::uint64_t near : {a, a == 0 ? a : a - 1, a == naive_map::top ? a : a + 1}) {
                const region* found = map.find(phys_addr::at(near));
                const auto kind = wanted.at(near);
                must((found != nullptr) == kind.has_value(), "find knows what it should not, or the other way round");
                must(!found || (found->kind == *kind && found->range.contains(phys_addr::at(near))),
                    "find gives another region");
            }
}

} // namespace lobos::fuzz
