// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Entry contracts: what an image's first instruction relies on, as a type. A contract brings its image, says how much
/// safe memory its parameters need, writes them once everything else is placed, names the way out, and in the end has
/// the verifier prove of what lies in memory that it is met.

#include <concepts>
#include <span>
#include <type_traits>

#include <lobos/core/physical_memory.hpp>
#include <lobos/core/region_map.hpp>
#include <lobos/image/segment.hpp>
#include <lobos/plan/plan.hpp>

namespace lobos {

/// For `entry_contract::paging`: the image is entered on the overlay's tables, in the running kernel's mode.
struct same_paging {};

/// Whether an image of contract `C` is entered with paging on.
template <class C> inline constexpr bool is_entered_paged = !std::is_void_v<typename C::paging>;

namespace detail {
template <class Entry, class Running> struct entry_paging_of {
    using type = Entry;
};
template <class Running> struct entry_paging_of<same_paging, Running> {
    using type = Running;
};
template <class Running> struct entry_paging_of<void, Running> {
    using type = Running;
};
} // namespace detail

/// The traits of the mode that an image of contract `C` is entered in; the running kernel's when that is the same, or
/// when it is entered unpaged and it does not matter.
template <class C, class Running>
using entry_paging = typename detail::entry_paging_of<typename C::paging, Running>::type;

namespace detail {
/// Stands for any memory in the concept below.
struct some_memory {
    void read(phys_addr at, std::span<std::byte> out);
    void write(phys_addr at, std::span<const std::byte> in);
};
} // namespace detail

/// `Port` is the machine; `Port::registers` is what the first instruction finds in the registers.
template <class C, class Port>
concept entry_contract = requires(const C& contract, std::span<const phys_addr> pages, const region_map& handed_over,
    std::span<std::byte> scratch, detail::some_memory& memory, const verifier_context<detail::some_memory>& context,
    const typename Port::registers& found) {
    /// The state of the processor that the image is entered in: a port lists those that it can leave in.
    { C::state } -> std::convertible_to<typename Port::entry_state>;
    /// The mode of paging that it is entered in: `void` for none, `same_paging`, or a traits class.
    typename std::type_identity<typename C::paging>;
    /// What must lie where; outlives the exec, like the files that it names.
    { contract.segments() } -> std::same_as<std::span<const segment>>;
    /// The first instruction: physical when it is entered unpaged, virtual otherwise.
    { contract.entry() } -> std::same_as<virt_addr>;
    /// Where a paged image expects itself; empty for others.
    { contract.virtual_layout() } -> std::same_as<std::span<const virtual_segment>>;
    /// Safe pages for parameters, and the registers that point to them.
    { contract.parameter_pages() } -> std::same_as<std::size_t>;
    { contract.registers(pages) } -> std::same_as<typename Port::registers>;
    /// Fills the parameter pages, which are of zeros; `handed_over` is the next kernel's memory map. `scratch` is a
    /// page of storage to put one together in, with anything in it: the stack of a kernel has no room for pages.
    { contract.write_parameters(memory, handed_over, pages, scratch) } -> std::same_as<result<void>>;
    /// Rule 11: what lies in memory, and what is `found` in the registers, is what the image relies on. Reads as the
    /// image will and shares no code with `write_parameters`. All other rules hold when it is asked.
    { contract.is_met(context, found) } -> std::same_as<result<void>>;
};

/// A contract may say by a constant `parameters_mapped` that its image finds its parameters one to one in the tables
/// that it is entered on, as they are written; others find none of them there,
template <class C> inline constexpr bool finds_parameters_mapped = requires { requires C::parameters_mapped; };

/// or, by its `parameters_row()`, the first pages of them in a row somewhere else.
struct parameter_row {
    virt_addr first; ///< aligned to the page
    std::size_t pages = 0;
};

/// What a contract says in plain values. Most of an exec is the same for every image, and is made from these.
struct contract_terms {
    std::span<const segment> segments;
    std::span<const virtual_segment> virtual_layout;
    virt_addr entry;
    bool entered_paged = false;
    bool parameters_mapped = false;
    parameter_row parameters_row = {};
    std::size_t parameter_pages = 0;
    /// Where the parameters may lie; begins at address 0. A contract whose image reaches less than the port's machinery
    /// says so by its `parameter_reach()`.
    phys_range parameter_reach = phys_range::between(phys_addr{}, phys_addr::at(~std::uint64_t{0}));

    /// Where they may lie, of what the machinery reaches from address 0 on.
    constexpr phys_range parameters_in(phys_range reach) const
    {
        return reach.contains(parameter_reach) ? parameter_reach : reach;
    }
};

template <class C> constexpr contract_terms terms_of(const C& contract)
{
    contract_terms terms{};
    terms.segments = contract.segments();
    terms.virtual_layout = contract.virtual_layout();
    terms.entry = contract.entry();
    terms.entered_paged = is_entered_paged<C>;
    terms.parameters_mapped = finds_parameters_mapped<C>;
    terms.parameter_pages = contract.parameter_pages();
    if constexpr (requires { contract.parameter_reach(); })
        terms.parameter_reach = contract.parameter_reach();
    if constexpr (requires { contract.parameters_row(); })
        terms.parameters_row = contract.parameters_row();
    return terms;
}

/// The most pages of parameters that any contract may want.
inline constexpr std::size_t max_parameter_pages = 8;

} // namespace lobos
