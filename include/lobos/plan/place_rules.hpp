// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The rules of a safe exec about where things lie: destinations, safe regions, the machinery in them, and what the
/// program skips. Each is a function that looks at the plan and at memory and at nothing that the planner concluded.

#include <lobos/plan/plan.hpp>

namespace lobos::rules {

constexpr bool in_padding(std::span<const segment> image, phys_range r)
{
    return std::ranges::any_of(
        image, [&](const segment& s) { return s.what == content::padding && s.destination.contains(r); });
}

/// The first byte of `image` that is not usable memory, but for what it declares as padding, where a region of ours may
/// lie; nothing if there is none. Takes no longer for a segment as large as the address space.
constexpr std::optional<phys_addr> first_not_usable(std::span<const segment> image, const region_map& map)
{
    for (const segment& s : image) {
        if (!s.occupies())
            continue;
        for (std::optional<phys_addr> at = s.destination.first(); at && *at <= s.destination.last();) {
            const region* holder = map.find(*at);
            const auto piece = holder ? intersection(holder->range, s.destination) : std::nullopt;
            const bool ours = holder && (holder->kind == region_kind::safe || holder->kind == region_kind::surviving);
            const bool fits = piece && (holder->kind == region_kind::usable || (ours && in_padding(image, *piece)));
            if (!fits)
                return at;
            at = address_after(*piece);
        }
    }
    return std::nullopt;
}

/// Rule 1: destinations are usable memory, and disjoint. Only what the image declares as padding may be other than
/// usable, and only because a safe region lies there.
/// Faults: destination_not_usable (at: first such byte), destinations_overlap (at: first common byte).
template <class C> result<void> destinations(const C& c)
{
    if (const auto at = first_not_usable(c.plan.image, c.map))
        return refuse(fault_code::destination_not_usable, stage::verifying, *at);
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

/// The safe regions that end at `address` or later. The list is in order, as rule 2 proves first.
template <class C> std::span<const safe_region> safe_from(const C& c, phys_addr address)
{
    const auto first = std::partition_point(
        c.plan.safe.begin(), c.plan.safe.end(), [&](const safe_region& r) { return r.range.last() < address; });
    return {first, c.plan.safe.end()};
}

/// Rule 2: safe regions are disjoint and listed in order, no byte of the image's lies in one but in declared padding,
/// and no source does but in parameters: these are written by now, and a contract may want them in its image.
/// Faults: safe_regions_overlap (at: first common byte, or the region that is out of order),
/// destination_in_safe_region, source_in_safe_region (at: first such byte), bad_range (at: an extent that wraps).
template <class C> result<void> safe_regions_are_apart(const C& c)
{
    const auto safe = c.plan.safe;
    for (std::size_t i = 1; i < safe.size(); ++i)
        if (safe[i].range.first() <= safe[i - 1].range.last())
            return refuse(fault_code::safe_regions_overlap, stage::verifying, safe[i].range.first());
    for (const segment& s : c.plan.image)
        for (const safe_region& r : safe) {
            const auto common = intersection(s.destination, r.range);
            if (common && s.occupies() && !in_padding(c.plan.image, *common))
                return refuse(fault_code::destination_in_safe_region, stage::verifying, common->first());
        }
    for (const segment& s : c.plan.image)
        for (const extent& e : s.file) {
            if (e.is_zeros())
                continue;
            const auto source = phys_range::checked(e.at, e.size);
            if (!source && e.size.raw() != 0)
                return refuse(fault_code::bad_range, stage::verifying, e.at);
            if (!source)
                continue;
            for (const safe_region& r : safe_from(c, source->first())) {
                const auto common = intersection(*source, r.range);
                if (!common)
                    break;
                if (r.role != safe_role::parameters)
                    return refuse(fault_code::source_in_safe_region, stage::verifying, common->first());
            }
        }
    return {};
}

/// What the overlay loads and stores whole is aligned to this, on every machine.
inline constexpr byte_count word_alignment = byte_count::of(8);

template <class C> result<void> lies_in(const C& c, safe_role role, phys_range r)
{
    const auto after = safe_from(c, r.first());
    if (after.empty() || after.front().role != role || !after.front().range.contains(r))
        return refuse(fault_code::outside_safe_region, stage::verifying, r.first());
    return {};
}

/// Rule 6, of tables: every one below `table` on `Level` of mode `T`, itself included, lies in a safe region of that
/// role. Faults: outside_safe_region (at: first byte).
template <paging_traits T, unsigned Level = T::levels - 1, class C>
result<void> tables_are_safe(const C& c, phys_addr table)
{
    if (const auto inside = lies_in(c, safe_role::page_table, phys_range::of(table, T::table_size)); !inside)
        return inside;
    if constexpr (Level > 0) {
        for (std::uint64_t i = 0; i < (std::uint64_t{1} << T::template index_bits<Level>); ++i) {
            using word = T::word;
            const auto at = table + byte_count::of(i * sizeof(word));
            const typename T::template entry<Level> e{load<word>(c.memory, at)};
            if (!e.present() || e.is_leaf())
                continue;
            if (const auto inside = tables_are_safe<T, Level - 1>(c, e.target()); !inside)
                return inside;
        }
    }
    return {};
}

/// The same of the tables that a paged image is entered on, in mode `T`, where they are its own.
template <paging_traits T, class C> result<void> entry_tables_are_safe(const C& c)
{
    if (!c.plan.entered_paged || c.plan.entry_root == c.plan.new_root)
        return {};
    return tables_are_safe<T>(c, c.plan.entry_root);
}

/// Rule 6: code, stack, frame, program, bounce page, every page of the plan and of modes lie in safe regions of their
/// role; and the program and the pages of the plan on multiples of 8, so that the overlay may load words.
/// Faults: outside_safe_region (at: first byte), bad_range, misaligned (at: page of the plan, or program).
template <class C> result<void> machinery_is_safe(const C& c)
{
    const struct {
        safe_role role;
        phys_range range;
    } places[] = {
        {safe_role::code, phys_range::of(c.plan.code, c.plan.page)},
        {safe_role::stack, phys_range::of(c.plan.stack, c.plan.page)},
        {safe_role::frame, phys_range::of(c.plan.frame, c.plan.page)},
        {safe_role::frame, phys_range::of(c.plan.program, byte_count::of(sizeof(overlay_program)))},
        {safe_role::bounce, phys_range::of(c.plan.bounce, c.plan.page)},
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
        const auto range = phys_range::checked(phys_addr::at(page), byte_count::of(sizeof(plan_page)));
        if (!range)
            return refuse(fault_code::bad_range, stage::verifying, page);
        if (const auto inside = lies_in(c, safe_role::plan, *range); !inside)
            return inside;
        page = load<std::uint64_t>(c.memory, phys_addr::at(page) + byte_count::of(offsetof(plan_page, next)));
    }
    for (const phys_addr tables : std::span{c.plan.mode_pages}.first(c.plan.mode_page_count))
        if (const auto inside = lies_in(c, safe_role::mode, phys_range::of(tables, c.plan.page)); !inside)
            return inside;
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
    const phys_range bounce = phys_range::of(c.plan.bounce, c.plan.page);
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

} // namespace lobos::rules
