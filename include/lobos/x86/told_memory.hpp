// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What rule 11 of every x86 contract reads with: what the image is told, number by number, from the safe pages of
/// parameters, where its first instruction will find it. Addresses are physical, numbers little-endian. Nobody who
/// wrote any of it is asked.

#include <lobos/plan/told_rules.hpp>
#include <lobos/x86/departure.hpp>

namespace lobos::x86 {

/// `C` is a verifier_context.
template <class C> class told_memory {
public:
    explicit told_memory(const C& context) : context_{context} {}

    std::unexpected<fault> broken(std::uint64_t at) const
    {
        return refuse(fault_code::entry_contract_broken, stage::verifying, at);
    }

    /// The field of the frame that `offset` names, where a register's value is wrong.
    std::unexpected<fault> broken_register(std::size_t offset) const
    {
        return broken(context_.plan.frame.raw() + offset);
    }

    /// `size` bytes at `at`, at least one, are parameters and lie below 4 GiB. They may go on in the next page, if that
    /// is one of parameters too. Faults: outside_safe_region (at: `at`).
    result<void> has(std::uint64_t at, std::uint64_t size) const
    {
        const auto range = phys_range::checked(phys_addr::at(at), byte_count::of(size));
        if (!range || !below_4g.contains(*range))
            return refuse(fault_code::outside_safe_region, stage::verifying, at);
        return rules::lies_in(context_, safe_role::parameters, *range);
    }

    /// A number. Precondition: `has` it.
    template <class T> T number(std::uint64_t at) const { return load<T>(context_.memory, phys_addr::at(at)); }
    std::uint32_t word(std::uint64_t at) const { return number<std::uint32_t>(at); }
    std::uint64_t long_word(std::uint64_t at) const { return number<std::uint64_t>(at); }

    /// A string that ends within the parameters. Faults: outside_safe_region (at: first byte that is none of theirs).
    result<void> has_string(std::uint64_t at) const
    {
        for (;; ++at) {
            if (const auto there = has(at, 1); !there)
                return there;
            if (number<char>(at) == '\0')
                return {};
        }
    }

    /// Whether `size` bytes from `first` on are usable memory, and no safe region.
    bool is_free(std::uint64_t first, std::uint64_t size) const
    {
        if (size == 0)
            return true;
        const auto range = phys_range::checked(phys_addr::at(first), byte_count::of(size));
        if (!range)
            return false;
        for (const safe_region& s : context_.plan.safe)
            if (s.range.overlaps(*range))
                return false;
        return !context_.map.first_not(region_kind::usable, *range);
    }

private:
    const C& context_;
};

/// The modules that an image is told of: each is one segment of it, and none is left out.
template <class C> class told_modules {
    static_assert(max_segments <= 64, "a bit for each");

public:
    explicit told_modules(const C& context) : context_{context} {}

    /// The next module, whose numbers were read at `at`. Faults: entry_contract_broken (at: `at`).
    result<void> entry(std::uint64_t first, std::uint64_t size, byte_count alignment, std::uint64_t at)
    {
        const auto range = phys_range::checked(phys_addr::at(first), byte_count::of(size));
        for (std::size_t i = 0; range && i < context_.plan.image.size(); ++i) {
            const segment& s = context_.plan.image[i];
            const std::uint64_t bit = std::uint64_t{1} << i;
            if (s.role != segment_role::module || s.destination != *range || (seen_ & bit) != 0)
                continue;
            seen_ |= bit;
            return is_aligned(range->first(), alignment) ? result<void>{} : broken(at);
        }
        return broken(at);
    }

    /// That was the last one. Faults: entry_contract_broken (at: `at`).
    result<void> end(std::uint64_t at) const
    {
        for (std::size_t i = 0; i < context_.plan.image.size(); ++i)
            if (context_.plan.image[i].role == segment_role::module && (seen_ >> i & 1) == 0)
                return broken(at);
        return {};
    }

private:
    static result<void> broken(std::uint64_t at)
    {
        return refuse(fault_code::entry_contract_broken, stage::verifying, at);
    }

    const C& context_;
    std::uint64_t seen_ = 0;
};

} // namespace lobos::x86
