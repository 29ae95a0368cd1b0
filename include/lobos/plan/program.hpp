// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The program that the overlay runs: plain words in safe memory, laid out once for all machines. Steps lie in a chain
/// of pages, because a running kernel can always give one page and seldom many in a row.

#include <cstddef>
#include <cstdint>

#include <lobos/core/address.hpp>

namespace lobos {

/// Where the notes of planner and verifier have a source: there is none, the bytes are zeros. Not an address: no range
/// of memory begins with its last byte and has room for a word.
inline constexpr std::uint64_t no_source = ~std::uint64_t{0};

/// One step: `size` bytes from `source` to `destination`, as memmove would do it. Physical addresses.
///
/// What a copy from a place to itself would do needs no step, so that is how one is written which fills its destination
/// with zeros.
struct overlay_step {
    std::uint64_t destination;
    std::uint64_t source;
    std::uint64_t size;

    /// A step that fills.
    static constexpr overlay_step fill(std::uint64_t destination, std::uint64_t size)
    {
        return {destination, destination, size};
    }
    constexpr bool fills() const { return source == destination; }
    friend constexpr bool operator==(const overlay_step&, const overlay_step&) = default;
};

/// A step as it lies in memory. The loop needs the distance, to know from which end to copy, at every step: stored, it
/// costs one addition for the destination, where it would take a move and a subtraction.
struct stored_step {
    std::uint64_t distance; ///< from the source to the destination, round the address space; 0: it fills
    std::uint64_t source;
    std::uint64_t size;

    static constexpr stored_step of(const overlay_step& s) { return {s.destination - s.source, s.source, s.size}; }
    constexpr overlay_step step() const { return {source + distance, source, size}; }
};

/// Steps in a page; on machines with larger ones, in its first 4 KB.
struct plan_page {
    static constexpr std::uint64_t no_page = ~std::uint64_t{0};
    static constexpr std::size_t capacity = 170;

    std::uint64_t next;  ///< physical address of the next page, or `no_page`
    std::uint64_t count; ///< steps in this one
    stored_step steps[capacity];
};
static_assert(sizeof(plan_page) == 4096);

/// Physical memory that no step changes, whatever the plan says. Both ends included.
struct skip_range {
    std::uint64_t first;
    std::uint64_t last;
};

/// How far the overlay has come; the last word it leaves in the surviving log.
enum class overlay_stage : std::uint32_t { prepared = 1, copying = 2, copied = 3 };

/// What the overlay notes down on its way, for whoever reads the log afterwards. Lies in a surviving region.
struct breadcrumb {
    std::uint32_t stage;        ///< an overlay_stage
    std::uint32_t ticks_per_ms; ///< of the machine's clock, by the kernel that left; 0: unknown
    std::uint64_t steps;        ///< steps finished
    std::uint64_t began;        ///< clock at the first step
    std::uint64_t ended;        ///< clock after the last

    /// What ended it, if it did not come through; the guard's to write.
    std::uint32_t exception; ///< vector + 1; 0: none
    std::uint32_t error;     ///< the code that came with it, 0 where none does
    std::uint64_t at;        ///< address of the instruction
    std::uint64_t touched;   ///< address that a page fault was about, if it was one

    /// How long the copy took, by its clock; one of 32 bits may have wrapped.
    constexpr std::uint64_t copy_ticks() const
    {
        return ended >= began ? ended - began : (ended - began) & 0xffff'ffff;
    }
};
static_assert(sizeof(breadcrumb) == 56 && offsetof(breadcrumb, exception) == 32 && offsetof(breadcrumb, at) == 40);

/// What the overlay is told.
struct overlay_program {
    static constexpr std::size_t max_skips = 16;

    std::uint64_t first_page; ///< of steps, physical; `plan_page::no_page` for none
    std::uint64_t trail;      ///< physical address of a `breadcrumb`, or `no_trail`
    std::uint64_t skip_count;
    skip_range skips[max_skips]; ///< sorted, disjoint
    breadcrumb untold = {};      ///< what the overlay notes down where there is no trail

    static constexpr std::uint64_t no_trail = ~std::uint64_t{0};
};

} // namespace lobos
