// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The rules of a safe exec about its steps, as the overlay will read them from safe memory: that they write the image
/// and that each reads what it is meant to read. Bounces are resolved to what was saved.

#include <lobos/plan/plan.hpp>

namespace lobos::rules {

/// Reads the steps as the overlay will, resolves what goes through the bounce page, and sorts by destination. `reach`
/// is what the tables of the copy can name.
/// Faults: no_space (at: steps), bad_range (at: a step's destination or source that is empty, wraps or is out of reach,
/// or a page of the chain), step_wrong_source (at: destination; a read of the bounce page that nothing has filled).
template <class C> result<void> collect_writes(C& c, phys_range reach)
{
    const phys_range bounce = phys_range::of(c.plan.bounce, c.plan.page);
    std::uint64_t saved = no_source; // where the bounce page's content comes from
    std::uint64_t saved_size = 0;
    std::uint32_t saved_at = 0;
    std::size_t count = 0;
    const auto first =
        load<std::uint64_t>(c.memory, c.plan.program + byte_count::of(offsetof(overlay_program, first_page)));
    const auto collected = for_each_step(
        c.memory, first, c.most_plan_pages, [&](const overlay_step& s, std::uint64_t time) -> result<void> {
            const byte_count size = byte_count::of(s.size);
            const auto destination = phys_range::checked(phys_addr::at(s.destination), size);
            const auto source = phys_range::checked(phys_addr::at(s.source), size);
            if (!destination || !reach.contains(*destination))
                return refuse(fault_code::bad_range, stage::verifying, s.destination);
            if (!s.fills() && (!source || !reach.contains(*source)))
                return refuse(fault_code::bad_range, stage::verifying, s.source);
            const auto now = static_cast<std::uint32_t>(time);
            if (bounce.contains(*destination) && !s.fills() && s.destination == bounce.first().raw()) {
                saved = s.source;
                saved_size = s.size;
                saved_at = now;
                return {};
            }
            if (count == c.writes.size())
                return refuse(fault_code::no_space, stage::verifying, count + 1);
            verified_write w{s.destination, s.fills() ? no_source : s.source, s.size, now, now};
            if (!s.fills() && bounce.overlaps(*source)) {
                if (!bounce.contains(*source) || s.source - bounce.first().raw() + s.size > saved_size)
                    return refuse(fault_code::step_wrong_source, stage::verifying, s.destination);
                w.source = saved + (s.source - bounce.first().raw());
                w.read_at = saved_at;
            }
            c.writes[count++] = w;
            return {};
        });
    if (!collected)
        return collected;
    c.writes = c.writes.first(count);
    const auto by_destination = [](const verified_write& a, const verified_write& b) {
        return a.destination < b.destination;
    };
    std::make_heap(c.writes.begin(), c.writes.end(), by_destination); // a heap sort neither recurses nor allocates
    std::sort_heap(c.writes.begin(), c.writes.end(), by_destination);
    return {};
}

/// The ranges that the program skips, as many as it can hold; that they are safe regions is rule 9's.
constexpr std::span<const skip_range> skips_of(const overlay_program& program)
{
    return std::span{program.skips}.first(
        static_cast<std::size_t>(std::min<std::uint64_t>(program.skip_count, overlay_program::max_skips)));
}

/// For the message only: the first write whose destination is in no copy or zero segment.
template <class C> std::uint64_t first_outside(const C& c)
{
    for (const verified_write& w : c.writes) {
        const bool inside = std::ranges::any_of(c.plan.image, [&](const segment& s) {
            return (s.what == content::copy || s.what == content::zero) &&
                s.destination.contains(phys_addr::at(w.destination));
        });
        if (!inside)
            return w.destination;
    }
    return c.writes.front().destination;
}

/// The pieces of memory that a segment's bytes come from, in order.
class source_cursor {
public:
    constexpr explicit source_cursor(const segment& s) : endless_{s.what == content::zero}, extents_{s.file}
    {
        skip_ = s.file_offset.raw();
        settle();
    }
    constexpr bool at_end() const { return !endless_ && extents_.empty(); }
    constexpr bool zero() const { return endless_ || extents_.front().is_zeros(); }
    constexpr std::uint64_t source() const { return zero() ? no_source : extents_.front().at.raw() + skip_; }
    constexpr std::uint64_t left() const { return endless_ ? ~std::uint64_t{0} : extents_.front().size.raw() - skip_; }
    constexpr void advance(std::uint64_t n)
    {
        skip_ += n;
        settle();
    }

private:
    constexpr void settle()
    {
        for (; !endless_ && !extents_.empty() && skip_ >= extents_.front().size.raw(); extents_ = extents_.subspan(1))
            skip_ -= extents_.front().size.raw();
    }
    bool endless_; ///< nothing but zeros
    std::span<const extent> extents_;
    std::uint64_t skip_ = 0;
};

/// Rule 3: the steps write the image, the whole image and nothing but the image: every byte of every copy and zero
/// segment once, from where its file has it; what lies in place, or in a range that the program skips, may be left out,
/// and no step serves two segments.
/// Faults: step_not_in_image, step_wrong_source, destinations_overlap (at: the step's destination),
/// source_size_mismatch and image_not_covered (at: destination).
template <class C> result<void> steps_write_the_image(const C& c)
{
    const auto program = load<overlay_program>(c.memory, c.plan.program);
    const auto skips = skips_of(program);
    std::size_t matched = 0;
    for (const segment& s : c.plan.image) {
        if (s.what != content::copy && s.what != content::zero)
            continue;
        auto w = std::lower_bound(c.writes.begin(), c.writes.end(), s.destination.first().raw(),
            [](const verified_write& a, std::uint64_t address) { return a.destination < address; });
        source_cursor wanted{s};
        std::uint64_t done_of_write = 0;
        for (std::uint64_t at = 0, size = s.destination.size().raw(); at < size;) {
            const std::uint64_t destination = s.destination.first().raw() + at;
            if (wanted.at_end())
                return refuse(fault_code::source_size_mismatch, stage::verifying, s.destination.first());
            std::uint64_t here = std::min(wanted.left(), size - at);
            const bool written = w != c.writes.end() && w->destination + done_of_write <= destination;
            if (written) {
                if (w->destination + done_of_write < destination)
                    return refuse(fault_code::destinations_overlap, stage::verifying, w->destination);
                if (w->size > s.destination.size().raw() || w->last() > s.destination.last().raw())
                    return refuse(fault_code::step_not_in_image, stage::verifying, w->destination);
                const bool zero = w->source == no_source;
                if (zero != wanted.zero() || (!zero && wanted.source() != w->source + done_of_write))
                    return refuse(fault_code::step_wrong_source, stage::verifying, w->destination);
                here = std::min(here, w->size - done_of_write);
                done_of_write += here;
                if (done_of_write == w->size) {
                    done_of_write = 0;
                    ++w;
                    ++matched;
                }
            } else {
                const auto skip = std::ranges::find_if(
                    skips, [&](const skip_range& r) { return r.first <= destination && destination <= r.last; });
                if (skip != skips.end() && skip->last - destination < here)
                    here = skip->last - destination + 1;
                else if (skip == skips.end() && (wanted.zero() || wanted.source() != destination))
                    return refuse(fault_code::image_not_covered, stage::verifying, destination);
                if (w != c.writes.end())
                    here = std::min(here, w->destination - destination);
            }
            at += here;
            wanted.advance(here);
        }
        if (w != c.writes.end() && w->destination <= s.destination.last().raw())
            return refuse(fault_code::destinations_overlap, stage::verifying, w->destination);
    }
    if (matched != c.writes.size())
        return refuse(fault_code::step_not_in_image, stage::verifying, first_outside(c));
    return {};
}

/// Rule 9, for a loop that does not look what it may change: no step writes to a range that the program skips.
/// Faults: destination_in_safe_region (at: the step's destination).
template <class C> result<void> steps_keep_off_skips(const C& c)
{
    const auto program = load<overlay_program>(c.memory, c.plan.program);
    for (const skip_range& skip : skips_of(program)) {
        const auto w = std::partition_point(
            c.writes.begin(), c.writes.end(), [&](const verified_write& a) { return a.last() < skip.first; });
        if (w != c.writes.end() && w->destination <= skip.last)
            return refuse(fault_code::destination_in_safe_region, stage::verifying, w->destination);
    }
    return {};
}

/// Rule 4: no step overwrites what a later one has yet to read, the bounce page included: what a step reads was
/// written by no earlier one. (A step may overwrite its own source: it moves as memmove does.)
/// Faults: source_overwritten (at: first byte of the source).
template <class C> result<void> sources_are_intact(const C& c)
{
    for (const verified_write& r : c.writes) {
        if (r.source == no_source)
            continue;
        const std::uint64_t source_last = r.source + (r.size - 1);
        auto w = std::partition_point(
            c.writes.begin(), c.writes.end(), [&](const verified_write& a) { return a.last() < r.source; });
        for (; w != c.writes.end() && w->destination <= source_last; ++w)
            if (w->wrote_at < r.read_at)
                return refuse(fault_code::source_overwritten, stage::verifying, r.source);
    }
    return {};
}

} // namespace lobos::rules
