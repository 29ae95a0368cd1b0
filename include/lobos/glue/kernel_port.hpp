// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What a port supplies: everything that `prepare()` and `commit()` ask about a machine. lobos/x86/port.hpp and
/// lobos/alpha/port.hpp are models; docs/adding-a-port.md has the order of work.

#include <concepts>

#include <lobos/handoff/contract.hpp>
#include <lobos/plan/verifier.hpp>

namespace lobos {

namespace detail {
/// Stands for whatever takes mappings into tables that are being made.
struct some_put {
    result<void> operator()(const mapping&);
};
} // namespace detail

/// Beside these, two templates over what is only known where they are called: `route_of<Contract>(copy_regime)`, which
/// returns a `result<route>`, the way to an image of that contract (fault: unsupported); and `write_machinery(memory,
/// plan, way, aliases, facts, code, registers, program)`, which returns a `result<void>`: it fills code page, frame and
/// pages of modes, which are of zeros, once all that they name is in place, and sets `plan.code_size`. `code` is what
/// the glue's processor returns as such.
template <class P>
concept kernel_port = departing_port<P> &&
    requires(const typename P::facts& facts, const typename P::route& way, const exec_plan& plan,
        const departure_aliases& aliases, detail::some_put& put, const verifier_context<detail::some_memory>& context) {
        /// The size of the machine's pages: of safe ones, and of those that the glue gives.
        { P::page_size } -> std::convertible_to<byte_count>;
        /// The states that an image can be entered in.
        typename P::entry_state;

        /// Whether a kernel in this state of the processor can be left; and whether it is still the one planned for.
        { P::accepts(facts) } -> std::same_as<result<void>>;
        { P::unchanged(facts, facts) } -> std::same_as<result<void>>;

        /// Of the way out: where its pages have to lie; how many pages of tables for other modes it needs beside code,
        /// stack and frame; whether the image is entered on page tables of its own.
        { P::machinery_reach(way) } -> std::same_as<phys_range>;
        { P::mode_pages(way) } -> std::same_as<std::size_t>;
        { P::has_entry_tables(way) } -> std::same_as<bool>;

        /// What the overlay's tables map beside what it copies; what the image's own map beside the image, in its mode.
        { P::map_for_copy(way, plan, put) } -> std::same_as<result<void>>;
        { P::template map_for_entry<typename P::paging>(way, plan, put) } -> std::same_as<result<void>>;

        /// Where in the frame the overlay's program lies.
        { P::program_offset } -> std::convertible_to<std::uint64_t>;
        /// Where the departure begins, and what it is told, as the running kernel's addresses.
        { P::departure(aliases) } -> std::same_as<virt_addr>;
        { P::frame_argument(aliases) } -> std::same_as<virt_addr>;

        /// Rule 10, for an image in that mode: what lies in code page, frame and pages of modes is what the code on the
        /// machine relies on. Shares nothing with `write_machinery`.
        { P::template departure_is_sound<typename P::paging>(context) } -> std::same_as<result<void>>;
        /// What the image's first instruction will find in its registers, read from the frame in memory.
        { P::registers_found(context) } -> std::same_as<typename P::registers>;
    };

} // namespace lobos
