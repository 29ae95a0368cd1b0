// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What the exception guard left behind, in words, for whoever finds the log after the reset: a kernel's next boot, or
/// a tool in user space. The breadcrumb is believed as far as numbers go; what a number does not name has no name.

#include <array>
#include <string_view>

#include <lobos/core/text.hpp>
#include <lobos/plan/program.hpp>

namespace lobos::x86 {

/// The manual's name of an exception [intel/vol3 table 6-1]; empty for a vector that it reserves.
constexpr std::string_view exception_name(std::uint32_t vector)
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

/// The name of an overlay_stage, or of none.
constexpr std::string_view stage_name(std::uint32_t stage)
{
    using namespace std::string_view_literals;
    switch (static_cast<overlay_stage>(stage)) {
    case overlay_stage::prepared: return "prepared"sv;
    case overlay_stage::copying: return "copying"sv;
    case overlay_stage::copied: return "copied"sv;
    }
    return "unknown"sv;
}

/// Whether an exec that had begun has ended otherwise than in its new kernel. Precondition: the exec is over.
constexpr bool ended_early(const breadcrumb& crumb)
{
    const bool arrived = crumb.stage == static_cast<std::uint32_t>(overlay_stage::copied);
    return crumb.exception != 0 || (crumb.stage != 0 && !arrived);
}

/// One line: what ended the exec where. Precondition: ended_early(crumb).
constexpr text_line guard_record(const breadcrumb& crumb)
{
    constexpr std::uint32_t page_fault = 14;
    text_line line{"ended "};
    if (crumb.exception == 0) {
        line.add("without a record");
    } else {
        const std::uint32_t vector = crumb.exception - 1;
        line.add("by exception ").add_decimal(vector);
        if (const auto name = exception_name(vector); !name.empty())
            line.add(" (").add(name).add(")");
        line.add(", error ").add_hex(crumb.error).add(", at ").add_hex(crumb.at, 8);
        if (vector == page_fault)
            line.add(", address ").add_hex(crumb.touched, 8);
    }
    return line.add(", stage ").add(stage_name(crumb.stage)).add(", step ").add_decimal(crumb.steps);
}

// Sanity checks
static_assert(exception_name(6) == "invalid opcode" && exception_name(15).empty() && exception_name(32).empty());
static_assert(
    !ended_early({}) && !ended_early({3, 0, 9, 0, 0, 0, 0, 0, 0}) && ended_early({3, 0, 9, 0, 0, 7, 0, 0, 0}));
static_assert(ended_early({1, 0, 0, 0, 0, 0, 0, 0, 0}) && ended_early({2, 0, 3, 0, 0, 0, 0, 0, 0}));
static_assert(guard_record({2, 0, 17, 0, 0, 15, 2, 0x1234, 0x5678}).view() ==
    "ended by exception 14 (page fault), error 0x2, at 0x00001234, address 0x00005678, stage copying, step 17");

} // namespace lobos::x86
