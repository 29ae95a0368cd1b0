// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Seeds of random layouts that are tried before all others: those that failed once, and those that few others can
/// stand in for (each is here for a planner broken on purpose, which it was among the first to show).
///
/// A failing test prints its seed. `LOBOS_SEED=<seed>` runs that one alone; once it is understood, add it here with a
/// word on what it showed. A change to what a generator draws gives every seed another layout: then the lists have to
/// be made again from the same breakages.

#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

namespace lobos::test {

/// For tests/property/planner_random.cpp.
inline constexpr std::uint64_t small_layout_seeds[] = {
    4,   // a run that reads itself waits for itself
    14,  // a run that grows out of the one before in another segment
    367, // a run that grows over what lies in place
};

/// For tests/property/planner_dense.cpp.
inline constexpr std::uint64_t dense_layout_seeds[] = {
    180,  // failed: zeros in a file grew into what followed them, if that lay at their size less one
    220,  // failed: zeros to be put at the last address of all were taken to be in place
    2,    // a file that begins before its segment, in more than one extent
    44,   // a circle opened at its largest run, not its smallest
    71,   // a run that grows over what lies in place
    111,  // equal runs of several pages, in a circle
    2634, // a circle whose smallest run is a byte larger than the bounce page
};

/// `known` and then 1 to `count`; or the one of LOBOS_SEED alone.
inline std::vector<std::uint64_t> seeds_to_try(std::span<const std::uint64_t> known, std::uint32_t count)
{
    if (const char* only = std::getenv("LOBOS_SEED"))
        return {std::strtoull(only, nullptr, 0)};
    std::vector<std::uint64_t> seeds(known.begin(), known.end());
    for (std::uint64_t seed = 1; seed <= count; ++seed)
        seeds.push_back(seed);
    return seeds;
}

} // namespace lobos::test
