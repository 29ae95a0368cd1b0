// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What the exception guard left behind, in words, for whoever finds the log after the reset: a kernel's next boot, or
/// a tool in user space. The breadcrumb is believed as far as numbers go; what a number does not name has no name. What
/// exceptions are called is the port's to say.

#include <concepts>
#include <string_view>

#include <lobos/core/text.hpp>
#include <lobos/plan/program.hpp>

namespace lobos {

/// A machine's exceptions.
template <class E>
concept exception_names = requires(std::uint32_t vector) {
    /// The manual's name; empty for a vector that has none.
    { E::name(vector) } -> std::same_as<std::string_view>;
    /// Whether it is about an address, which is what `breadcrumb::touched` is then.
    { E::has_address(vector) } -> std::same_as<bool>;
};

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
template <exception_names E> constexpr text_line guard_record(const breadcrumb& crumb)
{
    text_line line{"ended "};
    if (crumb.exception == 0) {
        line.add("without a record");
    } else {
        const std::uint32_t vector = crumb.exception - 1;
        line.add("by exception ").add_decimal(vector);
        if (const auto name = E::name(vector); !name.empty())
            line.add(" (").add(name).add(")");
        line.add(", error ").add_hex(crumb.error).add(", at ").add_hex(crumb.at, 8);
        if (E::has_address(vector))
            line.add(", address ").add_hex(crumb.touched, 8);
    }
    return line.add(", stage ").add(stage_name(crumb.stage)).add(", step ").add_decimal(crumb.steps);
}

// Sanity checks
static_assert(
    !ended_early({}) && !ended_early({3, 0, 9, 0, 0, 0, 0, 0, 0}) && ended_early({3, 0, 9, 0, 0, 7, 0, 0, 0}));
static_assert(ended_early({1, 0, 0, 0, 0, 0, 0, 0, 0}) && ended_early({2, 0, 3, 0, 0, 0, 0, 0, 0}));

} // namespace lobos
