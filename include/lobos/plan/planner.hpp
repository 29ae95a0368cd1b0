// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The planner: turns "these bytes must lie there" into steps in an order in which no step overwrites what a later one
/// still has to read. Sources are arbitrary extents and may lie on destinations, on each other's destinations, in
/// chains and in cycles; what lies in place already costs nothing.
///
/// A run is a piece of the image whose source and destination are both in one piece. Run A must go before run B when B
/// writes where A reads. Runs that nobody waits to read from go first and set others free. If all that are left wait
/// for each other, those that read across the edge of a destination are cut there, and tried again. When nothing is
/// left to cut, each source is exactly one destination: cycles, broken through one bounce page.
///
/// Time is O(R log R) in the number of runs plus the cutting, storage the caller's: nothing is allocated, nothing
/// recurses.

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>

#include <lobos/core/fault.hpp>
#include <lobos/image/segment.hpp>
#include <lobos/plan/program.hpp>

namespace lobos {

/// The planner's note of one run.
struct planner_run {
    std::uint64_t destination;
    std::uint64_t source; ///< or overlay_step::zeros
    std::uint64_t size;
    std::uint32_t readers; ///< runs that still have to read from this destination
    std::uint32_t next;    ///< of the runs that may go now

    constexpr bool fills() const { return source == overlay_step::zeros; }
    constexpr std::uint64_t destination_last() const { return destination + (size - 1); }
    constexpr std::uint64_t source_last() const { return source + (size - 1); }
};

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

class planner {
public:
    planner(std::span<planner_run> runs, std::span<overlay_step> steps, phys_addr bounce)
        : runs_{runs},
          steps_{steps},
          bounce_{bounce.raw()}
    {
    }

    result<plan_cost> plan(std::span<const segment> image)
    {
        if (const auto collected = collect(image); !collected)
            return std::unexpected{collected.error()};
        while (count_ != 0) {
            sort();
            release_all();
            if (count_ == 0)
                break;
            const result<bool> cut = cut_all();
            if (!cut)
                return std::unexpected{cut.error()};
            if (!*cut)
                break_cycles();
        }
        if (cost_.steps > steps_.size())
            return refuse(fault_code::no_space, stage::planning, cost_.steps);
        return cost_;
    }

private:
    static constexpr std::uint32_t done = ~std::uint32_t{0};

    /// All copies and fills of the image, without what lies in place.
    result<void> collect(std::span<const segment> image)
    {
        std::size_t needed = 0;
        for (const segment& s : image) {
            const std::uint64_t destination = s.destination.first().raw();
            const std::uint64_t size = s.destination.size().raw();
            if (s.what == content::zero)
                needed += add({destination, overlay_step::zeros, size, 0, done}, needed);
            if (s.what != content::copy)
                continue;
            std::uint64_t skip = s.file_offset.raw();
            std::uint64_t put = 0;
            for (const extent& e : s.file) {
                if (put == size)
                    break;
                if (e.size.raw() > ~e.at.raw()) // it wraps, or holds the address that means zeros
                    return refuse(fault_code::bad_range, stage::planning, e.at);
                if (skip >= e.size.raw()) {
                    skip -= e.size.raw();
                    continue;
                }
                const std::uint64_t here = std::min(e.size.raw() - skip, size - put);
                needed += add({destination + put, e.at.raw() + skip, here, 0, done}, needed, put != 0);
                put += here;
                skip = 0;
            }
            if (put != size)
                return refuse(fault_code::source_size_mismatch, stage::planning, destination);
        }
        if (needed > runs_.size() || needed > max_runs)
            return refuse(fault_code::no_space, stage::planning, needed);
        count_ = needed;
        sort();
        for (std::size_t i = 1; i < count_; ++i)
            if (runs_[i].destination <= runs_[i - 1].destination_last())
                return refuse(fault_code::destinations_overlap, stage::planning, runs_[i].destination);
        for (std::size_t i = 0; i < count_; ++i) {
            if (runs_[i].destination == runs_[i].source) {
                cost_.in_place += byte_count::of(runs_[i].size);
                runs_[i].size = 0;
            }
        }
        compact();
        return {};
    }

    /// Notes a run at `index`, or lets the one of the same segment before it grow; how many runs that makes. Beyond
    /// the storage it only counts.
    std::size_t add(planner_run r, std::size_t index, bool goes_on = false)
    {
        if (goes_on && index <= runs_.size()) {
            planner_run& before = runs_[index - 1];
            if (before.source + before.size == r.source) {
                before.size += r.size;
                return 0;
            }
        }
        if (index < runs_.size())
            runs_[index] = r;
        return 1;
    }

    void sort()
    {
        const auto by_destination = [](const planner_run& a, const planner_run& b) {
            return a.destination < b.destination;
        };
        const auto runs = runs_.first(count_);
        if (std::is_sorted(runs.begin(), runs.end(), by_destination))
            return;
        std::make_heap(runs.begin(), runs.end(), by_destination); // a heap sort: no recursion, no storage
        std::sort_heap(runs.begin(), runs.end(), by_destination);
    }

    /// Forgets runs of size 0, and keeps the order.
    void compact()
    {
        std::size_t out = 0;
        for (std::size_t i = 0; i < count_; ++i)
            if (runs_[i].size != 0)
                runs_[out++] = runs_[i];
        count_ = out;
    }

    /// The first run whose destination ends at or after `address`. The runs are sorted and disjoint.
    std::size_t first_ending_at_or_after(std::uint64_t address) const
    {
        const auto runs = runs_.first(count_);
        const auto it = std::partition_point(
            runs.begin(), runs.end(), [&](const planner_run& r) { return r.destination_last() < address; });
        return static_cast<std::size_t>(it - runs.begin());
    }

    /// Calls `visit(j)` for every run other than `i` whose destination holds a byte that run `i` reads.
    template <class Visit> void for_each_read_by(std::size_t i, Visit visit)
    {
        const planner_run reader = runs_[i];
        if (reader.fills())
            return;
        for (std::size_t j = first_ending_at_or_after(reader.source);
            j < count_ && runs_[j].destination <= reader.source_last(); ++j)
            if (j != i)
                visit(j);
    }

    void emit(std::uint64_t destination, std::uint64_t source, std::uint64_t size)
    {
        if (cost_.steps < steps_.size())
            steps_[cost_.steps] = {destination, source, size};
        ++cost_.steps;
    }

    void emit(const planner_run& r)
    {
        (r.fills() ? cost_.zeroed : cost_.copied) += byte_count::of(r.size);
        emit(r.destination, r.source, r.size);
    }

    /// Emits every run that can go, in waves; what is left waits in a circle, or behind one.
    void release_all()
    {
        for (std::size_t i = 0; i < count_; ++i)
            runs_[i].readers = 0;
        for (std::size_t i = 0; i < count_; ++i)
            for_each_read_by(i, [&](std::size_t j) { ++runs_[j].readers; });

        std::uint32_t head = done;
        std::uint32_t tail = done;
        const auto push = [&](std::size_t i) {
            runs_[i].next = done;
            (head == done ? head : runs_[tail].next) = static_cast<std::uint32_t>(i);
            tail = static_cast<std::uint32_t>(i);
        };
        for (std::size_t i = 0; i < count_; ++i)
            if (runs_[i].readers == 0)
                push(i);
        while (head != done) {
            const std::uint32_t i = head;
            head = runs_[i].next;
            emit(runs_[i]);
            runs_[i].readers = done;
            for_each_read_by(i, [&](std::size_t j) {
                if (runs_[j].readers != done && --runs_[j].readers == 0)
                    push(j);
            });
        }
        for (std::size_t i = 0; i < count_; ++i)
            if (runs_[i].readers == done)
                runs_[i].size = 0;
        compact();
    }

    /// Cuts every run that reads across the edge of a destination. True when there was something to cut.
    ///
    /// That is all the cutting it takes: when nothing is left to cut and nothing can go, each run reads from at most
    /// one other and is read by at least one, so by exactly one; none is larger than the one it reads from, and round
    /// the circle that makes them equal.
    ///
    /// What is cut off is noted behind the sorted runs, where this round does not look for it; the next one will.
    result<bool> cut_all()
    {
        std::size_t all = count_;
        const auto cut_off = [&](std::size_t& piece, std::uint64_t offset) {
            if (all < runs_.size())
                cut(runs_[piece], offset, runs_[all]);
            piece = all++;
        };
        for (std::size_t i = 0; i < count_; ++i) {
            const planner_run whole = runs_[i];
            std::size_t piece = i;
            std::uint64_t begin = 0; // of the piece, in the whole
            const auto edge_at = [&](std::uint64_t address) {
                if (address <= whole.source + begin || address > whole.source_last())
                    return;
                cut_off(piece, address - whole.source - begin);
                begin = address - whole.source;
            };
            std::size_t j = whole.fills() ? count_ : first_ending_at_or_after(whole.source);
            for (; j < count_ && all <= runs_.size() && runs_[j].destination <= whole.source_last(); ++j) {
                const std::uint64_t first = runs_[j].destination;
                const std::uint64_t last = runs_[j].destination_last();
                if (j == i)
                    continue;
                edge_at(first);
                if (last != ~std::uint64_t{0})
                    edge_at(last + 1);
            }
        }
        if (all > runs_.size() || all > max_runs)
            return refuse(fault_code::no_space, stage::planning, all);
        return std::exchange(count_, all) != all;
    }

    /// Cuts `r` after `offset` bytes; what is cut off is put in `rest`.
    static void cut(planner_run& r, std::uint64_t offset, planner_run& rest)
    {
        rest = {r.destination + offset, r.fills() ? r.source : r.source + offset, r.size - offset, 0, done};
        r.size = offset;
    }

    /// Precondition: nothing can go and nothing can be cut. Then every run is read by exactly one other, whole.
    void break_cycles()
    {
        for (std::size_t i = 0; i < count_; ++i)
            runs_[i].readers = 0;
        for (std::size_t i = 0; i < count_; ++i)
            if (runs_[i].readers != done)
                break_cycle(i);
        count_ = 0;
    }

    void break_cycle(std::size_t start)
    {
        const std::uint64_t size = runs_[start].size;
        ++cost_.cycles;
        for (std::uint64_t offset = 0; offset < size; offset += page_size.raw()) {
            const std::uint64_t here = std::min(page_size.raw(), size - offset);
            emit(bounce_, runs_[start].destination + offset, here);
            cost_.bounced += byte_count::of(here);
            for (std::size_t i = start;;) {
                const std::size_t source = first_ending_at_or_after(runs_[i].source);
                expects(source < count_ && runs_[source].destination == runs_[i].source && runs_[source].size == size,
                    "planner: what waits in a circle is a cycle of equal runs");
                runs_[i].readers = done;
                emit(runs_[i].destination + offset, source == start ? bounce_ : runs_[i].source + offset, here);
                cost_.copied += byte_count::of(here);
                if (source == start)
                    break;
                i = source;
            }
        }
    }

    static constexpr std::size_t max_runs = std::size_t{0xffff'fffe};

    std::span<planner_run> runs_;
    std::span<overlay_step> steps_;
    std::uint64_t bounce_;
    std::size_t count_ = 0;
    plan_cost cost_;
};

} // namespace detail

/// Plans the copies and fills of `image`. `bounce` is a page that nobody else uses. The first `plan_cost::steps` of
/// `steps` are the answer; `runs` is scratch: one for each run, and one for each cut.
///
/// Faults: no_space (at: entries needed in `runs` or `steps`, whichever is too small; what is needed may grow once
/// more), destinations_overlap (at: first common byte), source_size_mismatch (at: destination of the segment),
/// bad_range (at: an extent of the file that wraps or ends with the last byte of the address space).
inline result<plan_cost> make_plan(
    std::span<const segment> image, phys_addr bounce, std::span<planner_run> runs, std::span<overlay_step> steps)
{
    return detail::planner{runs, steps, bounce}.plan(image);
}

} // namespace lobos
