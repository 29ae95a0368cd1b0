// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/handoff/contract.hpp>

#include <utility>

#include <lobos/x86/paging_4k.hpp>
#include <lobos/x86/paging_4m.hpp>

#include <tests/catch.hpp>

using namespace lobos;

namespace {

enum class some_state : unsigned char { flat, paged };

struct small_port {
    using paging = x86::paging_4m;
    using entry_state = some_state;
    struct registers {
        int r0;
    };
};

/// The requirements of an entry contract, by number.
enum requirement : unsigned {
    state,
    paging,
    segments,
    entry,
    virtual_layout,
    parameter_pages,
    registers,
    write_parameters,
    is_met,
    all,
};

template <bool> struct has_state {};
template <> struct has_state<true> {
    static constexpr some_state state = some_state::paged;
};
template <bool> struct has_paging {};
template <> struct has_paging<true> {
    using paging = same_paging;
};
struct other {};

/// A contract without requirement `Missing`, and with another type where `Wrong` says so.
template <unsigned Missing, unsigned Wrong = all>
struct model : has_state<Missing != requirement::state>, has_paging<Missing != requirement::paging> {
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
        M&, const region_map&, std::span<const phys_addr>, std::span<std::byte>) const
        requires(Missing != requirement::write_parameters);
    template <class Context>
    type<requirement::is_met, result<void>> is_met(const Context&, const small_port::registers&) const
        requires(Missing != requirement::is_met);
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
    using paging = x86::paging_4m;
    using entry_state = some_state;
    struct registers {};
};
struct no_port {};
static_assert(!entry_contract<model<all>, other_port> && !entry_contract<model<all>, no_port>);

/// A contract is asked as a constant.
struct not_const : model<all> {
    std::size_t parameter_pages();
};
static_assert(!entry_contract<not_const, small_port>);

/// A state of another port's; a paging that is a value.
struct of_another_port : model<requirement::state> {
    static constexpr int state = 0;
};
struct paged_somehow : model<requirement::paging> {
    [[maybe_unused]] static constexpr int paging = 0;
};
static_assert(!entry_contract<of_another_port, small_port> && !entry_contract<paged_somehow, small_port>);

/// The three kinds of paging.
struct unpaged : model<requirement::paging> {
    using paging = void;
};
using running_mode = x86::paging_4m;
using other_mode = x86::paging_4k;
struct paged_otherwise : model<requirement::paging> {
    using paging = other_mode;
};
static_assert(entry_contract<unpaged, small_port> && entry_contract<paged_otherwise, small_port>);
static_assert(!is_entered_paged<unpaged> && is_entered_paged<model<all>> && is_entered_paged<paged_otherwise>);
static_assert(std::is_same_v<entry_paging<unpaged, running_mode>, running_mode>);
static_assert(std::is_same_v<entry_paging<model<all>, running_mode>, running_mode>);
static_assert(std::is_same_v<entry_paging<paged_otherwise, running_mode>, other_mode>);

/// What a contract may say beside.
struct mapped : model<all> {
    static constexpr bool parameters_mapped = true;
};
struct not_mapped : model<all> {
    static constexpr bool parameters_mapped = false;
};
static_assert(finds_parameters_mapped<mapped> && !finds_parameters_mapped<not_mapped>);
static_assert(!finds_parameters_mapped<model<all>>);

/// A contract with something to say of everything.
struct spoken {
    using paging = void;
    static constexpr bool parameters_mapped = true;
    std::vector<segment> parts = std::vector<segment>(2);
    std::vector<virtual_segment> layout = {{virt_range::of(0x4000_va, 1_bytes), 0x1000_pa, false}};

    std::span<const segment> segments() const { return parts; }
    virt_addr entry() const { return 0x1020_va; }
    std::span<const virtual_segment> virtual_layout() const { return layout; }
    std::size_t parameter_pages() const { return 3; }
};
struct near : spoken {
    using paging = same_paging;
    static constexpr bool parameters_mapped = false;
    phys_range parameter_reach() const { return below_4g; }
    parameter_row parameters_row() const { return {0x1000'0000_va, 2}; }
};

} // namespace

TEST_CASE("the terms of a contract are what it says", "[handoff][contract]")
{
    const spoken contract;
    const contract_terms terms = terms_of(contract);
    CHECK(terms.segments.data() == contract.parts.data());
    CHECK(terms.segments.size() == 2);
    CHECK(terms.virtual_layout.data() == contract.layout.data());
    CHECK(terms.virtual_layout.size() == 1);
    CHECK(terms.entry == 0x1020_va);
    CHECK(terms.parameter_pages == 3);
    CHECK(terms.parameters_mapped);
    CHECK_FALSE(terms.entered_paged);
    CHECK(terms_of(near{}).entered_paged);
    CHECK_FALSE(terms_of(near{}).parameters_mapped);
    CHECK(terms.parameters_row.pages == 0);
    CHECK(terms_of(near{}).parameters_row.pages == 2);
    CHECK(terms_of(near{}).parameters_row.first == 0x1000'0000_va);
}

TEST_CASE("parameters lie where the machinery and the contract reach", "[handoff][contract]")
{
    const phys_range far = phys_range::between(phys_addr{}, phys_addr::at(0xffff'ffff'ffff));
    const phys_range first_gib = phys_range::between(phys_addr{}, phys_addr::at(0x3fff'ffff));
    CHECK(terms_of(spoken{}).parameters_in(far) == far);
    CHECK(terms_of(near{}).parameters_in(far) == below_4g);
    CHECK(terms_of(near{}).parameters_in(below_4g) == below_4g);
    CHECK(terms_of(near{}).parameters_in(first_gib) == first_gib);
}

TEST_CASE("parameters have room for what a contract of today wants", "[handoff][contract]")
{
    CHECK(max_parameter_pages >= 2); // Linux: boot parameters and command line
}
