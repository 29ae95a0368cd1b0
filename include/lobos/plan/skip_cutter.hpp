// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Steps that keep off what no step may change. The paper's loop compared every byte's address with the safe area's
/// [lobos/2000 fig. 6]; here the steps are cut once, before the point of no return, so that the loop which runs in safe
/// memory need not know what is safe, and the verifier proves it of each step.

#include <algorithm>
#include <cstddef>
#include <span>

#include <lobos/core/fault.hpp>
#include <lobos/plan/program.hpp>

namespace lobos {

/// Gives `emit` the pieces of `step` that lie between `skips`, which are sorted and disjoint: from the first, or from
/// the last where the step moves upwards over itself, so that together they move as memmove does.
/// Faults: those of `emit`, which end it.
template <class Emit>
constexpr result<void> cut_around(const overlay_step& step, std::span<const skip_range> skips, Emit emit)
{
    if (step.size == 0)
        return {};
    const std::uint64_t last = step.destination + (step.size - 1);
    const bool from_the_end = !step.fills() && step.destination - step.source < step.size;
    for (std::size_t i = 0; i <= skips.size(); ++i) {
        const std::size_t gap = from_the_end ? skips.size() - i : i; // the one before skips[gap]
        overlay_step piece = step;
        if (gap != 0 && skips[gap - 1].last >= step.destination) {
            if (skips[gap - 1].last >= last)
                continue;
            piece.destination = skips[gap - 1].last + 1;
        }
        std::uint64_t end = last;
        if (gap != skips.size() && skips[gap].first <= last) {
            if (skips[gap].first <= piece.destination)
                continue;
            end = skips[gap].first - 1;
        }
        piece.size = end - piece.destination + 1;
        piece.source = step.source + (piece.destination - step.destination);
        if (const auto emitted = emit(piece); !emitted)
            return emitted;
    }
    return {};
}

// Sanity checks
namespace detail {
/// The pieces' destinations, each as its first address and its size, in decimal.
constexpr std::uint64_t cut_in_figures(const overlay_step& step, std::span<const skip_range> skips)
{
    std::uint64_t figures = 0;
    (void)cut_around(step, skips, [&](const overlay_step& piece) -> result<void> {
        figures = figures * 100 + piece.destination % 10 * 10 + piece.size;
        return {};
    });
    return figures;
}
inline constexpr skip_range some_skips[] = {{12, 13}, {15, 15}};
} // namespace detail
static_assert(detail::cut_in_figures({10, 40, 8}, {}) == 8);
static_assert(detail::cut_in_figures({10, 40, 8}, detail::some_skips) == 2'41'62);
static_assert(detail::cut_in_figures({10, 9, 8}, detail::some_skips) == 62'41'02);
static_assert(detail::cut_in_figures({12, 40, 2}, detail::some_skips) == 0);

} // namespace lobos
