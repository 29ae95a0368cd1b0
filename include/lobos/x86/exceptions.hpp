// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The names of an x86's exceptions, for the record that the guard leaves [intel/vol3 table 6-1].

#include <array>
#include <cstdint>
#include <string_view>

namespace lobos::x86 {

struct exceptions {
    /// Empty for a vector that the manual reserves.
    static constexpr std::string_view name(std::uint32_t vector)
    {
        using namespace std::string_view_literals;
        constexpr std::array names{"divide error"sv, "debug exception"sv, "NMI"sv, "breakpoint"sv, "overflow"sv,
            "BOUND range exceeded"sv, "invalid opcode"sv, "device not available"sv, "double fault"sv,
            "coprocessor segment overrun"sv, "invalid TSS"sv, "segment not present"sv, "stack-segment fault"sv,
            "general protection"sv, "page fault"sv, ""sv, "x87 floating-point error"sv, "alignment check"sv,
            "machine check"sv, "SIMD floating-point exception"sv, "virtualization exception"sv,
            "control protection exception"sv};
        return vector < names.size() ? names[vector] : ""sv;
    }

    /// Of CR2, only a page fault says something.
    static constexpr bool has_address(std::uint32_t vector) { return vector == 14; }
};

// Sanity checks
static_assert(exceptions::name(6) == "invalid opcode" && exceptions::name(15).empty() && exceptions::name(32).empty());

} // namespace lobos::x86
