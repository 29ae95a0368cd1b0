// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The rules of a safe exec about its page tables, walked as the processor will: what the overlay touches, the page of
/// the switch, and where a paged image finds itself.

#include <lobos/paging/walk.hpp>
#include <lobos/plan/plan.hpp>

namespace lobos::rules {

/// What the overlay does with a range.
enum class touch : std::uint8_t { reads, writes, runs };

/// A range that the overlay touches: where it looks for it, there it is, and it may do that.
template <paging_traits T, class C> result<void> overlay_finds(const C& c, phys_range r, touch how)
{
    if (!overlay_reach<T>().contains(r))
        return refuse(fault_code::not_mapped, stage::verifying, r.first());
    std::optional<phys_addr> at = r.first();
    while (at && *at <= r.last()) {
        const virt_addr v = overlay_address<T>(*at);
        const auto found = walk<T>(c.memory, c.plan.new_root, v);
        if (!found || found->physical != *at)
            return refuse(fault_code::not_mapped, stage::verifying, *at);
        if (how == touch::writes && found->rights != access::read_write)
            return refuse(fault_code::not_writable, stage::verifying, *at);
        if (how == touch::runs && !found->executable)
            return refuse(fault_code::not_executable, stage::verifying, *at);
        const byte_count all_but_one = found->page.last() - v;
        at = all_but_one < r.last() - *at ? checked_add(*at + all_but_one, byte_count::of(1)) : std::nullopt;
    }
    return {};
}

/// A range that the copy touches: mapped, or when it runs without paging, where 32-bit code reaches.
template <paging_traits T, class C> result<void> copy_reaches(const C& c, phys_range r, touch how)
{
    if (c.plan.regime == copy_regime::paged)
        return overlay_finds<T>(c, r, how);
    if (!below_4g.contains(r))
        return refuse(fault_code::bad_range, stage::verifying, r.first());
    return {};
}

constexpr touch touch_of(safe_role role)
{
    switch (role) {
    case safe_role::code: return touch::runs;
    case safe_role::stack:
    case safe_role::bounce: return touch::writes;
    default: return touch::reads;
    }
}

/// Rule 5: every byte that the overlay reads or writes is mapped where it looks for it (one to one, or in the direct
/// range) in the new tables, which are of mode `T`, writable where it writes and executable where it runs. A copy
/// without paging needs that only for the way there, and everything below 4 GiB. The steps are taken as they will run:
/// what one saves in the bounce page is read whole, whatever of it is wanted later.
/// Faults: not_mapped, not_writable, not_executable, bad_range (at: address).
template <paging_traits T, class C> result<void> reach_is_mapped(const C& c)
{
    const auto program = load<overlay_program>(c.memory, c.plan.program);
    const auto steps = for_each_step(
        c.memory, program.first_page, c.most_plan_pages, [&](const overlay_step& s, std::uint64_t) -> result<void> {
            const byte_count size = byte_count::of(s.size);
            const auto written = copy_reaches<T>(c, phys_range::of(phys_addr::at(s.destination), size), touch::writes);
            if (!written || s.fills())
                return written;
            return copy_reaches<T>(c, phys_range::of(phys_addr::at(s.source), size), touch::reads);
        });
    if (!steps)
        return steps;
    for (const safe_region& r : c.plan.safe) {
        if (!overlay_touches(r.role))
            continue;
        const auto mapped = overlay_finds<T>(c, r.range, touch_of(r.role));
        if (!mapped)
            return mapped;
        if (const auto reached = copy_reaches<T>(c, r.range, touch::reads); !reached)
            return reached;
    }
    const auto trail = phys_range::checked(program.trail == overlay_program::no_trail
            ? c.plan.program + byte_count::of(offsetof(overlay_program, untold))
            : phys_addr::at(program.trail),
        byte_count::of(sizeof(breadcrumb)));
    return trail ? overlay_finds<T>(c, *trail, touch::writes) : result<void>{};
}

/// Rule 7: the page in which the switch happens maps alike in old and new tables of mode `T`, to the overlay's code,
/// and may be executed in both. Faults: switch_page_differs (at: virtual address).
template <paging_traits T, class C> result<void> switch_page_is_alike(const C& c)
{
    const auto before = walk<T>(c.memory, c.plan.running_root, c.plan.switch_page);
    const auto after = walk<T>(c.memory, c.plan.new_root, c.plan.switch_page);
    const byte_count all_but_one = c.plan.page - byte_count::of(1);
    const bool alike = before && after && before->executable && after->executable && before->physical == c.plan.code &&
        after->physical == c.plan.code && before->page.last() - c.plan.switch_page >= all_but_one &&
        after->page.last() - c.plan.switch_page >= all_but_one;
    if (!alike)
        return refuse(fault_code::switch_page_differs, stage::verifying, c.plan.switch_page);
    return {};
}

/// Rule 8: the image is entered inside one of its copied segments, at a byte that is not skipped; and a paged image
/// finds itself mapped where it expects itself, writable where it says so, in tables of mode `T`, and may be executed
/// where it is entered.
/// Faults: entry_not_in_image, not_executable (at: entry), not_mapped, not_writable (at: virtual address).
template <paging_traits T, class C> result<void> entry_is_inside(const C& c)
{
    phys_addr entry = phys_addr::at(c.plan.entry.raw());
    if (c.plan.entered_paged) {
        const auto found = walk<T>(c.memory, c.plan.entry_root, c.plan.entry);
        if (!found)
            return refuse(fault_code::not_mapped, stage::verifying, c.plan.entry);
        if (!found->executable)
            return refuse(fault_code::not_executable, stage::verifying, c.plan.entry);
        entry = found->physical;
        for (const virtual_segment& v : c.plan.virtual_layout) {
            for (std::optional<virt_addr> at = v.virtual_range.first(); at && *at <= v.virtual_range.last();) {
                const auto there = walk<T>(c.memory, c.plan.entry_root, *at);
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

} // namespace lobos::rules
