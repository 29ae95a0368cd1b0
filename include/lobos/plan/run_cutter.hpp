// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Cutting runs that wait for each other, until they wait in circles of equal ones. What is cut off is noted behind the
/// runs that are there, where the round that cuts does not look for it; the next one will.

#include <algorithm>
#include <array>

#include <lobos/plan/run_table.hpp>

namespace lobos::detail {

template <class Table> class run_cutter {
public:
    /// `page` is the bounce page's size.
    run_cutter(Table& table, byte_count page) : table_{table}, page_{page}, count_{table.size()} {}

    /// Cuts every run that reads across the edge of a destination. A cut of one run shows in those that read from it
    /// and come later in the round, so rounds go up and down by turns.
    void cut_at_edges(bool downwards)
    {
        for (std::size_t n = 0; n < count_; ++n)
            cut(downwards ? count_ - 1 - n : n);
    }

    /// All that is left moves by multiples of some power of two, and begins and ends at few places within one. Cut at
    /// these places everywhere, each piece reads exactly one other. Cuts nothing when that would make crumbs.
    void cut_to_grid()
    {
        std::uint64_t distances = page_.raw();
        for (const planner_run& r : table_.runs())
            distances |= r.fills() ? 0 : r.source - r.destination;
        const std::uint64_t grain = distances & (0 - distances);
        std::array<std::uint64_t, 9> places{}; // the last one is room for one too many
        std::size_t known = 0;
        for (const planner_run& r : table_.runs())
            for (const std::uint64_t edge : {r.destination, r.destination + r.size}) {
                const auto end = places.begin() + static_cast<std::ptrdiff_t>(known);
                if (known < places.size() && std::find(places.begin(), end, edge & (grain - 1)) == end)
                    places[known++] = edge & (grain - 1);
            }
        constexpr std::uint64_t smallest_grain = 64;
        if (grain < smallest_grain || known == places.size())
            return;
        // A heap sort does not recurse.
        std::make_heap(places.begin(), places.begin() + static_cast<std::ptrdiff_t>(known));
        std::sort_heap(places.begin(), places.begin() + static_cast<std::ptrdiff_t>(known));
        for (std::size_t i = 0, last = count_; i < last && table_.is_whole(); ++i) {
            const planner_run whole = table_[i];
            std::size_t piece = i;
            std::uint64_t begin = 0;
            for (std::uint64_t cell = (whole.destination & (grain - 1)); begin < whole.size;) {
                // The next place behind the beginning of the piece, in this cell of the grid or the next.
                std::size_t next = 0;
                while (next < known && places[next] <= cell)
                    ++next;
                const std::uint64_t step = next < known ? places[next] - cell : grain - cell + places[0];
                if (step >= whole.size - begin)
                    break;
                cut_off(whole, begin + step, piece, begin);
                cell = (cell + step) & (grain - 1);
            }
        }
    }

private:
    /// Cuts a run that reads across the edge of a destination.
    ///
    /// That is all the cutting it takes: when nothing is left to cut and nothing can go, each run reads from at most
    /// one other and is read by at least one, so by exactly one; none is larger than the one it reads from, and round
    /// the circle that makes them equal.
    ///
    /// A run that reads itself is cut all the way, because each cut is an edge that it reads across.
    void cut(std::size_t i)
    {
        const planner_run whole = table_[i];
        if (whole.fills())
            return;
        std::size_t piece = i;
        std::uint64_t begin = 0; // of the piece, in the whole
        const auto is_inside = [&](std::uint64_t edge) {
            return edge > whole.source + begin && edge <= whole.source_last();
        };
        const auto cut_at = [&](std::uint64_t edge) { cut_off(whole, edge - whole.source, piece, begin); };
        const bool goes_down = whole.source > whole.destination;
        const std::uint64_t distance = goes_down ? whole.source - whole.destination : whole.destination - whole.source;
        std::size_t j = table_.first_ending_at_or_after(whole.source);
        for (; j < count_ && table_.is_whole() && table_[j].destination <= whole.source_last(); ++j) {
            table_.visit();
            if (j == i)
                continue;
            const std::uint64_t after = table_[j].destination_last() + 1; // 0 when that is the last address
            for (const std::uint64_t edge : {table_[j].destination, after}) {
                if (!is_inside(edge))
                    continue;
                if (distance >= whole.size) {
                    cut_at(edge);
                    continue;
                }
                std::uint64_t first = edge;
                while (goes_down && first - whole.source > distance)
                    first -= distance;
                const std::uint64_t last = goes_down ? edge : whole.source_last();
                for (cut_at(first); table_.is_whole() && last - first >= distance; cut_at(first))
                    first += distance;
                return; // another edge is for another round
            }
        }
    }

    void cut_off(const planner_run& whole, std::uint64_t offset, std::size_t& piece, std::uint64_t& begin)
    {
        const std::size_t next = table_.size();
        const std::uint64_t source = whole.fills() ? whole.source : whole.source + offset;
        table_.add_anywhere({whole.destination + offset, source, whole.size - offset, 0, 0});
        if (table_.is_whole())
            table_[piece].size = offset - begin;
        piece = next;
        begin = offset;
    }

    Table& table_;
    byte_count page_;
    std::size_t count_; ///< runs that were there when the round began
};

} // namespace lobos::detail
