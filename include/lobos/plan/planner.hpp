// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The planner: turns "these bytes must lie there" into steps in an order in which no step overwrites what a later one
/// still has to read. Sources are arbitrary extents and may lie on destinations, on each other's destinations, in
/// chains and in cycles; what lies in place already costs nothing.
///
/// A run is a piece of the image whose source and destination are both in one piece. Run A must go before run B when B
/// writes where A reads. Runs that nobody waits to read from go first and set others free. What is left then waits in
/// circles, or behind one. A circle in which each run reads one other, and is read by one, is broken through one bounce
/// page, if its runs are equal or one of them fits in that page. If there is none, runs that read across the edge of a
/// destination are cut there, which makes such circles, or shows that there was none. Where that goes on and on, as in
/// two large files that change places, everything is cut at once into pieces as fine as the distances it moves by.
///
/// Each run is looked up through an index of the destinations, in a few visits whatever the size of image and memory.
/// So time is O(R) in the number of runs for what page frames make of an image, and O(R log R) for any other; cutting
/// adds a bounded number of rounds. Storage is the caller's: nothing is allocated, nothing recurses.

#include <algorithm>
#include <cstdint>
#include <span>

#include <lobos/core/fault.hpp>
#include <lobos/image/segment.hpp>
#include <lobos/plan/program.hpp>
#include <lobos/plan/run_circle.hpp>
#include <lobos/plan/run_cutter.hpp>
#include <lobos/plan/run_table.hpp>

namespace lobos {

/// What a plan will cost, known before anything is committed.
struct plan_cost {
    std::size_t steps = 0;
    byte_count copied; ///< into the image's destinations
    byte_count zeroed;
    byte_count in_place; ///< of the image, already where they belong
    byte_count bounced;  ///< saved to the bounce page, copied back as part of `copied`
    std::size_t cycles = 0;
};

namespace detail {

template <class Tally> class planner {
public:
    planner(std::span<planner_run> storage, std::span<overlay_step> steps, phys_range bounce, Tally& tally)
        : table_{storage, tally},
          steps_{steps},
          bounce_{bounce}
    {
    }

    result<plan_cost> plan(std::span<const segment> image)
    {
        result<void> ok = table_.note_segments(image);
        if (ok)
            ok = collect(image);
        for (int round = 0; ok && table_.size() != 0; ++round) {
            table_.make_index();
            ok = release_all();
            if (!ok || table_.size() == 0)
                break;
            table_.make_index();
            if (break_circles())
                table_.compact();
            else
                ok = cut(round);
        }
        if (ok && cost_.steps > steps_.size())
            ok = refuse(fault_code::no_space, stage::planning, cost_.steps);
        if (!ok)
            return std::unexpected{ok.error()};
        return cost_;
    }

private:
    using table = run_table<Tally>;
    static constexpr int grid_round = 6; ///< in which what is not at its end is cut into equal pieces
    static constexpr int most_rounds = 64;

    /// All copies and fills of the image, in order of their destinations, without what lies in place.
    result<void> collect(std::span<const segment> image)
    {
        for (std::size_t i = 0; i < table_.areas(); ++i) {
            const segment& s = image[table_.area_at(i).segment];
            const std::uint64_t destination = s.destination.first().raw();
            const std::uint64_t size = s.destination.size().raw();
            const std::size_t first = table_.size();
            if (s.what == content::zero) {
                add({destination, no_source, size, 0, 0}, first);
                continue;
            }
            std::uint64_t skip = s.file_offset.raw();
            std::uint64_t put = 0;
            for (const extent& e : s.file) {
                if (put == size)
                    break;
                table_.visit();
                if (!e.is_sound())
                    return refuse(fault_code::bad_range, stage::planning, e.at);
                if (skip >= e.size.raw()) {
                    skip -= e.size.raw();
                    continue;
                }
                const std::uint64_t here = std::min(e.size.raw() - skip, size - put);
                const std::uint64_t source = e.is_zeros() ? no_source : e.at.raw() + skip;
                add({destination + put, source, here, 0, 0}, first);
                put += here;
                skip = 0;
            }
            if (put != size)
                return refuse(fault_code::source_size_mismatch, stage::planning, destination);
        }
        return table_.is_whole();
    }

    void add(const planner_run& r, std::size_t first)
    {
        if (!r.fills() && r.destination == r.source)
            cost_.in_place += byte_count::of(r.size);
        else
            table_.add(r, first);
    }

    void count_readers()
    {
        for (planner_run& r : table_.runs())
            r.readers = 0;
        for (std::size_t i = 0; i < table_.size(); ++i)
            table_.for_each_read_by(table_[i], [&](std::size_t j) { table_[j].readers += j != i; });
    }

    void emit(std::uint64_t destination, std::uint64_t source, std::uint64_t size)
    {
        if (cost_.steps < steps_.size())
            steps_[cost_.steps] = {destination, source, size};
        ++cost_.steps;
    }

    void emit(planner_run& r)
    {
        (r.fills() ? cost_.zeroed : cost_.copied) += byte_count::of(r.size);
        emit(r.destination, r.fills() ? r.destination : r.source, r.size);
        r.readers = table::done;
        table_.visit();
    }

    /// Emits every run that can go, in waves: the steps are the queue of what has gone and not yet set others free.
    result<void> release_all()
    {
        if (table_.size() > steps_.size() || cost_.steps > steps_.size() - table_.size())
            return refuse(fault_code::no_space, stage::planning, cost_.steps + table_.size());
        count_readers();
        std::size_t head = cost_.steps;
        for (std::size_t i = 0; i < table_.size(); ++i)
            if (table_[i].readers == 0)
                emit(table_[i]);
        for (; head != cost_.steps; ++head)
            table_.for_each_read_by(steps_[head], [&](std::size_t j) {
                if (table_[j].readers != table::done && --table_[j].readers == 0)
                    emit(table_[j]);
            });
        table_.compact();
        return {};
    }

    /// Breaks the circles that can be broken. True when there was one.
    bool break_circles()
    {
        bool broken = false;
        for (std::size_t start = 0; start < table_.size(); ++start) {
            const auto found = find_circle(table_, start);
            if (!found || !(found->equal || (found->tight && table_[found->smallest].size <= bounce_.size().raw())))
                continue;
            break_circle(found->smallest, found->equal);
            broken = true;
        }
        for (planner_run& r : table_.runs())
            if (r.readers != table::done)
                r.readers &= ~circle::seen;
        return broken;
    }

    /// Equal runs go round page by page; otherwise `start` fits in the bounce page, and the others follow whole.
    void break_circle(std::size_t start, bool equal)
    {
        const std::uint64_t size = table_[start].size;
        ++cost_.cycles;
        const auto go_round = [&](std::uint64_t offset, std::uint64_t piece, bool last) {
            emit(bounce_.first().raw(), table_[start].source + offset, piece);
            cost_.bounced += byte_count::of(piece);
            for (std::size_t i = *table_.only_read_by(start); i != start;) {
                const std::size_t next = *table_.only_read_by(i);
                const std::uint64_t here = equal ? piece : table_[i].size;
                emit(table_[i].destination + offset, table_[i].source + offset, here);
                cost_.copied += byte_count::of(here);
                if (last)
                    table_[i].readers = table::done;
                i = next;
            }
            emit(table_[start].destination + offset, bounce_.first().raw(), piece);
            cost_.copied += byte_count::of(piece);
        };
        for (std::uint64_t offset = 0; offset < size; offset += bounce_.size().raw()) {
            const std::uint64_t piece = std::min(bounce_.size().raw(), size - offset);
            go_round(offset, piece, offset + piece == size);
        }
        table_[start].readers = table::done;
    }

    result<void> cut(int round)
    {
        if (round == most_rounds)
            return refuse(fault_code::too_many_cuts, stage::planning, table_.size());
        const std::size_t before = table_.size();
        run_cutter cutter{table_, bounce_.size()};
        if (round == grid_round)
            cutter.cut_to_grid();
        if (table_.size() == before)
            cutter.cut_at_edges(round % 2 == 0);
        expects(table_.size() != before, "planner: what waits and cannot be cut is circles");
        return table_.is_whole();
    }

    table table_;
    std::span<overlay_step> steps_;
    phys_range bounce_;
    plan_cost cost_;
};

} // namespace detail

/// Plans the copies and fills of `image`. `bounce` is a page of the machine that nobody else uses. The first
/// `plan_cost::steps` of `steps` are the answer; `runs` is scratch: one for each segment, each run and each cut.
///
/// Faults: no_space (at: entries needed in `runs` or `steps`, whichever is too small; exact, unless there are circles,
/// which may need more once there is room to look at them), too_many_cuts (at: runs that wait for each other; every
/// source moved out of the destinations helps), destinations_overlap (at: first common byte), source_size_mismatch (at:
/// destination of the segment), bad_range (at: an extent of the file that wraps or ends with the last byte of the
/// address space).
inline result<plan_cost> make_plan(
    std::span<const segment> image, phys_range bounce, std::span<planner_run> runs, std::span<overlay_step> steps)
{
    detail::no_tally nothing;
    return detail::planner{runs, steps, bounce, nothing}.plan(image);
}

} // namespace lobos
