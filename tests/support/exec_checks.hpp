// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What has to be true of memory, and of every access to it, once an exec has happened on a simulated machine,
/// whichever that is: the comparison of every byte with what it should be, and of the processor's record with the plan.

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include <lobos/plan/plan.hpp>
#include <lobos/sim/memory.hpp>
#include <lobos/sim/recorder.hpp>

#include <tests/catch.hpp>

namespace lobos::test {

/// All of a machine's memory: a byte, or `unknown` where nobody ever wrote.
class snapshot {
public:
    static constexpr std::uint16_t unknown = 0x100;

    snapshot(const sim::memory& memory, byte_count ram)
        : size_{static_cast<std::size_t>(ram.raw())},
          places_((size_ + chunk - 1) / chunk)
    {
        bytes_.reserve(size_); // at once: to let it grow takes long
        memory.for_each_written(
            [&](phys_addr at, std::byte b) { (*this)[at.raw()] = std::to_integer<std::uint8_t>(b); });
    }
    std::uint16_t& operator[](std::uint64_t at)
    {
        std::size_t& place = places_.at(static_cast<std::size_t>(at / chunk));
        if (place == 0) {
            bytes_.resize(bytes_.size() + chunk, unknown);
            place = bytes_.size();
        }
        return bytes_[place - chunk + at % chunk];
    }
    std::uint16_t operator[](std::uint64_t at) const
    {
        const std::size_t place = places_.at(static_cast<std::size_t>(at / chunk));
        return place == 0 ? unknown : bytes_[place - chunk + at % chunk];
    }
    std::size_t size() const { return size_; }

    /// The addresses at which they differ: the first one, and how many there are.
    std::pair<std::uint64_t, std::size_t> difference(const snapshot& other) const
    {
        std::pair<std::uint64_t, std::size_t> found{0, 0};
        for (std::size_t n = 0; n < places_.size(); ++n)
            if (places_[n] != 0 || other.places_[n] != 0)
                for (std::uint64_t at = std::uint64_t{n} * chunk; at < (std::uint64_t{n} + 1) * chunk; ++at)
                    if ((*this)[at] != other[at] && found.second++ == 0)
                        found.first = at;
        return found;
    }

private:
    static constexpr std::size_t chunk = 4096;
    std::size_t size_;
    std::vector<std::size_t> places_; ///< behind each chunk in `bytes_`; 0 for one that is all unknown
    std::vector<std::uint16_t> bytes_;
};

/// Memory as the image wants it, computed byte by byte from the plan's image and the memory before; the bytes that the
/// overlay may use as it likes are `unknown`.
inline snapshot wanted_memory(const exec_plan& plan, const snapshot& before)
{
    snapshot after = before;
    for (const segment& s : plan.image) {
        if (s.what != content::copy && s.what != content::zero)
            continue;
        std::vector<std::uint64_t> sources;
        if (s.what == content::copy)
            for (const extent& e : s.file)
                for (std::uint64_t i = 0; i < e.size.raw(); ++i)
                    sources.push_back(e.is_zeros() ? no_source : e.at.raw() + i);
        for (std::uint64_t i = 0; i < s.destination.size().raw(); ++i) {
            const std::uint64_t source =
                s.what == content::copy ? sources.at(static_cast<std::size_t>(s.file_offset.raw() + i)) : no_source;
            after[s.destination.first().raw() + i] = source == no_source ? std::uint16_t{0} : before[source];
        }
    }
    for (const segment& s : plan.image)
        for (const safe_region& r : plan.safe)
            if (const auto hole = intersection(s.destination, r.range))
                for (std::uint64_t at = hole->first().raw(); at <= hole->last().raw(); ++at)
                    after[at] = before[at];
    return after;
}

/// Where the overlay notes down how far it is: its trail, or a place in its program.
inline phys_range notes_of(const exec_plan& plan, std::optional<phys_addr> trail)
{
    return phys_range::of(trail.value_or(plan.program + byte_count::of(offsetof(overlay_program, untold))),
        byte_count::of(sizeof(breadcrumb)));
}

/// What a machine does beside what a plan says.
struct machine_habits {
    /// What it stores in one piece, a power of two: a byte that is not a whole one is written back with its neighbours,
    /// which are read for that.
    byte_count store = byte_count::of(1);
    /// Where the processor itself writes, as into the context that it leaves.
    std::vector<phys_range> own = {};
    /// What it has fetched of the image when it stops there.
    std::optional<phys_range> entered = {};
};

/// Compares all of memory; the overlay's stack, its bounce page and its trail are its own.
inline void check_memory(const exec_plan& plan, const snapshot& before, snapshot after, std::optional<phys_addr> trail,
    const machine_habits& habits = {})
{
    snapshot wanted = wanted_memory(plan, before);
    const auto forget = [&](phys_range r) {
        for (std::uint64_t i = 0; i < r.size().raw(); ++i)
            after[r.first().raw() + i] = wanted[r.first().raw() + i] = snapshot::unknown;
    };
    for (const safe_region& r : plan.safe)
        if (r.role == safe_role::stack || r.role == safe_role::bounce)
            forget(r.range);
    forget(notes_of(plan, trail));
    for (const phys_range& r : habits.own)
        if (std::ranges::none_of(plan.image, [&](const segment& s) { return s.destination.overlaps(r); }))
            forget(r);
    const auto [at, different] = std::as_const(after).difference(wanted);
    CAPTURE(at, after[at], wanted[at]);
    CHECK(different == 0);
}

/// What the processor did in an exec of `plan`, from its own record: fetched from the code, read the image's sources
/// and what is safe, wrote into the image where it is copied or zeroed and into its stack, bounce page and trail, and
/// into no table at all.
inline void check_accesses(const exec_plan& plan, const sim::recorder& record, std::optional<phys_addr> trail,
    const machine_habits& habits = {})
{
    using enum sim::access_kind;
    std::vector<phys_range> code{phys_range::of(plan.code, plan.page)};
    if (habits.entered)
        code.push_back(*habits.entered);
    std::vector<phys_range> sources;
    std::vector<phys_range> targets;
    const bool bytewise = habits.store == byte_count::of(1);
    const auto piece_of = [&](phys_range r) { return widen(r, habits.store); };
    for (const safe_region& r : plan.safe) {
        if (overlay_touches(r.role))
            sources.push_back(r.range);
        if (r.role == safe_role::stack || r.role == safe_role::bounce)
            targets.push_back(r.range);
    }
    const phys_range notes = notes_of(plan, trail);
    targets.push_back(notes);
    if (!bytewise)
        sources.push_back(notes);
    std::uint64_t into_image = 0;
    std::uint64_t skipped = 0;
    for (const segment& s : plan.image) {
        if (s.what != content::copy && s.what != content::zero)
            continue;
        targets.push_back(piece_of(s.destination));
        if (!bytewise)
            sources.push_back(piece_of(s.destination));
        into_image += record.bytes(write, s.destination);
        if (const auto left = intersection(notes, s.destination))
            into_image -= record.bytes(write, *left);
        for (content_cursor c{s}; c.left().raw() != 0;)
            if (const extent piece = c.take(c.left()); !piece.is_zeros())
                sources.push_back(piece_of(phys_range::of(piece.at, piece.size)));
        for (const safe_region& r : plan.safe) {
            if (const auto hole = intersection(r.range, s.destination)) {
                skipped += hole->size().raw();
                const bool trailing = trail && r.range.contains(*trail);
                CHECK((trailing || !record.first(write, *hole)));
            }
        }
    }
    const auto outside = [&](sim::access_kind kind, std::span<const phys_range> ranges) {
        const auto found = record.first_outside(kind, ranges);
        return found ? found->physical : phys_addr::at(0);
    };
    CHECK(outside(fetch, code) == phys_addr::at(0));
    CHECK(outside(read, sources) == phys_addr::at(0));
    CHECK(outside(write, targets) == phys_addr::at(0));
    CHECK(outside(mark, habits.own) == phys_addr::at(0));
    const std::uint64_t wanted = plan.cost.copied.raw() + plan.cost.zeroed.raw() - skipped;
    if (bytewise)
        CHECK(into_image == wanted);
    else
        CHECK(into_image >= wanted); // each piece as often as there are bytes of it
}

} // namespace lobos::test
