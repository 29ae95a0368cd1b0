// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Runs that wait for each other in a circle.

#include <optional>

#include <lobos/core/range.hpp>
#include <lobos/plan/run_table.hpp>

namespace lobos::detail {

/// A circle of runs each of which reads one other and is read by one.
struct circle {
    static constexpr std::uint32_t seen = 0x8000'0000; ///< a mark in `readers`, of fewer than run_table::most_runs

    std::size_t smallest;
    bool equal = true; ///< each reads one destination, the whole of it
    bool tight = true; ///< cutting a run in two does not open it
};

/// The circle that run `start` is in, if it is in one. Marks the runs that it goes past as seen. Precondition: nothing
/// can go, and readers are counted.
template <class Table> std::optional<circle> find_circle(Table& table, std::size_t start)
{
    circle found{start};
    phys_range read_from = phys_range::between(phys_addr{}, phys_addr{});
    std::optional<phys_range> first_reads;
    std::size_t at = start;
    do {
        if (table[at].readers != 1) // or seen before
            return std::nullopt;
        table[at].readers |= circle::seen;
        const auto next = table.only_read_by(at);
        if (!next)
            return std::nullopt;
        const planner_run& r = table[at];
        const planner_run& n = table[*next];
        const std::uint64_t low = std::max(r.source, n.destination);
        const std::uint64_t high = std::min(r.source_last(), n.destination_last());
        const auto reads = phys_range::between(
            phys_addr::at(r.destination + (low - r.source)), phys_addr::at(r.destination + (high - r.source)));
        // A run can be cut between the bytes that wait and those that are waited for, unless it reads itself.
        const bool reads_itself = r.source <= r.destination_last() && r.destination <= r.source_last();
        if (at != start)
            found.tight = found.tight && (reads_itself || reads.overlaps(read_from));
        else if (!reads_itself)
            first_reads = reads;
        read_from = phys_range::between(phys_addr::at(low), phys_addr::at(high));
        found.equal = found.equal && n.destination == r.source && n.size == r.size;
        if (r.size < table[found.smallest].size)
            found.smallest = at;
        at = *next;
    } while (at != start);
    found.tight = found.tight && (!first_reads || first_reads->overlaps(read_from));
    return found;
}

} // namespace lobos::detail
