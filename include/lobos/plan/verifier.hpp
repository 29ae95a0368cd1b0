// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The verifier: the only maker of a `verified_plan`, and the last thing that can say no before the point of no
/// return for anything but a change of the machine. It shares no logic with the planner: it reads the steps from safe
/// memory and proves rules about them.

#include <lobos/plan/place_rules.hpp>
#include <lobos/plan/step_rules.hpp>
#include <lobos/plan/table_rules.hpp>

namespace lobos {

/// What a port adds to the rules: rule 10, its descriptor table and registers are what the overlay and the image's
/// entry need; rule 5's paging; and the registers that rule 11 is about, as they lie in memory.
template <class P>
concept departing_port = paging_traits<typename P::paging> && requires { typename P::registers; };

/// Whether a port's copy loop looks what it may change (overlay::skips_in_loop). One that says it does not is given
/// steps that keep off it.
template <class P>
concept skips_in_plan = requires { requires P::skips_in_plan; };

/// A plan that every rule holds for. There is no other way to get one.
class verified_plan {
public:
    const exec_plan& plan() const { return plan_; }

private:
    template <departing_port Port, paging_traits Entry, class Contract, physical_memory M>
    friend result<verified_plan> verify(
        const exec_plan&, const Contract&, const region_map&, M&, std::span<verified_write>, std::size_t);
    explicit verified_plan(const exec_plan& plan) : plan_{plan} {}
    exec_plan plan_;
};

/// Proves all rules, the last of them `contract`'s own. `writes` is scratch: one for each step. `most_plan_pages`
/// bounds the chain of steps. `Entry` is the mode of paging in which the image is entered, if it is. Faults: those of
/// the rules.
template <departing_port Port, paging_traits Entry, class Contract, physical_memory M>
result<verified_plan> verify(const exec_plan& plan, const Contract& contract, const region_map& map, M& memory,
    std::span<verified_write> writes, std::size_t most_plan_pages)
{
    verifier_context<typename Port::paging, M, Entry> c{plan, map, memory, writes, most_plan_pages};
    result<void> held = rules::destinations(c);
    const auto then = [&](auto rule) {
        if (held)
            held = rule(c);
    };
    then([](auto& x) { return rules::safe_regions_are_apart(x); });
    then([](auto& x) { return rules::machinery_is_safe(x); });
    then([](auto& x) { return rules::program_is_sound(x); });
    then([](auto& x) { return rules::collect_writes(x); });
    then([](auto& x) { return rules::steps_write_the_image(x); });
    if constexpr (skips_in_plan<Port>)
        then([](auto& x) { return rules::steps_keep_off_skips(x); });
    then([](auto& x) { return rules::sources_are_intact(x); });
    then([](auto& x) { return rules::reach_is_mapped(x); });
    then([](auto& x) { return rules::switch_page_is_alike(x); });
    then([](auto& x) { return rules::entry_is_inside(x); });
    then([](auto& x) { return Port::departure_is_sound(x); });
    then([&](auto& x) { return contract.is_met(x, Port::registers_found(x)); });
    if (!held)
        return std::unexpected{held.error()};
    return verified_plan{plan};
}

/// The same for an image that is entered unpaged, or in the running kernel's mode of paging.
template <departing_port Port, class Contract, physical_memory M>
result<verified_plan> verify(const exec_plan& plan, const Contract& contract, const region_map& map, M& memory,
    std::span<verified_write> writes, std::size_t most_plan_pages)
{
    return verify<Port, typename Port::paging>(plan, contract, map, memory, writes, most_plan_pages);
}

} // namespace lobos
