// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The names of an Alpha's exceptions, for the record that the guard leaves: the six entries of a kernel, by `wrent`'s
/// numbers [alpha/arm II-B, exceptions and interrupts].

#include <array>
#include <cstdint>
#include <string_view>

namespace lobos::alpha {

struct exceptions {
    /// Empty for a number that `wrent` does not know.
    static constexpr std::string_view name(std::uint32_t entry)
    {
        using namespace std::string_view_literals;
        constexpr std::array names{"interrupt"sv, "arithmetic trap"sv, "memory management fault"sv,
            "instruction fault"sv, "unaligned access"sv, "system call"sv};
        return entry < names.size() ? names[entry] : ""sv;
    }

    /// What an entry finds in a0 is an address for these.
    static constexpr bool has_address(std::uint32_t entry) { return entry == 2 || entry == 4; }
};

// Sanity checks
static_assert(exceptions::name(3) == "instruction fault" && exceptions::name(6).empty());

} // namespace lobos::alpha
