// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Plans damaged at random, for whoever has to notice.

#include <utility>
#include <vector>

#include <lobos/plan/program.hpp>

#include <tests/support/random_numbers.hpp>

namespace lobos::test {

/// One change, of those that a planner could be wrong by. Addresses drawn at random lie in [base, base + size).
/// Precondition: there is a step.
inline void damage(
    std::vector<overlay_step>& steps, random_numbers& random, phys_addr bounce, std::uint64_t base, std::uint32_t size)
{
    const std::size_t i = random.below(static_cast<std::uint32_t>(steps.size()));
    const std::size_t j = random.below(static_cast<std::uint32_t>(steps.size()));
    const auto off_by_one = [&](std::uint64_t& value) { value += random.chance(8) ? 1 : ~std::uint64_t{0}; };
    switch (random.below(9)) {
    case 0: std::swap(steps[i], steps[j]); break;
    case 1: steps.erase(steps.begin() + static_cast<std::ptrdiff_t>(i)); break;
    case 2: off_by_one(steps[i].destination); break;
    case 3:
        if (!steps[i].fills())
            off_by_one(steps[i].source);
        break;
    case 4: off_by_one(steps[i].size); break;
    case 5: {
        const overlay_step again = steps[i];
        steps.insert(steps.begin() + static_cast<std::ptrdiff_t>(j), again);
        break;
    }
    case 6: steps[i].source = random.chance(8) ? steps[i].destination : bounce.raw(); break;
    case 7: { // one that nobody asked for
        const std::uint64_t bytes = 1 + random.below(8);
        const std::uint64_t destination = base + random.below(size - 8);
        const std::uint64_t source = random.chance(4) ? destination : base + random.below(size - 8);
        steps.insert(steps.begin() + static_cast<std::ptrdiff_t>(j), overlay_step{destination, source, bytes});
        break;
    }
    default: std::swap(steps[i].source, steps[j].source); break;
    }
}

} // namespace lobos::test
