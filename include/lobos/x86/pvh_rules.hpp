// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Rule 11 for what is told by a PVH start information: that it says the truth, read from memory by the offsets of
/// Xen's own header [xen/pvh start_info.h], as the image will.

#include <lobos/x86/told_file.hpp>
#include <lobos/x86/told_memory.hpp>

namespace lobos::x86 {

/// `C` is a verifier_context; `Registers` are a port's.
template <class C> class pvh_rules {
public:
    template <class Registers>
    pvh_rules(const C& context, const Registers& found)
        : context_{context},
          told_{context},
          at_{found.bx},
          base_{found.real_base}
    {
    }

    /// A note of the file names the plan's entry; `image` says where the file lies.
    /// Faults: entry_contract_broken (at: the entry).
    result<void> names_entry(std::span<const segment> image) const
    {
        const told_file file{context_.memory, image};
        if (!file.is_pvh_entry(phys_addr::at(context_.plan.entry.raw())))
            return told_.broken(context_.plan.entry.raw());
        return {};
    }

    /// Registers, structure, memory map, modules and strings. Modules begin at multiples of `alignment`.
    /// Faults: entry_contract_broken (at: the field of the frame or of the structure that is wrong),
    /// outside_safe_region (at: what is announced and lies in no page of parameters).
    result<void> hold(byte_count alignment) const
    {
        if (base_ != 0)
            return told_.broken_register(offsetof(departure_frame, entry));
        if (at_ % 8 != 0)
            return told_.broken_register(offsetof(departure_frame, bx));
        result<void> held = told_.has(at_, 56);
        const auto then = [&](auto rule) {
            if (held)
                held = rule();
        };
        then([&] { return is_start_info(); });
        then([&] { return tells_modules(alignment); });
        then([&] { return told_.has_string(told_.long_word(at_ + 24)); });
        then([&] { return tells_memory(); });
        return held;
    }

private:
    /// The first domain of a hypervisor has flags, and a root pointer is a pointer to one [acpi/6.5 §5.2.5.3].
    result<void> is_start_info() const
    {
        if (told_.word(at_) != 0x336e'c578)
            return told_.broken(at_);
        if (told_.word(at_ + 4) != 1)
            return told_.broken(at_ + 4);
        if (told_.word(at_ + 8) != 0)
            return told_.broken(at_ + 8);
        if (told_.word(at_ + 52) != 0)
            return told_.broken(at_ + 52);
        const std::uint64_t root = told_.long_word(at_ + 32);
        const bool sound = root == 0 || (root % 16 == 0 && root <= below_4g.last().raw());
        if (!sound || (root != 0 && is_overwritten(phys_range::of(phys_addr::at(root), byte_count::of(20)))))
            return told_.broken(at_ + 32);
        return {};
    }

    /// Whether the image or a safe region takes the place of what lies in `r`.
    bool is_overwritten(phys_range r) const
    {
        for (const segment& s : context_.plan.image)
            if (s.what != content::padding && s.destination.overlaps(r))
                return true;
        for (const safe_region& s : context_.plan.safe)
            if (s.range.overlaps(r))
                return true;
        return false;
    }

    result<void> tells_modules(byte_count alignment) const
    {
        told_modules<C> list{context_};
        const std::uint64_t count = told_.word(at_ + 12), first = told_.long_word(at_ + 16);
        for (std::uint64_t i = 0; i < count; ++i) {
            const std::uint64_t at = first + i * 32;
            if (const auto there = told_.has(at, 32); !there)
                return there;
            if (told_.long_word(at + 24) != 0)
                return told_.broken(at);
            const auto held = list.entry(told_.long_word(at), told_.long_word(at + 8), alignment, at);
            if (!held)
                return held;
            if (const std::uint64_t string = told_.long_word(at + 16); string != 0)
                if (const auto ends = told_.has_string(string); !ends)
                    return ends;
        }
        return list.end(at_ + 12);
    }

    result<void> tells_memory() const
    {
        rules::told_map<C> map{context_};
        const std::uint64_t count = told_.word(at_ + 48), first = told_.long_word(at_ + 40);
        for (std::uint64_t i = 0; i < count; ++i) {
            const std::uint64_t at = first + i * 24;
            if (const auto there = told_.has(at, 24); !there)
                return there;
            const auto range =
                phys_range::checked(phys_addr::at(told_.long_word(at)), byte_count::of(told_.long_word(at + 8)));
            const std::uint32_t type = told_.word(at + 16);
            if (!range || type < 1 || type > 5 || told_.word(at + 20) != 0)
                return told_.broken(at);
            if (const auto held = map.entry(*range, type == 1, phys_addr::at(at)); !held)
                return held;
        }
        return map.end(phys_addr::at(at_ + 48));
    }

    const C& context_;
    told_memory<C> told_;
    std::uint64_t at_;
    std::uint32_t base_;
};

} // namespace lobos::x86
