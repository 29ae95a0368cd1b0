// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The parts of rule 11 that entry contracts have in common: the memory map that the next kernel is told, which a
/// contract reads entry by entry, as its protocol lays it out, to ask here whether the whole is true; and what a paged
/// image finds one to one.

#include <lobos/paging/walk.hpp>
#include <lobos/plan/place_rules.hpp>

namespace lobos::rules {

/// A memory map as the image is told it. `C` is a verifier_context.
template <class C> class told_map {
public:
    /// `unit` is what the protocol counts memory in, a power of two, and `reach` what it has numbers for. What shares a
    /// unit with something else cannot be told as usable.
    explicit told_map(const C& context, byte_count unit = byte_count::of(1),
        phys_range reach = phys_range::between(phys_addr{}, phys_addr::at(~std::uint64_t{0})))
        : context_{context},
          unit_{unit.raw()},
          reach_{reach}
    {
    }

    /// The next entry, which was read at `at`. Each lies behind the one before; what is told as usable is usable memory
    /// of the running kernel's map, and no safe region.
    /// Faults: entry_contract_broken (at: `at`).
    result<void> entry(phys_range r, bool usable, phys_addr at)
    {
        const bool ordered = next_ && *next_ <= r.first();
        if (!ordered || (usable && context_.map.first_not(region_kind::usable, r)))
            return broken(at);
        next_ = address_after(r);
        const std::uint64_t safe = safe_bytes(r);
        if (usable && safe != 0)
            return broken(at);
        if (usable) {
            usable_ += bytes(r);
            return {};
        }
        safe_ += safe;
        others_ += other_bytes(r);
        return {};
    }

    /// That was the last one. No unit of usable memory is told as anything else, and everything else that the running
    /// kernel's map knows, and every safe region, is told as not usable.
    /// Faults: entry_contract_broken (at: `at`).
    result<void> end(phys_addr at) const
    {
        std::uint64_t safe = 0, usable = 0, others = 0;
        for (const safe_region& r : context_.plan.safe)
            safe += bytes(r.range);
        for (const region& r : context_.map.regions()) {
            const auto told = intersection(r.range, reach_);
            if (told && r.kind == region_kind::usable)
                usable += usable_bytes(*told);
            else if (told)
                others += bytes(*told);
        }
        if (safe != safe_ || usable != usable_ || others != others_)
            return broken(at);
        return {};
    }

private:
    static std::unexpected<fault> broken(phys_addr at)
    {
        return refuse(fault_code::entry_contract_broken, stage::verifying, at);
    }

    /// Sums are compared modulo 2^64, where all of the address space is 0 bytes.
    static std::uint64_t bytes(phys_range r) { return r.last().raw() - r.first().raw() + 1; }

    /// How much of `r` is safe regions; they are disjoint and in order, by rule 2.
    std::uint64_t safe_bytes(phys_range r) const
    {
        std::uint64_t sum = 0;
        for (const safe_region& s : safe_from(context_, r.first())) {
            const auto common = intersection(s.range, r);
            if (!common)
                break;
            sum += bytes(*common);
        }
        return sum;
    }

    /// How much of `r` can be told as usable: whole units that touch no safe region.
    std::uint64_t usable_bytes(phys_range r) const
    {
        std::uint64_t sum = 0;
        std::optional<phys_addr> at = r.first(); // behind the safe regions so far
        for (const safe_region& s : safe_from(context_, r.first())) {
            if (!s.range.overlaps(r))
                break;
            if (*at < s.range.first())
                sum += bytes_of_units(phys_range::between(*at, s.range.first() - byte_count::of(1)));
            at = address_after(s.range);
        }
        return at && *at <= r.last() ? sum + bytes_of_units(phys_range::between(*at, r.last())) : sum;
    }

    std::uint64_t bytes_of_units(phys_range r) const
    {
        const auto first = checked_align_up(r.first(), byte_count::of(unit_));
        const std::uint64_t end = (r.last().raw() + 1) & ~(unit_ - 1); // 0 behind the last address
        return !first || *first > r.last() || (end != 0 && end < first->raw()) ? 0 : end - first->raw();
    }

    /// How much of `r` the running kernel's map knows, and not as usable.
    std::uint64_t other_bytes(phys_range r) const
    {
        const auto all = context_.map.regions();
        auto at = std::partition_point(
            all.begin(), all.end(), [&](const region& known) { return known.range.last() < r.first(); });
        std::uint64_t sum = 0;
        for (; at != all.end() && at->range.first() <= r.last(); ++at)
            if (at->kind != region_kind::usable)
                sum += bytes(*intersection(at->range, r));
        return sum;
    }

    const C& context_;
    std::uint64_t unit_;
    phys_range reach_;
    std::optional<phys_addr> next_ = phys_addr{};
    std::uint64_t usable_ = 0;
    std::uint64_t safe_ = 0;
    std::uint64_t others_ = 0;
};

/// `r` is mapped one to one and writable in the tables that the image is entered on, which are of mode `T`; and it may
/// be executed, if asked for. Faults: not_mapped, not_writable, not_executable (at: address).
template <paging_traits T, class C> result<void> one_to_one(const C& c, phys_range r, bool executable)
{
    for (std::optional<phys_addr> at = r.first(); at && *at <= r.last();) {
        const auto found = walk<T>(c.memory, c.plan.entry_root, virt_addr::at(at->raw()));
        if (!found || found->physical != *at)
            return refuse(fault_code::not_mapped, stage::verifying, *at);
        if (executable && !found->executable)
            return refuse(fault_code::not_executable, stage::verifying, *at);
        if (found->rights != access::read_write)
            return refuse(fault_code::not_writable, stage::verifying, *at);
        at = checked_add(phys_addr::at(found->page.last().raw()), byte_count::of(1));
    }
    return {};
}

} // namespace lobos::rules
