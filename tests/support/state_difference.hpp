// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Two states of a simulated kernel, compared with words for what differs.

#include <string>

#include <lobos/sim/kernel.hpp>

namespace lobos::test {

/// The names of the parts that differ, one behind the other; empty when the states are the same.
inline std::string difference(const sim::kernel_state& a, const sim::kernel_state& b)
{
    std::string names;
    const auto part = [&](const char* name, std::uint64_t x, std::uint64_t y) {
        if (x != y)
            names += std::string{names.empty() ? "" : " "} + name;
    };
    part("own_memory", a.own_memory, b.own_memory);
    part("pages", a.pages, b.pages);
    part("surviving", a.surviving, b.surviving);
    part("map", a.map, b.map);
    part("registers", a.registers, b.registers);
    part("owned", a.owned, b.owned);
    return names.empty() && !(a == b) ? "something without a name" : names;
}

} // namespace lobos::test
