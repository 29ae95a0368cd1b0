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
/// destination are cut there, which makes such circles, or shows that there was none.
///
/// Each run is looked up through an index of the destinations, in a few visits whatever the size of image and memory.
/// So time is O(R) in the number of runs for what page frames make of an image, and O(R log R) for any other; cutting
/// adds a bounded number of rounds. Storage is the caller's: nothing is allocated, nothing recurses.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <optional>
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
    std::uint32_t index;   ///< an entry of the index of destinations, which has as many as there are runs

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

/// What the planner tells of each visit to one of its notes. Benchmarks count them; kernels do not.
struct no_tally {
    constexpr void visit(std::size_t = 1) {}
};

template <class Tally> class planner {
public:
    planner(std::span<planner_run> storage, std::span<overlay_step> steps, phys_addr bounce, Tally& tally)
        : storage_{storage},
          steps_{steps},
          bounce_{bounce.raw()},
          tally_{tally}
    {
    }

    result<plan_cost> plan(std::span<const segment> image)
    {
        result<void> ok = find_areas(image);
        if (ok)
            ok = collect(image);
        for (int rounds = 0; ok && count_ != 0; ++rounds) {
            make_index();
            ok = release_all();
            if (!ok || count_ == 0)
                break;
            make_index();
            if (break_circles())
                compact();
            else
                ok = rounds == most_rounds ? refuse(fault_code::too_many_cuts, stage::planning, count_)
                                           : cut_all(rounds % 2 == 0);
        }
        if (ok && cost_.steps > steps_.size())
            ok = refuse(fault_code::no_space, stage::planning, cost_.steps);
        if (!ok)
            return std::unexpected{ok.error()};
        return cost_;
    }

private:
    static constexpr std::uint32_t done = ~std::uint32_t{0};
    static constexpr std::uint32_t seen = 0x8000'0000; ///< in `readers` too, of fewer than max_runs
    static constexpr std::size_t max_runs = std::size_t{0x7fff'fffe};
    static constexpr int most_rounds = 64;

    /// A segment that is to be written, and the runs whose destinations lie in it. Kept in front of the runs, in
    /// order of address.
    struct area {
        std::uint64_t first;
        std::uint64_t size;
        std::uint32_t segment; ///< number in the image
        std::uint32_t runs;    ///< the first one
        unsigned shift;        ///< log2 of the size of the parts that the index knows
    };
    area area_at(std::size_t i) const
    {
        const planner_run& note = storage_[i];
        return {note.destination, note.size, note.readers, note.index, static_cast<unsigned>(note.source)};
    }

    result<void> find_areas(std::span<const segment> image)
    {
        std::size_t needed = 0;
        for (std::size_t i = 0; i < image.size(); ++i) {
            const segment& s = image[i];
            if (s.what != content::copy && s.what != content::zero)
                continue;
            if (needed < storage_.size())
                storage_[needed] = {
                    s.destination.first().raw(), 0, s.destination.size().raw(), static_cast<std::uint32_t>(i), 0};
            ++needed;
            tally_.visit();
        }
        if (needed > storage_.size())
            return refuse(fault_code::no_space, stage::planning, needed);
        areas_ = needed;
        sort(storage_.first(areas_));
        for (std::size_t i = 1; i < areas_; ++i)
            if (storage_[i].destination <= storage_[i - 1].destination_last())
                return refuse(fault_code::destinations_overlap, stage::planning, storage_[i].destination);
        runs_ = storage_.subspan(areas_);
        return {};
    }

    /// All copies and fills of the image, in order of their destinations, without what lies in place.
    result<void> collect(std::span<const segment> image)
    {
        std::size_t needed = 0;
        for (std::size_t i = 0; i < areas_; ++i) {
            const segment& s = image[area_at(i).segment];
            const std::uint64_t destination = s.destination.first().raw();
            const std::uint64_t size = s.destination.size().raw();
            const std::size_t first = needed;
            if (s.what == content::zero) {
                add({destination, overlay_step::zeros, size, 0, 0}, first, needed);
                continue;
            }
            std::uint64_t skip = s.file_offset.raw();
            std::uint64_t put = 0;
            for (const extent& e : s.file) {
                if (put == size)
                    break;
                tally_.visit();
                if (!e.is_sound())
                    return refuse(fault_code::bad_range, stage::planning, e.at);
                if (skip >= e.size.raw()) {
                    skip -= e.size.raw();
                    continue;
                }
                const std::uint64_t here = std::min(e.size.raw() - skip, size - put);
                const std::uint64_t source = e.is_zeros() ? overlay_step::zeros : e.at.raw() + skip;
                add({destination + put, source, here, 0, 0}, first, needed);
                put += here;
                skip = 0;
            }
            if (put != size)
                return refuse(fault_code::source_size_mismatch, stage::planning, destination);
        }
        if (needed > runs_.size() || needed > max_runs)
            return refuse(fault_code::no_space, stage::planning, areas_ + needed);
        count_ = needed;
        return {};
    }

    /// Notes a run as number `needed`, or lets the one before it grow if that is not older than `first`. Beyond the
    /// storage it only counts.
    void add(const planner_run& r, std::size_t first, std::size_t& needed)
    {
        if (!r.fills() && r.destination == r.source) {
            cost_.in_place += byte_count::of(r.size);
            return;
        }
        if (needed > first && needed <= runs_.size()) {
            planner_run& before = runs_[needed - 1];
            const bool goes_on =
                r.fills() ? before.fills() : !before.fills() && before.source + before.size == r.source;
            if (before.destination + before.size == r.destination && goes_on) {
                before.size += r.size;
                return;
            }
        }
        if (needed < runs_.size())
            runs_[needed] = r;
        ++needed;
    }

    /// A heap sort by destination: no recursion, no storage; nothing when they are in order.
    void sort(std::span<planner_run> notes)
    {
        const auto by_destination = [this](const planner_run& a, const planner_run& b) {
            tally_.visit();
            return a.destination < b.destination;
        };
        if (std::is_sorted(notes.begin(), notes.end(), by_destination))
            return;
        std::make_heap(notes.begin(), notes.end(), by_destination);
        std::sort_heap(notes.begin(), notes.end(), by_destination);
    }

    /// Forgets what is done, and keeps the order.
    void compact()
    {
        std::size_t out = 0;
        for (std::size_t i = 0; i < count_; ++i)
            if (runs_[i].readers != done)
                runs_[out++] = runs_[i];
        tally_.visit(count_);
        count_ = out;
    }

    /// Each area is divided into equal parts, a power of two in size and no more of them than it has runs. The index
    /// holds for each part the first run that ends in it or later; it lies in the notes of the area's runs.
    void make_index()
    {
        std::size_t end = 0;
        for (std::size_t a = 0; a < areas_; ++a) {
            const area here = area_at(a);
            const std::size_t begin = end;
            while (end < count_ && runs_[end].destination - here.first < here.size)
                ++end;
            storage_[a].index = static_cast<std::uint32_t>(begin);
            if (begin == end)
                continue;
            const unsigned shift = part_shift(here.size, end - begin);
            storage_[a].source = shift;
            std::size_t run = begin;
            for (std::uint64_t part = 0; part <= (here.size - 1) >> shift; ++part) {
                while (run < end && runs_[run].destination_last() - here.first < part << shift)
                    ++run;
                runs_[begin + static_cast<std::size_t>(part)].index = static_cast<std::uint32_t>(run);
            }
        }
        tally_.visit(2 * count_);
    }

    /// The smallest shift that makes at most `parts` of `size`.
    static unsigned part_shift(std::uint64_t size, std::size_t parts)
    {
        const auto wide = static_cast<unsigned>(std::bit_width(size - 1));
        const auto many = static_cast<unsigned>(std::bit_width(std::uint64_t{parts}));
        const unsigned shift = wide > many ? wide - many : 0;
        return ((size - 1) >> shift) < parts ? shift : shift + 1;
    }

    /// The first area that ends at or after `address`.
    std::size_t first_area_at_or_after(std::uint64_t address)
    {
        std::size_t low = 0;
        for (std::size_t high = areas_; low != high;) {
            const std::size_t middle = low + (high - low) / 2;
            tally_.visit();
            if (storage_[middle].destination_last() < address)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    }

    /// Fetches the note that the look-up of what `reader` reads will begin with: memory answers later than the loops
    /// ask.
    template <class Reader> void fetch_ahead(const Reader& reader)
    {
        const std::size_t low = reader.fills() ? areas_ : first_area_at_or_after(reader.source);
        if (low == areas_ || reader.source <= storage_[low].destination)
            return;
        const area here = area_at(low);
        __builtin_prefetch(&runs_[here.runs + static_cast<std::size_t>((reader.source - here.first) >> here.shift)], 1);
    }
    static constexpr std::size_t ahead = 16;

    /// The first run whose destination ends at or after `address`.
    std::size_t first_ending_at_or_after(std::uint64_t address)
    {
        const std::size_t low = first_area_at_or_after(address);
        if (low == areas_)
            return count_;
        const area here = area_at(low);
        const std::size_t begin = here.runs;
        const std::size_t end = low + 1 < areas_ ? area_at(low + 1).runs : count_;
        if (begin == end || address <= here.first)
            return begin;
        const auto part = static_cast<std::size_t>((address - here.first) >> here.shift);
        tally_.visit();
        std::size_t first = runs_[begin + part].index;
        const bool is_last_part = part == (here.size - 1) >> here.shift;
        for (std::size_t last = is_last_part ? end : runs_[begin + part + 1].index; first != last;) {
            const std::size_t middle = first + (last - first) / 2;
            tally_.visit();
            if (runs_[middle].destination_last() < address)
                first = middle + 1;
            else
                last = middle;
        }
        return first;
    }

    /// Calls `visit(j)` for every run whose destination holds a byte that `reader` reads; its own is among them.
    template <class Reader, class Visit> void for_each_read_by(const Reader& reader, Visit visit)
    {
        if (reader.fills())
            return;
        const std::uint64_t last = reader.source + (reader.size - 1);
        for (std::size_t j = first_ending_at_or_after(reader.source); j < count_ && runs_[j].destination <= last; ++j) {
            tally_.visit();
            visit(j);
        }
    }

    void count_readers()
    {
        for (planner_run& r : runs_.first(count_))
            r.readers = 0;
        for (std::size_t i = 0; i < count_; ++i) {
            if (i + ahead < count_)
                fetch_ahead(runs_[i + ahead]);
            for_each_read_by(runs_[i], [&](std::size_t j) { runs_[j].readers += j != i; });
        }
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
        emit(r.destination, r.source, r.size);
        r.readers = done;
        tally_.visit();
    }

    /// Emits every run that can go, in waves: the steps are the queue of what has gone and not yet set others free.
    result<void> release_all()
    {
        if (count_ > steps_.size() || cost_.steps > steps_.size() - count_)
            return refuse(fault_code::no_space, stage::planning, cost_.steps + count_);
        count_readers();
        std::size_t head = cost_.steps;
        for (std::size_t i = 0; i < count_; ++i)
            if (runs_[i].readers == 0)
                emit(runs_[i]);
        for (; head != cost_.steps; ++head) {
            if (head + ahead < cost_.steps)
                fetch_ahead(steps_[head + ahead]);
            for_each_read_by(steps_[head], [&](std::size_t j) {
                if (runs_[j].readers != done && --runs_[j].readers == 0)
                    emit(runs_[j]);
            });
        }
        compact();
        return {};
    }

    /// The one other run that `i` reads from; nothing if there are more.
    std::optional<std::size_t> only_read_by(std::size_t i)
    {
        std::size_t found = count_;
        std::size_t others = 0;
        for_each_read_by(runs_[i], [&](std::size_t j) {
            if (j != i) {
                found = j;
                ++others;
            }
        });
        return others == 1 ? std::optional{found} : std::nullopt;
    }

    /// A circle of runs each of which reads one other and is read by one.
    struct circle {
        std::size_t smallest;
        bool equal = true; ///< each reads one destination, the whole of it
        bool tight = true; ///< cutting a run in two does not open it
    };

    /// Marks the runs that it goes past. Precondition: nothing can go, and readers are counted.
    std::optional<circle> find_circle(std::size_t start)
    {
        circle found{start};
        phys_range read_from = phys_range::between(phys_addr{}, phys_addr{});
        std::optional<phys_range> first_reads;
        std::size_t at = start;
        do {
            if (runs_[at].readers != 1) // or seen before
                return std::nullopt;
            runs_[at].readers |= seen;
            const auto next = only_read_by(at);
            if (!next)
                return std::nullopt;
            const planner_run& r = runs_[at];
            const planner_run& n = runs_[*next];
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
            if (r.size < runs_[found.smallest].size)
                found.smallest = at;
            at = *next;
        } while (at != start);
        found.tight = found.tight && (!first_reads || first_reads->overlaps(read_from));
        return found;
    }

    /// Breaks the circles that can be broken. True when there was one.
    bool break_circles()
    {
        bool broken = false;
        for (std::size_t start = 0; start < count_; ++start) {
            const auto found = find_circle(start);
            if (!found || !(found->equal || (found->tight && runs_[found->smallest].size <= page_size.raw())))
                continue;
            break_circle(found->smallest, found->equal);
            broken = true;
        }
        for (planner_run& r : runs_.first(count_))
            if (r.readers != done)
                r.readers &= ~seen;
        return broken;
    }

    /// Equal runs go round page by page; otherwise `start` fits in the bounce page, and the others follow whole.
    void break_circle(std::size_t start, bool equal)
    {
        const std::uint64_t size = runs_[start].size;
        ++cost_.cycles;
        const auto go_round = [&](std::uint64_t offset, std::uint64_t piece, bool last) {
            emit(bounce_, runs_[start].source + offset, piece);
            cost_.bounced += byte_count::of(piece);
            for (std::size_t i = *only_read_by(start); i != start;) {
                const std::size_t next = *only_read_by(i);
                const std::uint64_t here = equal ? piece : runs_[i].size;
                emit(runs_[i].destination + offset, runs_[i].source + offset, here);
                cost_.copied += byte_count::of(here);
                if (last)
                    runs_[i].readers = done;
                i = next;
            }
            emit(runs_[start].destination + offset, bounce_, piece);
            cost_.copied += byte_count::of(piece);
        };
        for (std::uint64_t offset = 0; offset < size; offset += page_size.raw()) {
            const std::uint64_t piece = std::min(page_size.raw(), size - offset);
            go_round(offset, piece, offset + piece == size);
        }
        runs_[start].readers = done;
    }

    /// Cuts every run that reads across the edge of a destination.
    ///
    /// That is all the cutting it takes: when nothing is left to cut and nothing can go, each run reads from at most
    /// one other and is read by at least one, so by exactly one; none is larger than the one it reads from, and round
    /// the circle that makes them equal.
    ///
    /// A run that reads itself is cut all the way, because each cut is an edge that it reads across. A cut of one run
    /// shows in those that read from it and come later in the round, so rounds go up and down by turns.
    ///
    /// What is cut off is noted behind the sorted runs, where this round does not look for it; the next one will.
    result<void> cut_all(bool downwards)
    {
        std::size_t all = count_;
        for (std::size_t n = 0; n < count_; ++n)
            cut(downwards ? count_ - 1 - n : n, all);
        if (all > runs_.size() || all > max_runs)
            return refuse(fault_code::no_space, stage::planning, areas_ + all);
        expects(all != count_, "planner: what waits and cannot be cut is circles");
        count_ = all;
        sort(runs_.first(count_));
        return {};
    }

    void cut(std::size_t i, std::size_t& all)
    {
        const planner_run whole = runs_[i];
        if (whole.fills())
            return;
        std::size_t piece = i;
        std::uint64_t begin = whole.source; // of the piece
        const auto is_inside = [&](std::uint64_t edge) { return edge > begin && edge <= whole.source_last(); };
        const auto cut_at = [&](std::uint64_t edge) {
            const std::uint64_t offset = edge - whole.source;
            if (all < runs_.size()) {
                runs_[all] = {whole.destination + offset, edge, whole.size - offset, 0, 0};
                runs_[piece].size = edge - begin;
            }
            piece = all++;
            begin = edge;
        };
        const bool goes_down = whole.source > whole.destination;
        const std::uint64_t distance = goes_down ? whole.source - whole.destination : whole.destination - whole.source;
        std::size_t j = first_ending_at_or_after(whole.source);
        for (; j < count_ && all <= runs_.size() && runs_[j].destination <= whole.source_last(); ++j) {
            tally_.visit();
            if (j == i)
                continue;
            const std::uint64_t after = runs_[j].destination_last() + 1; // 0 when that is the last address
            for (const std::uint64_t edge : {runs_[j].destination, after}) {
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
                for (cut_at(first); all <= runs_.size() && last - first >= distance; cut_at(first))
                    first += distance;
                return; // another edge is for another round
            }
        }
    }

    std::span<planner_run> storage_;
    std::span<planner_run> runs_ = {}; ///< behind the areas
    std::span<overlay_step> steps_;
    std::uint64_t bounce_;
    Tally& tally_;
    std::size_t areas_ = 0;
    std::size_t count_ = 0;
    plan_cost cost_;
};

} // namespace detail

/// Plans the copies and fills of `image`. `bounce` is a page that nobody else uses. The first `plan_cost::steps` of
/// `steps` are the answer; `runs` is scratch: one for each segment, each run and each cut.
///
/// Faults: no_space (at: entries needed in `runs` or `steps`, whichever is too small; exact, unless there are circles,
/// which may need more once there is room to look at them), too_many_cuts (at: runs that wait for each other; every
/// source moved out of the destinations helps), destinations_overlap (at: first common byte), source_size_mismatch (at:
/// destination of the segment), bad_range (at: an extent of the file that wraps or ends with the last byte of the
/// address space).
inline result<plan_cost> make_plan(
    std::span<const segment> image, phys_addr bounce, std::span<planner_run> runs, std::span<overlay_step> steps)
{
    detail::no_tally nothing;
    return detail::planner{runs, steps, bounce, nothing}.plan(image);
}

} // namespace lobos
