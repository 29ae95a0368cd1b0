// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The planner's notes: the runs that are still to be written, in order of their destinations, and an index by which
/// the runs that hold a given address are found in a few visits, whatever the size of image and memory.

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>

#include <lobos/core/fault.hpp>
#include <lobos/image/segment.hpp>
#include <lobos/plan/program.hpp>

namespace lobos {

/// The planner's note of one run.
struct planner_run {
    std::uint64_t destination;
    std::uint64_t source; ///< or `no_source`
    std::uint64_t size;
    std::uint32_t readers; ///< runs that still have to read from this destination
    std::uint32_t index;   ///< an entry of the index of destinations, which has as many as there are runs

    constexpr bool fills() const { return source == no_source; }
    constexpr std::uint64_t destination_last() const { return destination + (size - 1); }
    constexpr std::uint64_t source_last() const { return source + (size - 1); }
};

namespace detail {

/// What the planner tells of each visit to one of its notes. Benchmarks count them; kernels do not.
struct no_tally {
    constexpr void visit(std::size_t = 1) {}
};

/// Works in the caller's storage: a note for each segment that is to be written, its *area*, then the runs.
template <class Tally> class run_table {
public:
    static constexpr std::uint32_t done = ~std::uint32_t{0}; ///< in `readers` of a run that is dealt with
    static constexpr std::size_t most_runs = std::size_t{0x7fff'fffe};

    run_table(std::span<planner_run> storage, Tally& tally) : storage_{storage}, tally_{tally} {}

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

    /// Notes the image's copies and fills. Faults: no_space (at: notes needed), destinations_overlap (at: first common
    /// byte).
    result<void> note_segments(std::span<const segment> image)
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
        rest_ = storage_.subspan(areas_);
        return {};
    }

    /// Notes a run behind the last one, or lets that one grow, if it is one of the area's, which begin with `first`.
    /// Beyond the storage it only counts.
    void add(const planner_run& r, std::size_t first)
    {
        if (count_ > first && count_ <= rest_.size()) {
            planner_run& before = rest_[count_ - 1];
            const bool goes_on =
                r.fills() ? before.fills() : !before.fills() && before.source + before.size == r.source;
            if (before.destination + before.size == r.destination && goes_on) {
                before.size += r.size;
                return;
            }
        }
        const bool in_order = in_order_; // it goes behind all others
        add_anywhere(r);
        in_order_ = in_order;
    }
    /// The same, out of order, as a run of its own. make_index() is to be called before anything is looked up.
    void add_anywhere(const planner_run& r)
    {
        if (count_ < rest_.size())
            rest_[count_] = r;
        ++count_;
        in_order_ = false;
    }

    /// Whether all that was added is there. Fault: no_space (at: notes needed).
    result<void> is_whole() const
    {
        if (count_ > rest_.size() || count_ > most_runs)
            return refuse(fault_code::no_space, stage::planning, areas_ + count_);
        return {};
    }

    std::size_t areas() const { return areas_; }
    std::size_t size() const { return count_; }
    planner_run& operator[](std::size_t i) { return rest_[i]; }
    const planner_run& operator[](std::size_t i) const { return rest_[i]; }
    std::span<planner_run> runs() { return rest_.first(count_); }
    void visit(std::size_t times = 1) { tally_.visit(times); }

    /// Forgets what is done, and keeps the order.
    void compact()
    {
        std::size_t out = 0;
        for (std::size_t i = 0; i < count_; ++i)
            if (rest_[i].readers != done)
                rest_[out++] = rest_[i];
        tally_.visit(count_);
        count_ = out;
    }

    /// Each area is divided into equal parts, a power of two in size and no more of them than it has runs. The index
    /// holds for each part the first run that ends in it or later; it lies in the notes of the area's runs.
    ///
    /// Precondition: is_whole().
    void make_index()
    {
        if (!in_order_)
            sort(runs());
        in_order_ = true;
        std::size_t end = 0;
        for (std::size_t a = 0; a < areas_; ++a) {
            const area here = area_at(a);
            const std::size_t begin = end;
            while (end < count_ && rest_[end].destination - here.first < here.size)
                ++end;
            storage_[a].index = static_cast<std::uint32_t>(begin);
            if (begin == end)
                continue;
            const unsigned shift = part_shift(here.size, end - begin);
            storage_[a].source = shift;
            std::size_t run = begin;
            for (std::uint64_t part = 0; part <= (here.size - 1) >> shift; ++part) {
                while (run < end && rest_[run].destination_last() - here.first < part << shift)
                    ++run;
                rest_[begin + static_cast<std::size_t>(part)].index = static_cast<std::uint32_t>(run);
            }
        }
        indexed_ = count_;
        tally_.visit(2 * count_);
    }

    /// The first run whose destination ends at or after `address`.
    std::size_t first_ending_at_or_after(std::uint64_t address)
    {
        const std::size_t low = first_area_at_or_after(address);
        if (low == areas_)
            return indexed_;
        const area here = area_at(low);
        const std::size_t begin = here.runs;
        const std::size_t end = low + 1 < areas_ ? area_at(low + 1).runs : indexed_;
        if (begin == end || address <= here.first)
            return begin;
        const auto part = static_cast<std::size_t>((address - here.first) >> here.shift);
        tally_.visit();
        std::size_t first = rest_[begin + part].index;
        const bool is_last_part = part == (here.size - 1) >> here.shift;
        for (std::size_t last = is_last_part ? end : rest_[begin + part + 1].index; first != last;) {
            const std::size_t middle = first + (last - first) / 2;
            tally_.visit();
            if (rest_[middle].destination_last() < address)
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
        for (std::size_t j = first_ending_at_or_after(reader.source); j < indexed_ && rest_[j].destination <= last;
            ++j) {
            tally_.visit();
            visit(j);
        }
    }

    /// The one other run that `i` reads from; nothing if there are more.
    std::optional<std::size_t> only_read_by(std::size_t i)
    {
        std::size_t found = indexed_;
        std::size_t others = 0;
        for_each_read_by(rest_[i], [&](std::size_t j) {
            if (j != i) {
                found = j;
                ++others;
            }
        });
        return others == 1 ? std::optional{found} : std::nullopt;
    }

private:
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

    /// The smallest shift that makes at most `parts` of `size`.
    static unsigned part_shift(std::uint64_t size, std::size_t parts)
    {
        unsigned shift = 0; // by a loop: not every processor counts bits without a library's help
        while ((size - 1) >> shift >= parts)
            ++shift;
        return shift;
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

    std::span<planner_run> storage_;
    std::span<planner_run> rest_ = {}; ///< behind the areas
    Tally& tally_;
    std::size_t areas_ = 0;
    std::size_t count_ = 0;
    std::size_t indexed_ = 0; ///< of these: what was added since is not looked up
    bool in_order_ = true;
};

} // namespace detail
} // namespace lobos
