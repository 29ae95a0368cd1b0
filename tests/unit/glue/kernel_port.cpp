// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/glue/kernel_port.hpp>

#include <utility>

#include <lobos/alpha/port.hpp>
#include <lobos/x86/paging_4level.hpp>
#include <lobos/x86/paging_4m.hpp>
#include <lobos/x86/port.hpp>

#include <tests/catch.hpp>

using namespace lobos;

namespace {

static_assert(kernel_port<x86::port<x86::paging_4m>>);
static_assert(kernel_port<x86::port<x86::paging_4level>>);
static_assert(kernel_port<alpha::port>);
static_assert(!kernel_port<x86::paging_4m> && !kernel_port<int>);

/// The requirements, by number. The first two have no type of their own to be wrong.
enum requirement : unsigned {
    page_size,
    entry_state,
    accepts,
    unchanged,
    machinery_reach,
    mode_pages,
    has_entry_tables,
    map_for_copy,
    map_for_entry,
    departure,
    frame_argument,
    departure_is_sound,
    registers_found,
    program_offset,
    all,
};

template <bool> struct has_page_size {};
template <> struct has_page_size<true> {
    static constexpr byte_count page_size = byte_count::of(4096);
};
template <bool> struct has_entry_state {};
template <> struct has_entry_state<true> {
    enum class entry_state : unsigned char { on };
};
template <bool> struct has_program_offset {};
template <> struct has_program_offset<true> {
    static constexpr std::uint64_t program_offset = 8;
};
struct other {};

/// A port without requirement `Missing`, and with another type where `Wrong` says so.
template <unsigned Missing, unsigned Wrong = all>
struct model : has_page_size<Missing != requirement::page_size>,
               has_entry_state<Missing != requirement::entry_state>,
               has_program_offset<Missing != requirement::program_offset> {
    template <unsigned R, class T> using type = std::conditional_t<Wrong == R, other, T>;
    using paging = x86::paging_4m;
    struct facts {};
    struct registers {};
    struct route {};

    static type<requirement::accepts, result<void>> accepts(const facts&)
        requires(Missing != requirement::accepts);
    static type<requirement::unchanged, result<void>> unchanged(const facts&, const facts&)
        requires(Missing != requirement::unchanged);
    static type<requirement::machinery_reach, phys_range> machinery_reach(const route&)
        requires(Missing != requirement::machinery_reach);
    static type<requirement::mode_pages, std::size_t> mode_pages(const route&)
        requires(Missing != requirement::mode_pages);
    static type<requirement::has_entry_tables, bool> has_entry_tables(const route&)
        requires(Missing != requirement::has_entry_tables);
    template <class Put>
    static type<requirement::map_for_copy, result<void>> map_for_copy(const route&, const exec_plan&, Put&)
        requires(Missing != requirement::map_for_copy);
    template <paging_traits, class Put>
    static type<requirement::map_for_entry, result<void>> map_for_entry(const route&, const exec_plan&, Put&)
        requires(Missing != requirement::map_for_entry);
    static type<requirement::departure, virt_addr> departure(const departure_aliases&)
        requires(Missing != requirement::departure);
    static type<requirement::frame_argument, virt_addr> frame_argument(const departure_aliases&)
        requires(Missing != requirement::frame_argument);
    template <paging_traits, physical_memory M>
    static type<requirement::departure_is_sound, result<void>> departure_is_sound(const verifier_context<M>&)
        requires(Missing != requirement::departure_is_sound);
    template <physical_memory M>
    static type<requirement::registers_found, registers> registers_found(const verifier_context<M>&)
        requires(Missing != requirement::registers_found);
};

template <unsigned... R> constexpr bool all_are_needed(std::integer_sequence<unsigned, R...>)
{
    return (!kernel_port<model<R>> && ...);
}
template <unsigned... R> constexpr bool all_types_matter(std::integer_sequence<unsigned, R...>)
{
    return (!kernel_port<model<all, R + requirement::accepts>> && ...);
}

} // namespace

TEST_CASE("each thing that a port is asked for is needed, and has its type", "[glue][kernel_port]")
{
    STATIC_REQUIRE(kernel_port<model<all>>);
    STATIC_REQUIRE(all_are_needed(std::make_integer_sequence<unsigned, all>{}));
    STATIC_REQUIRE(
        all_types_matter(std::make_integer_sequence<unsigned, requirement::program_offset - requirement::accepts>{}));
}
