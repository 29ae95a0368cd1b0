// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Modules of the contracts that announce some: files for the new kernel, each a segment of the image. One that
/// `add_module` has placed is copied there; any other lies in memory already and stays where it is. Addresses are
/// physical bytes.

#include <lobos/image/flat.hpp>
#include <lobos/x86/multiboot_info.hpp>

namespace lobos::x86 {

/// Whether `s` is the segment of `m`, placed before.
constexpr bool is_segment_of(const segment& s, const multiboot_module& m)
{
    return s.role == segment_role::module && s.destination == m.range;
}

/// Makes each module that is none yet a `kept` segment.
/// Faults: no_space (at: segments needed), misaligned (at: the first byte of a module that is no multiple of
/// `alignment`), destinations_overlap (two modules are one; at: its first byte).
inline result<void> keep_modules(
    segment_list& segments, std::span<const multiboot_module> modules, byte_count alignment = byte_count::of(1))
{
    const std::size_t before = segments.size();
    std::size_t needed = before;
    for (std::size_t i = 0; i < modules.size(); ++i) {
        const phys_addr first = modules[i].range.first();
        if (!is_aligned(first, alignment))
            return refuse(fault_code::misaligned, stage::loading, first);
        for (const multiboot_module& other : modules.first(i))
            if (other.range == modules[i].range)
                return refuse(fault_code::destinations_overlap, stage::loading, first);
        bool placed = false;
        for (std::size_t s = 0; s < before; ++s)
            placed |= is_segment_of(segments[s], modules[i]);
        needed += placed ? 0 : 1;
    }
    if (needed > max_segments)
        return refuse(fault_code::no_space, stage::loading, needed);
    for (const multiboot_module& m : modules) {
        bool placed = false;
        for (std::size_t s = 0; s < before; ++s)
            placed |= is_segment_of(segments[s], m);
        const bool fits =
            placed || segments.push_back({.destination = m.range, .what = content::kept, .role = segment_role::module});
        expects(fits, "kept_modules: they were counted");
    }
    return {};
}

} // namespace lobos::x86
