// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What this kernel leaves to the next: the log, which lies outside every image, so that it also outlives a reset after
/// which a loader puts everything in place anew; and a page in the middle of its own image, the paper's padding
/// [lobos/2000 fig. 2], in which a number survives as long as it is this kernel that follows itself.
///
/// A machine keeps its memory over a reset, but its firmware works in the top of it and below 1 MiB, and a loader fills
/// it from 1 MiB up. So the log goes near the top, at a place that the next boot finds in the same way.

#include "linear_memory.hpp"

#include <lobos/core/crc32c.hpp>
#include <lobos/core/region_map.hpp>

#include <optional>

extern "C" {
extern std::byte image_begin[];
extern std::byte image_end[];
extern std::byte safe_begin[];
extern std::byte safe_end[];
}

namespace kernel {

inline lobos::phys_range physical(const std::byte* begin, const std::byte* end)
{
    const auto first = reinterpret_cast<std::uintptr_t>(begin) - static_cast<std::uintptr_t>(kernel_base);
    return lobos::phys_range::of(
        lobos::phys_addr::at(first), lobos::byte_count::of(static_cast<std::uint64_t>(end - begin)));
}
inline lobos::phys_range own_image()
{
    return physical(image_begin, image_end);
}
inline lobos::phys_range padding_page()
{
    return physical(safe_begin, safe_end);
}

/// Where the log lies: where the kernel before says, or else where one that was reset will have put it, which is also
/// where a new one goes. Nothing when there is no room clear of `taken`.
inline std::optional<lobos::phys_range> place_of_log(
    const lobos::region_map& map, std::span<const lobos::phys_range> taken)
{
    constexpr auto size = 128_KiB;
    constexpr auto spacing = 2_MiB; // farther from the top than the firmware's work room reaches
    for (const lobos::region& r : map.regions())
        if (r.kind == lobos::region_kind::surviving && r.range != padding_page())
            return r.range;
    return map.highest_hole(size, spacing, commonly_mapped, taken);
}

/// What the padding holds.
struct padding_note {
    static constexpr std::uint32_t right_magic = 0x6e64'6170; // "padn"

    std::uint32_t magic = right_magic;
    std::uint32_t execs = 0; ///< that this page has come through
    std::uint32_t crc = 0;   ///< of the fields above

    std::uint32_t right_crc() const
    {
        return lobos::crc32c{}.update(lobos::bytes_of(*this).first(offsetof(padding_note, crc))).value();
    }
};

/// Reads the note of the kernel before and leaves one for the next. How many execs the page has come through; 0 for a
/// page that a loader has just filled.
inline std::uint32_t pass_on_padding()
{
    const auto at = padding_page().first();
    const auto found = lobos::load<padding_note>(memory, at);
    const bool valid = found.magic == padding_note::right_magic && found.crc == found.right_crc();
    padding_note next{.execs = valid ? found.execs + 1 : 1};
    next.crc = next.right_crc();
    lobos::store(memory, at, next);
    return next.execs - 1;
}

} // namespace kernel
