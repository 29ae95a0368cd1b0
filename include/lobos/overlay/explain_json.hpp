// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What `explain` says, and every step of the program, as JSON that is made to be compared: keys in a fixed order, one
/// segment, region or step a line, nothing that differs between two runs or two machines. docs/explain.md describes it.
///
/// Addresses are strings in hexadecimal and bytes strings in decimal, because a reader that keeps numbers as doubles
/// would lose the low bits of both. Only words of the library's own are written, and none of them needs escaping.

#include <lobos/core/expects.hpp>
#include <lobos/overlay/explain.hpp>

namespace lobos {

/// How the rest is laid out. Another layout has another number.
inline constexpr std::string_view plan_schema{"lobos.plan/1", 12};

namespace detail {

/// "key": "0x00001000"
constexpr text_line& add_address(text_line& out, const char* key, std::uint64_t address)
{
    return out.add("\"").add(key).add("\": \"").add(phys_addr::at(address)).add("\"");
}
/// "key": "4096"
constexpr text_line& add_bytes(text_line& out, const char* key, byte_count bytes)
{
    return out.add("\"").add(key).add("\": \"").add(bytes).add("\"");
}
constexpr text_line& add_word(text_line& out, const char* key, std::string_view word)
{
    return out.add("\"").add(key).add("\": \"").add(word).add("\"");
}
constexpr text_line& add_range(text_line& out, std::uint64_t first, std::uint64_t last)
{
    return add_address(add_address(out, "first", first).add(", "), "last", last);
}

/// A member that is a list of objects, one a line. The last one waits until it is known that no comma follows it.
template <class Line> class json_list {
public:
    json_list(Line& line, const char* name) : line_{line} { line_(text_line{"  \""}.add(name).add("\": [").view()); }
    json_list(const json_list&) = delete;
    json_list& operator=(const json_list&) = delete;

    /// Adds the object that `describe(text_line&)` says the members of.
    template <class Describe> void add(Describe describe)
    {
        if (any_)
            line_(waiting_.add(",").view());
        waiting_ = text_line{"    {"};
        describe(waiting_);
        waiting_.add("}");
        any_ = true;
    }
    void end()
    {
        if (any_)
            line_(waiting_.view());
        line_(std::string_view{"  ],", 4});
    }

private:
    Line& line_;
    text_line waiting_;
    bool any_ = false;
};

/// What a step is for, as far as it can be seen from the step.
constexpr std::string_view kind_of(const overlay_step& step, phys_addr bounce)
{
    using namespace std::string_view_literals;
    if (step.fills())
        return "zero"sv;
    if (step.destination == bounce.raw())
        return "save"sv;
    return step.source == bounce.raw() ? "restore"sv : "copy"sv;
}

constexpr void describe(text_line& out, const overlay_step& step, phys_addr bounce)
{
    add_word(out, "do", kind_of(step, bounce)).add(", ");
    add_address(out, "to", step.destination).add(", ");
    if (!step.fills())
        add_address(out, "from", step.source).add(", ");
    add_bytes(out, "size", byte_count::of(step.size));
}

template <physical_memory M, class Line> void explain_program(M& memory, const exec_plan& plan, Line& line)
{
    const auto program = load<overlay_program>(memory, plan.program);
    json_list skips{line, "skips"};
    for (std::uint64_t i = 0; i < program.skip_count; ++i)
        skips.add([&](text_line& out) { add_range(out, program.skips[i].first, program.skips[i].last); });
    skips.end();
    json_list steps{line, "steps"};
    const auto all = for_each_step(
        memory, program.first_page, ~std::size_t{0}, [&](const overlay_step& step, std::uint64_t) -> result<void> {
            steps.add([&](text_line& out) { describe(out, step, plan.bounce); });
            return {};
        });
    expects(all.has_value(), "explain_json: the plan has been verified");
    steps.end();
}

} // namespace detail

/// Tells `line(std::string_view)` the plan in JSON, one line at a time without its end. `plan` must have been verified.
/// Nothing is written but the lines.
template <physical_memory M, class Line> void explain_json(M& memory, const exec_plan& plan, Line line)
{
    using namespace detail;
    line(std::string_view{"{", 1});
    line(add_word(text_line{}.add("  "), "schema", plan_schema).add(",").view());
    json_list segments{line, "segments"};
    for (const segment& s : plan.image)
        segments.add([&](text_line& out) {
            add_range(out, s.destination.first().raw(), s.destination.last().raw()).add(", ");
            add_word(add_word(out, "role", to_string(s.role)).add(", "), "content", to_string(s.what));
        });
    segments.end();
    json_list safe{line, "safe"};
    for (const safe_region& r : plan.safe)
        safe.add([&](text_line& out) {
            add_word(add_range(out, r.range.first().raw(), r.range.last().raw()).add(", "), "role", to_string(r.role));
        });
    safe.end();
    explain_program(memory, plan, line);

    const overlay_effect effect = try_overlay(memory, plan);
    const auto number = [&](const char* key, std::uint64_t n) {
        line(text_line{"    \""}.add(key).add("\": ").add_decimal(n).add(",").view());
    };
    const auto bytes = [&](const char* key, byte_count n, const char* behind) {
        text_line out{"    "};
        line(add_bytes(out, key, n).add(behind).view());
    };
    line(text_line{"  \"cost\": {"}.view());
    number("steps", plan.cost.steps);
    number("cycles", plan.cost.cycles);
    bytes("copied", copied(plan, effect), ",");
    bytes("zeroed", zeroed(effect), ",");
    bytes("bounced", plan.cost.bounced, ",");
    bytes("skipped", skipped(plan, effect), ",");
    bytes("in_place", plan.cost.in_place, "");
    line(std::string_view{"  },", 4});
    text_line tables{"  \"tables\": {"};
    add_address(tables, "root", plan.new_root.raw()).add(", \"pages\": ");
    line(tables.add_decimal(plan.table_pages).add("},").view());
    text_line entry{"  \"entry\": {"};
    add_address(entry, "address", plan.entry.raw()).add(", \"paging\": ");
    line(entry.add(plan.entered_paged ? "true}" : "false}").view());
    line(std::string_view{"}", 1});
}

// Sanity checks: no word needs escaping.
static_assert([] {
    const auto plain = [](std::string_view word) {
        for (const char c : word)
            if (c < ' ' || c > '~' || c == '"' || c == '\\')
                return false;
        return !word.empty();
    };
    bool all = plain(plan_schema);
    for (int i = 0; i <= static_cast<int>(safe_role::log); ++i)
        all = all && plain(to_string(static_cast<safe_role>(i)));
    for (int i = 0; i <= static_cast<int>(content::padding); ++i)
        all = all && plain(to_string(static_cast<content>(i)));
    for (int i = 0; i <= static_cast<int>(segment_role::module); ++i)
        all = all && plain(to_string(static_cast<segment_role>(i)));
    return all;
}());

} // namespace lobos
