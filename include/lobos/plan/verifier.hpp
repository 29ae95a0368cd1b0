// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The verifier: the only maker of a `verified_plan`, and the last thing that can say no before the point of no
/// return for anything but a change of the machine. It shares no logic with the planner: it reads the steps from safe
/// memory and proves rules about them.

#include <utility>

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

namespace detail {

/// The rules about everything before the image's entry, which are the same for every image.
template <departing_port Port, physical_memory M> result<void> copy_is_sound(verifier_context<M>& c)
{
    using paging = Port::paging;
    result<void> held = rules::destinations(c);
    const auto then = [&](auto rule) {
        if (held)
            held = rule(c);
    };
    then([](auto& x) { return rules::safe_regions_are_apart(x); });
    then([](auto& x) { return rules::machinery_is_safe(x); });
    then([](auto& x) { return rules::tables_are_safe<paging>(x, x.plan.new_root); });
    then([](auto& x) { return rules::program_is_sound(x); });
    then([](auto& x) { return rules::collect_writes(x, overlay_reach<paging>()); });
    then([](auto& x) { return rules::steps_write_the_image(x); });
    if constexpr (skips_in_plan<Port>)
        then([](auto& x) { return rules::steps_keep_off_skips(x); });
    then([](auto& x) { return rules::sources_are_intact(x); });
    then([](auto& x) { return rules::reach_is_mapped<paging>(x); });
    then([](auto& x) { return rules::switch_page_is_alike<paging>(x); });
    return held;
}

/// Those about the way from the copy to the image's entry, in mode `Entry`.
template <departing_port Port, paging_traits Entry, physical_memory M>
result<void> entry_is_sound(const verifier_context<M>& c)
{
    result<void> held = rules::entry_tables_are_safe<Entry>(c);
    if (held)
        held = rules::entry_is_inside<Entry>(c);
    if (held)
        held = Port::template departure_is_sound<Entry>(c);
    return held;
}

} // namespace detail

/// Proves all rules, the last of them `contract`'s own. `writes` is scratch: one for each step. `most_plan_pages`
/// bounds the chain of steps. `Entry` is the mode of paging in which the image is entered, if it is. Faults: those of
/// the rules.
template <departing_port Port, paging_traits Entry, class Contract, physical_memory M>
result<verified_plan> verify(const exec_plan& plan, const Contract& contract, const region_map& map, M& memory,
    std::span<verified_write> writes, std::size_t most_plan_pages)
{
    verifier_context<M> c{plan, map, memory, writes, most_plan_pages};
    result<void> held = detail::copy_is_sound<Port>(c);
    if (held)
        held = detail::entry_is_sound<Port, Entry>(c);
    if (held)
        held = contract.is_met(std::as_const(c), Port::registers_found(c));
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
