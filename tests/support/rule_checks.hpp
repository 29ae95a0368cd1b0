// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Each rule as a question to tests/support/sound_plan.hpp, which a test has broken in one way.

#include <lobos/plan/place_rules.hpp>
#include <lobos/plan/step_rules.hpp>
#include <lobos/plan/table_rules.hpp>

#include <tests/catch.hpp>
#include <tests/support/sound_plan.hpp>

namespace lobos::test {

inline constexpr std::uint64_t top = ~std::uint64_t{0};
inline constexpr std::uint64_t four_g = 0x1'0000'0000;

template <class Rule> fault broken(sound_plan& p, Rule rule)
{
    p.put_program();
    auto c = p.context();
    return fault_of(rule(c));
}
inline fault rule_1(sound_plan& p)
{
    return broken(p, [](auto& c) { return rules::destinations(c); });
}
inline fault rule_2(sound_plan& p)
{
    return broken(p, [](auto& c) { return rules::safe_regions_are_apart(c); });
}
inline fault collected(sound_plan& p)
{
    p.lay_out();
    return broken(p, [](auto& c) { return rules::collect_writes(c, sound_plan::paging::physical_reach); });
}
/// Rules 3 and 4 look at writes that have been collected.
inline fault rule_3(sound_plan& p)
{
    p.most_plan_pages = 4; // room for two steps more
    p.lay_out();
    return broken(p, [](auto& c) -> result<void> {
        if (const auto ok = rules::collect_writes(c, sound_plan::paging::physical_reach); !ok)
            return refuse(fault_code::no_log, stage::planning, std::uint64_t{0});
        return rules::steps_write_the_image(c);
    });
}
/// Rule 9's part for a loop that skips nothing by itself.
inline fault rule_9_steps(sound_plan& p)
{
    p.most_plan_pages = 4;
    p.lay_out();
    return broken(p, [](auto& c) -> result<void> {
        if (const auto ok = rules::collect_writes(c, sound_plan::paging::physical_reach); !ok)
            return refuse(fault_code::no_log, stage::planning, std::uint64_t{0});
        return rules::steps_keep_off_skips(c);
    });
}
inline fault rule_4(sound_plan& p)
{
    p.most_plan_pages = 4;
    p.lay_out();
    return broken(p, [](auto& c) -> result<void> {
        if (const auto ok = rules::collect_writes(c, sound_plan::paging::physical_reach); !ok)
            return refuse(fault_code::no_log, stage::planning, std::uint64_t{0});
        return rules::sources_are_intact(c);
    });
}
inline fault rule_5(sound_plan& p)
{
    return broken(p, [](auto& c) -> result<void> {
        if (const auto ok = rules::collect_writes(c, sound_plan::paging::physical_reach); !ok)
            return refuse(fault_code::no_log, stage::planning, std::uint64_t{0});
        return rules::reach_is_mapped<sound_plan::paging>(c);
    });
}
/// Rule 5 for one step.
inline fault rule_5(sound_plan& p, overlay_step s)
{
    p.steps = {s};
    p.lay_out();
    return broken(p, [](auto& c) { return rules::reach_is_mapped<sound_plan::paging>(c); });
}
inline fault rule_6(sound_plan& p)
{
    return broken(p, [](auto& c) -> result<void> {
        if (const auto safe = rules::machinery_is_safe(c); !safe)
            return safe;
        if (const auto safe = rules::tables_are_safe<sound_plan::paging>(c, c.plan.new_root); !safe)
            return safe;
        return rules::entry_tables_are_safe<sound_plan::paging>(c);
    });
}
inline fault rule_7(sound_plan& p)
{
    return broken(p, [](auto& c) { return rules::switch_page_is_alike<sound_plan::paging>(c); });
}
inline fault rule_8(sound_plan& p)
{
    return broken(p, [](auto& c) { return rules::entry_is_inside<sound_plan::paging>(c); });
}
inline fault rule_9(sound_plan& p)
{
    return broken(p, [](auto& c) { return rules::program_is_sound(c); });
}

constexpr phys_addr last_of(phys_addr first)
{
    return first + 0xfff_bytes;
}
constexpr virt_addr at_same(phys_addr a)
{
    return virt_addr::at(a.raw());
}
using table_entry = x86::paging_4m::entry<0>;
using directory = x86::paging_4m::entry<1>;

} // namespace lobos::test
