// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/handoff/contract.hpp>

#include <utility>

#include <tests/catch.hpp>

using namespace lobos;

namespace {

struct small_port {
    struct registers {
        int r0;
    };
};

/// The requirements of an entry contract, by number.
enum requirement : unsigned {
    leaves,
    descriptors,
    segments,
    entry,
    virtual_layout,
    parameter_pages,
    registers,
    write_parameters,
    all,
};

template <bool> struct has_leaves {};
template <> struct has_leaves<true> {
    static constexpr way_out leaves = way_out::paged;
};
template <bool> struct has_descriptors {};
template <> struct has_descriptors<true> {
    static constexpr descriptor_choice descriptors = descriptor_choice::cloned;
};
struct other {};

/// A contract without requirement `Missing`, and with another type where `Wrong` says so.
template <unsigned Missing, unsigned Wrong = all>
struct model : has_leaves<Missing != requirement::leaves>, has_descriptors<Missing != requirement::descriptors> {
    template <unsigned R, class T> using type = std::conditional_t<Wrong == R, other, T>;

    type<requirement::segments, std::span<const segment>> segments() const
        requires(Missing != requirement::segments);
    type<requirement::entry, virt_addr> entry() const
        requires(Missing != requirement::entry);
    type<requirement::virtual_layout, std::span<const virtual_segment>> virtual_layout() const
        requires(Missing != requirement::virtual_layout);
    type<requirement::parameter_pages, std::size_t> parameter_pages() const
        requires(Missing != requirement::parameter_pages);
    type<requirement::registers, small_port::registers> registers(std::span<const phys_addr>) const
        requires(Missing != requirement::registers);
    template <physical_memory M>
    type<requirement::write_parameters, result<void>> write_parameters(
        M&, const region_map&, std::span<const phys_addr>) const
        requires(Missing != requirement::write_parameters);
};

template <unsigned... R> constexpr bool all_are_needed(std::integer_sequence<unsigned, R...>)
{
    return (!entry_contract<model<R>, small_port> && ...);
}
template <unsigned... R> constexpr bool all_types_matter(std::integer_sequence<unsigned, R...>)
{
    return (!entry_contract<model<all, R + requirement::segments>, small_port> && ...);
}

static_assert(entry_contract<model<all>, small_port>);
static_assert(all_are_needed(std::make_integer_sequence<unsigned, all>{}));
static_assert(all_types_matter(std::make_integer_sequence<unsigned, all - requirement::segments>{}));

/// The registers are the port's, and a port has to have some.
struct other_port {
    struct registers {};
};
struct no_port {};
static_assert(!entry_contract<model<all>, other_port> && !entry_contract<model<all>, no_port>);

/// A contract is asked as a constant.
struct not_const : model<all> {
    std::size_t parameter_pages();
};
static_assert(!entry_contract<not_const, small_port>);

/// Constants of other types.
struct leaves_somehow : model<requirement::leaves> {
    static constexpr int leaves = 0;
};
struct describes_somehow : model<requirement::descriptors> {
    static constexpr int descriptors = 0;
};
static_assert(!entry_contract<leaves_somehow, small_port> && !entry_contract<describes_somehow, small_port>);

} // namespace

TEST_CASE("parameters have room for what a contract of today wants", "[handoff][contract]")
{
    CHECK(max_parameter_pages >= 2); // Linux: boot parameters and command line
}
