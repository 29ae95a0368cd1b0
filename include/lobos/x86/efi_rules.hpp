// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What rule 11 asks of an EFI memory map that an image is told, read by the offsets of the manual's descriptor
/// [uefi/2.9 §7.2 "GetMemoryMap"], which are written down here a second time: what it calls free is free, what the
/// firmware works with at run time is nobody else's, and nothing of that is lost on the way.

#include <lobos/plan/place_rules.hpp>
#include <lobos/x86/efi_memory_map.hpp>

namespace lobos::x86 {

/// `C` is a verifier_context.
template <class C> class efi_rules {
public:
    explicit efi_rules(const C& context) : context_{context} {}

    /// Whether `size` bytes at `at` are what they are now when the kernel looks.
    bool survives(std::uint64_t at, std::uint64_t size) const
    {
        const auto r = phys_range::checked(phys_addr::at(at), byte_count::of(size));
        const auto written = [&](const segment& s) {
            return s.what != content::kept && s.occupies() && s.destination.overlaps(*r);
        };
        return r && std::ranges::none_of(context_.plan.image, written) && !is_safe(*r);
    }

    /// The system table, with wide pointers or with narrow ones [uefi/2.9 §4.3].
    bool has_system_table(std::uint64_t at, bool is_64_bit) const { return survives(at, is_64_bit ? 120 : 72); }

    /// ACPI's root pointer: from revision 2 on it has a second part [acpi/6.5 §5.2.5.3].
    bool has_root_pointer(std::uint64_t at) const
    {
        constexpr std::uint64_t revision = 15, first_part = 20, both = 36;
        return survives(at, first_part) &&
            (load<std::uint8_t>(context_.memory, phys_addr::at(at + revision)) < 2 || survives(at, both));
    }

    /// The map of `size` bytes at `at`, whose descriptors are `one` byte long, when `known` is what was asked for.
    /// Precondition: these bytes are parameters. Faults: entry_contract_broken (at: the descriptor that is wrong; the
    /// map, if its sizes are, or if it lacks one).
    result<void> hold(const efi_firmware& known, std::uint64_t at, std::uint32_t size, std::uint32_t one) const
    {
        if (one < 40 || one != known.descriptor_size || size == 0 || size % one != 0)
            return broken(at);
        for (std::uint64_t d = at; d != at + size; d += one)
            if (!is_sound(d))
                return broken(d);
        // Each that the firmware works with, in its own words.
        const std::uint64_t begin = known.memory_map.first().raw(), all = known.memory_map.size().raw();
        for (std::uint64_t d = begin; d - begin < all; d += one) {
            if (!is_at_run_time(d) || word(d + pages) == 0)
                continue;
            bool told = false;
            for (std::uint64_t t = at; t != at + size && !told; t += one)
                told = half(t) == half(d) && word(t + first) == word(d + first) && word(t + pages) == word(d + pages) &&
                    word(t + attributes) == word(d + attributes);
            if (!told)
                return broken(at);
        }
        return {};
    }

private:
    static constexpr std::uint64_t first = 8, pages = 24, attributes = 32;

    std::uint64_t word(std::uint64_t at) const { return load<std::uint64_t>(context_.memory, phys_addr::at(at)); }
    std::uint32_t half(std::uint64_t at) const { return load<std::uint32_t>(context_.memory, phys_addr::at(at)); }
    bool is_at_run_time(std::uint64_t d) const { return word(d + attributes) >> 63 != 0; }

    bool is_safe(phys_range r) const
    {
        return std::ranges::any_of(context_.plan.safe, [&](const safe_region& s) { return s.range.overlaps(r); });
    }
    /// Whether the running kernel's map has memory of this kind in `r`.
    bool has(region_kind kind, phys_range r) const
    {
        return std::ranges::any_of(
            context_.map.regions(), [&](const region& m) { return m.kind == kind && m.range.overlaps(r); });
    }

    /// All of it is usable, or the exec's as long as that takes: a loader's memory is for whoever is told to free.
    bool is_free_later(phys_range r) const
    {
        for (phys_addr at = r.first();;) {
            std::optional<phys_addr> last;
            for (const safe_region& s : context_.plan.safe)
                if (s.range.contains(at))
                    last = s.range.last();
            for (const region& m : context_.map.regions())
                if ((m.kind == region_kind::usable || m.kind == region_kind::safe) && m.range.contains(at))
                    last = m.range.last();
            if (!last || *last >= r.last())
                return last.has_value();
            at = *last + byte_count::of(1);
        }
    }

    bool is_sound(std::uint64_t d) const
    {
        const std::uint64_t count = word(d + pages);
        if (count == 0 || count >> 52 != 0)
            return false;
        const auto r = phys_range::checked(phys_addr::at(word(d + first)), byte_count::of(count << 12));
        if (!r || word(d + first) % 4096 != 0)
            return false;
        if (is_at_run_time(d))
            return survives(r->first().raw(), count << 12) && !has(region_kind::usable, *r);
        switch (half(d)) {
        case 1: // a loader's
        case 2: return is_free_later(*r);
        case 7: return !context_.map.first_not(region_kind::usable, *r) && !is_safe(*r);
        case 3: // boot services', which a kernel may take too
        case 4: return !has(region_kind::surviving, *r) && !is_safe(*r);
        default: return true;
        }
    }

    static std::unexpected<fault> broken(std::uint64_t at)
    {
        return refuse(fault_code::entry_contract_broken, stage::verifying, at);
    }

    const C& context_;
};

} // namespace lobos::x86
