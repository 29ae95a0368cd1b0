// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The rules of a safe exec, numbered, each a function that looks at the plan and at memory and at nothing that the
/// planner concluded. A rule that does not hold returns a fault; docs/architecture.md has them in prose.

#include <algorithm>

#include <lobos/core/region_map.hpp>
#include <lobos/plan/plan.hpp>

namespace lobos {

/// A write of the plan as the verifier understands it: bounces are resolved to what was saved.
struct verified_write {
    std::uint64_t destination;
    std::uint64_t source; ///< where the bytes lay before the first step; or overlay_step::zeros
    std::uint64_t size;
    std::uint32_t read_at;  ///< the step that read them
    std::uint32_t wrote_at; ///< the step that wrote them
    constexpr std::uint64_t last() const { return destination + (size - 1); }
};

/// What the rules are checked against.
template <paging_traits T, physical_memory M> struct verifier_context {
    using paging = T;
    const exec_plan& plan;
    const region_map& map;
    M& memory;
    std::span<verified_write> writes; ///< sorted by destination, once `collect_writes` is through
    std::size_t most_plan_pages;
};

namespace rules {

constexpr bool in_padding(const exec_plan& plan, phys_range r)
{
    return std::ranges::any_of(
        plan.image, [&](const segment& s) { return s.what == content::padding && s.destination.contains(r); });
}

/// Rule 1: destinations are usable memory, and disjoint. Only what the image declares as padding may be other than
/// usable, and only because a safe region lies there.
/// Faults: destination_not_usable (at: first such byte), destinations_overlap (at: first common byte).
template <class C> result<void> destinations(const C& c)
{
    for (const segment& s : c.plan.image) {
        if (!s.occupies())
            continue;
        for (std::optional<phys_addr> at = s.destination.first(); at && *at <= s.destination.last();) {
            const region* holder = c.map.find(*at);
            const auto piece = holder ? intersection(holder->range, s.destination) : std::nullopt;
            const bool ours = holder && (holder->kind == region_kind::safe || holder->kind == region_kind::surviving);
            if (!piece || !(holder->kind == region_kind::usable || (ours && in_padding(c.plan, *piece))))
                return refuse(fault_code::destination_not_usable, stage::verifying, *at);
            at = address_after(*piece);
        }
    }
    for (std::size_t i = 0; i < c.plan.image.size(); ++i)
        for (std::size_t j = 0; j < i; ++j) {
            const segment& a = c.plan.image[i];
            const segment& b = c.plan.image[j];
            const auto common = intersection(a.destination, b.destination);
            if (common && a.occupies() && b.occupies())
                return refuse(fault_code::destinations_overlap, stage::verifying, common->first());
        }
    return {};
}

/// Rule 2: safe regions are disjoint, no byte of the image's lies in one but in declared padding, and no source does.
/// Faults: safe_regions_overlap, destination_in_safe_region, source_in_safe_region (at: first such byte), bad_range
/// (at: an extent that wraps).
template <class C> result<void> safe_regions_are_apart(const C& c)
{
    const auto safe = c.plan.safe;
    for (std::size_t i = 0; i < safe.size(); ++i)
        for (std::size_t j = 0; j < i; ++j)
            if (const auto common = intersection(safe[i].range, safe[j].range))
                return refuse(fault_code::safe_regions_overlap, stage::verifying, common->first());
    for (const segment& s : c.plan.image)
        for (const safe_region& r : safe) {
            const auto common = intersection(s.destination, r.range);
            if (common && s.occupies() && !in_padding(c.plan, *common))
                return refuse(fault_code::destination_in_safe_region, stage::verifying, common->first());
        }
    for (const segment& s : c.plan.image)
        for (const extent& e : s.file) {
            const auto source = phys_range::checked(e.at, e.size);
            if (!source && e.size.raw() != 0)
                return refuse(fault_code::bad_range, stage::verifying, e.at);
            for (const safe_region& r : safe)
                if (const auto common = source ? intersection(*source, r.range) : std::nullopt)
                    return refuse(fault_code::source_in_safe_region, stage::verifying, common->first());
        }
    return {};
}

/// Reads the steps as the overlay will, resolves what goes through the bounce page, and sorts by destination.
/// Faults: no_space (at: steps), bad_range (at: a step's destination or source that is empty or wraps, or a page of
/// the chain), step_wrong_source (at: destination; a read of the bounce page that nothing has filled).
template <class C> result<void> collect_writes(C& c)
{
    const phys_range bounce = phys_range::of(c.plan.bounce, page_size);
    std::uint64_t saved = overlay_step::zeros; // where the bounce page's content comes from
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
            if (!destination || !C::paging::physical_reach.contains(*destination))
                return refuse(fault_code::bad_range, stage::verifying, s.destination);
            if (!s.fills() && (!source || !C::paging::physical_reach.contains(*source)))
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
            verified_write w{s.destination, s.source, s.size, now, now};
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
    constexpr explicit source_cursor(const segment& s) : zero_{s.what == content::zero}, extents_{s.file}
    {
        skip_ = s.file_offset.raw();
        settle();
    }
    constexpr bool at_end() const { return !zero_ && extents_.empty(); }
    constexpr std::uint64_t source() const { return zero_ ? overlay_step::zeros : extents_.front().at.raw() + skip_; }
    constexpr std::uint64_t left() const { return zero_ ? ~std::uint64_t{0} : extents_.front().size.raw() - skip_; }
    constexpr void advance(std::uint64_t n)
    {
        skip_ += n;
        settle();
    }

private:
    constexpr void settle()
    {
        for (; !zero_ && !extents_.empty() && skip_ >= extents_.front().size.raw(); extents_ = extents_.subspan(1))
            skip_ -= extents_.front().size.raw();
    }
    bool zero_;
    std::span<const extent> extents_;
    std::uint64_t skip_ = 0;
};

/// Rule 3: the steps write the image, the whole image and nothing but the image: every byte of every copy and zero
/// segment once, from where its file has it; what lies in place may be left out, and no step serves two segments.
/// Faults: step_not_in_image, step_wrong_source, destinations_overlap (at: the step's destination),
/// source_size_mismatch and image_not_covered (at: destination).
template <class C> result<void> steps_write_the_image(const C& c)
{
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
                const bool zero = w->source == overlay_step::zeros;
                if (zero != (s.what == content::zero) || (!zero && wanted.source() != w->source + done_of_write))
                    return refuse(fault_code::step_wrong_source, stage::verifying, w->destination);
                here = std::min(here, w->size - done_of_write);
                done_of_write += here;
                if (done_of_write == w->size) {
                    done_of_write = 0;
                    ++w;
                    ++matched;
                }
            } else {
                if (s.what == content::zero || wanted.source() != destination)
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

/// Rule 4: no step overwrites what a later one has yet to read, the bounce page included: what a step reads was
/// written by no earlier one. (A step may overwrite its own source: it moves as memmove does.)
/// Faults: source_overwritten (at: first byte of the source).
template <class C> result<void> sources_are_intact(const C& c)
{
    for (const verified_write& r : c.writes) {
        if (r.source == overlay_step::zeros)
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

/// A range that the overlay touches through the identity mapping.
template <class C> result<void> identity_mapped(const C& c, phys_range r, access wanted)
{
    std::optional<phys_addr> at = r.first();
    while (at && *at <= r.last()) {
        const auto found = walk<typename C::paging>(c.memory, c.plan.new_root, virt_addr::at(at->raw()));
        if (!found || found->physical != *at)
            return refuse(fault_code::not_mapped, stage::verifying, *at);
        if (wanted == access::read_write && found->rights != access::read_write)
            return refuse(fault_code::not_writable, stage::verifying, *at);
        at = checked_add(phys_addr::at(found->page.last().raw()), byte_count::of(1));
    }
    return {};
}

/// Rule 5: every byte that the overlay reads or writes is mapped one to one in the new tables, and writable where it
/// writes.
/// Faults: not_mapped, not_writable (at: address).
template <class C> result<void> reach_is_mapped(const C& c)
{
    for (const verified_write& w : c.writes) {
        const auto destination = phys_range::of(phys_addr::at(w.destination), byte_count::of(w.size));
        if (const auto mapped = identity_mapped(c, destination, access::read_write); !mapped)
            return mapped;
        if (w.source == overlay_step::zeros)
            continue;
        const auto source = phys_range::of(phys_addr::at(w.source), byte_count::of(w.size));
        if (const auto mapped = identity_mapped(c, source, access::read_only); !mapped)
            return mapped;
    }
    for (const safe_region& r : c.plan.safe) {
        if (!overlay_touches(r.role))
            continue;
        const bool written = r.role == safe_role::stack || r.role == safe_role::bounce;
        const auto mapped = identity_mapped(c, r.range, written ? access::read_write : access::read_only);
        if (!mapped)
            return mapped;
    }
    const auto program = load<overlay_program>(c.memory, c.plan.program);
    const auto trail = phys_range::checked(phys_addr::at(program.trail), byte_count::of(sizeof(breadcrumb)));
    return trail ? identity_mapped(c, *trail, access::read_write) : result<void>{};
}

/// What the overlay loads and stores whole is aligned to this, on every machine.
inline constexpr byte_count word_alignment = byte_count::of(8);

template <class C> result<void> lies_in(const C& c, safe_role role, phys_range r)
{
    for (const safe_region& s : c.plan.safe)
        if (s.role == role && s.range.contains(r))
            return {};
    return refuse(fault_code::outside_safe_region, stage::verifying, r.first());
}

/// Every table below `table` on `Level`, itself included.
template <unsigned Level, class C> result<void> tables_lie_in(const C& c, phys_addr table)
{
    using T = C::paging;
    if (const auto inside = lies_in(c, safe_role::page_table, phys_range::of(table, T::table_size)); !inside)
        return inside;
    if constexpr (Level > 0) {
        for (std::uint64_t i = 0; i < (std::uint64_t{1} << T::template index_bits<Level>); ++i) {
            using word = T::word;
            const auto at = table + byte_count::of(i * sizeof(word));
            const typename T::template entry<Level> e{load<word>(c.memory, at)};
            if (!e.present() || e.is_leaf())
                continue;
            if (const auto inside = tables_lie_in<Level - 1>(c, e.target()); !inside)
                return inside;
        }
    }
    return {};
}

/// Rule 6: code, stack, frame, program, bounce page, every page of the plan and every page table lie in safe regions
/// of their role; and the program and the pages of the plan on multiples of 8, so that the overlay may load words.
/// Faults: outside_safe_region (at: first byte), bad_range, misaligned (at: page of the plan, or program).
template <class C> result<void> machinery_is_safe(const C& c)
{
    const struct {
        safe_role role;
        phys_range range;
    } places[] = {
        {safe_role::code, phys_range::of(c.plan.code, page_size)},
        {safe_role::stack, phys_range::of(c.plan.stack, page_size)},
        {safe_role::frame, phys_range::of(c.plan.frame, page_size)},
        {safe_role::frame, phys_range::of(c.plan.program, byte_count::of(sizeof(overlay_program)))},
        {safe_role::bounce, phys_range::of(c.plan.bounce, page_size)},
    };
    for (const auto& place : places)
        if (const auto inside = lies_in(c, place.role, place.range); !inside)
            return inside;
    if (!is_aligned(c.plan.program, word_alignment))
        return refuse(fault_code::misaligned, stage::verifying, c.plan.program);
    const auto program = load<overlay_program>(c.memory, c.plan.program);
    std::uint64_t page = program.first_page;
    for (std::size_t pages = 0; page != plan_page::no_page; ++pages) {
        if (pages == c.most_plan_pages)
            return refuse(fault_code::bad_range, stage::verifying, page);
        if (!is_aligned(phys_addr::at(page), word_alignment))
            return refuse(fault_code::misaligned, stage::verifying, page);
        const auto range = phys_range::checked(phys_addr::at(page), page_size);
        if (!range)
            return refuse(fault_code::bad_range, stage::verifying, page);
        if (const auto inside = lies_in(c, safe_role::plan, *range); !inside)
            return inside;
        page = load<std::uint64_t>(c.memory, phys_addr::at(page) + byte_count::of(offsetof(plan_page, next)));
    }
    return tables_lie_in<C::paging::levels - 1>(c, c.plan.new_root);
}

/// Rule 7: the page in which the switch happens maps alike in old and new tables, to the overlay's code.
/// Faults: switch_page_differs (at: virtual address).
template <class C> result<void> switch_page_is_alike(const C& c)
{
    const auto before = walk<typename C::paging>(c.memory, c.plan.running_root, c.plan.switch_page);
    const auto after = walk<typename C::paging>(c.memory, c.plan.new_root, c.plan.switch_page);
    const byte_count all_but_one = page_size - byte_count::of(1);
    const bool alike = before && after && before->physical == c.plan.code && after->physical == c.plan.code &&
        before->page.last() - c.plan.switch_page >= all_but_one &&
        after->page.last() - c.plan.switch_page >= all_but_one;
    if (!alike)
        return refuse(fault_code::switch_page_differs, stage::verifying, c.plan.switch_page);
    return {};
}

/// Rule 8: the image is entered inside one of its copied segments, at a byte that is not skipped; and a paged image
/// finds itself mapped where it expects itself, writable where it says so.
/// Faults: entry_not_in_image (at: entry), not_mapped, not_writable (at: virtual address).
template <class C> result<void> entry_is_inside(const C& c)
{
    using T = C::paging;
    phys_addr entry = phys_addr::at(c.plan.entry.raw());
    if (c.plan.entered_paged) {
        const auto found = walk<T>(c.memory, c.plan.new_root, c.plan.entry);
        if (!found)
            return refuse(fault_code::not_mapped, stage::verifying, c.plan.entry);
        entry = found->physical;
        for (const virtual_segment& v : c.plan.virtual_layout) {
            for (std::optional<virt_addr> at = v.virtual_range.first(); at && *at <= v.virtual_range.last();) {
                const auto there = walk<T>(c.memory, c.plan.new_root, *at);
                if (!there || there->physical != v.physical + (*at - v.virtual_range.first()))
                    return refuse(fault_code::not_mapped, stage::verifying, *at);
                if (v.writable && there->rights != access::read_write)
                    return refuse(fault_code::not_writable, stage::verifying, *at);
                at = checked_add(there->page.last(), byte_count::of(1));
            }
        }
    }
    const bool inside = std::ranges::any_of(
        c.plan.image, [&](const segment& s) { return s.what == content::copy && s.destination.contains(entry); });
    const bool skipped =
        std::ranges::any_of(c.plan.safe, [&](const safe_region& r) { return r.range.contains(entry); });
    if (!inside || skipped)
        return refuse(fault_code::entry_not_in_image, stage::verifying, c.plan.entry);
    return {};
}

/// Rule 9: the program holds what the overlay can hold: its skip ranges are sorted, disjoint, within capacity, and
/// are safe regions, every one that the image's destinations touch among them, the bounce page not; its trail lies in
/// the log.
/// Faults: no_space (at: skip ranges), bad_range (at: first skip range out of order), outside_safe_region (at: skip
/// range or trail), misaligned (at: trail), destination_in_safe_region (at: safe region that is not skipped, or the
/// bounce page's that is).
template <class C> result<void> program_is_sound(const C& c)
{
    const auto program = load<overlay_program>(c.memory, c.plan.program);
    if (program.skip_count > overlay_program::max_skips)
        return refuse(fault_code::no_space, stage::verifying, program.skip_count);
    const auto skips = std::span{program.skips}.first(static_cast<std::size_t>(program.skip_count));
    for (std::size_t i = 0; i < skips.size(); ++i) {
        if (skips[i].first > skips[i].last || (i != 0 && skips[i].first <= skips[i - 1].last))
            return refuse(fault_code::bad_range, stage::verifying, skips[i].first);
        const bool safe = std::ranges::any_of(c.plan.safe, [&](const safe_region& r) {
            return r.range.first().raw() == skips[i].first && r.range.last().raw() == skips[i].last;
        });
        if (!safe)
            return refuse(fault_code::outside_safe_region, stage::verifying, skips[i].first);
    }
    const phys_range bounce = phys_range::of(c.plan.bounce, page_size);
    for (const safe_region& r : c.plan.safe) {
        const bool touched = std::ranges::any_of(
            c.plan.image, [&](const segment& s) { return s.occupies() && s.destination.overlaps(r.range); });
        const bool skipped =
            std::ranges::any_of(skips, [&](const skip_range& s) { return s.first == r.range.first().raw(); });
        if ((touched && !skipped) || (skipped && r.range.overlaps(bounce))) // a save there would be skipped
            return refuse(fault_code::destination_in_safe_region, stage::verifying, r.range.first());
    }
    if (program.trail == overlay_program::no_trail)
        return {};
    const auto trail = phys_range::checked(phys_addr::at(program.trail), byte_count::of(sizeof(breadcrumb)));
    if (!trail)
        return refuse(fault_code::bad_range, stage::verifying, program.trail);
    if (!is_aligned(trail->first(), word_alignment))
        return refuse(fault_code::misaligned, stage::verifying, program.trail);
    return lies_in(c, safe_role::log, *trail);
}

} // namespace rules
} // namespace lobos
