// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/glue/exec_tables.hpp>

#include <map>

#include <lobos/x86/port.hpp>

#include <tests/support/paging_modes.hpp>

using namespace lobos;
using namespace lobos::test;
using namespace lobos::literals;

namespace {

using paging = x86::paging_4k; // every page tells
using port = x86::port<paging>;
using enum x86::entry_state;

struct same_mode {
    using paging = same_paging;
};
struct same_mode_told : same_mode {
    static constexpr bool parameters_mapped = true;
};
struct unpaged {
    using paging = void;
};
struct long_mode {
    using paging = x86::paging_4level;
    static constexpr bool parameters_mapped = true;
};

/// Where pages lie: the virtual address of each, and the physical one.
using pages = std::map<std::uint64_t, std::uint64_t>;

constexpr phys_range page_at(std::uint64_t at)
{
    return phys_range::of(phys_addr::at(at), x86::page_size);
}

/// A running kernel with three pages of the switch, and all that an exec is made of, each in pages of its own.
struct exec : table_world<paging> {
    static constexpr departure_aliases aliases{0xc010'0000_va, 0xc020'0000_va, 0xc030'0000_va};

    exec_plan plan;
    std::vector<overlay_step> steps{
        {0x40'0800, 0x50'0000, 0x1000}, overlay_step::fill(0x60'0000, 0x1001), {0x70'0000, 0x70'1000, 8}};
    std::vector<safe_region> safe{{page_at(0x80'0000), safe_role::code}, {page_at(0x80'2000), safe_role::stack},
        {page_at(0x80'4000), safe_role::frame}, {page_at(0x80'6000), safe_role::mode},
        {page_at(0x80'8000), safe_role::page_table}, {phys_range::of(0x80'a000_pa, 8_KiB), safe_role::plan},
        {page_at(0x80'd000), safe_role::bounce}, {page_at(0x80'f000), safe_role::parameters},
        {page_at(0x81'1000), safe_role::log}};
    std::vector<virtual_segment> layout{{virt_range::of(0xd000'0010_va, 0x1000_bytes), 0x40'0010_pa, true}};
    std::vector<phys_addr> parameters{0x80'f000_pa};
    parameter_row row;
    std::optional<phys_addr> trail;
    std::size_t frames_left = 16;

    exec()
    {
        map(0, 0xc010'0000, 0x80'0000);
        map(0, 0xc010'1000, 0x80'1000); // not of the switch
        map(0, 0xc020'0000, 0x80'4000);
        map(0, 0xc030'0000, 0x80'2000);
        plan.code = 0x80'0000_pa;
        plan.stack = 0x80'2000_pa;
        plan.frame = 0x80'4000_pa;
        plan.mode_pages = {0x80'6000_pa, 0x81'3000_pa};
    }

    /// Makes the tables of an exec of `Contract`; the pages are in `plan` then.
    template <class Contract> result<void> make(x86::entry_state state, copy_regime regime)
    {
        plan.regime = regime;
        plan.virtual_layout = layout;
        const bool same = std::is_same_v<typename Contract::paging, same_paging>;
        const auto frames = [&]() -> result<phys_addr> {
            if (frames_left == 0)
                return refuse(fault_code::no_memory, stage::staging, 0x77);
            --frames_left;
            return phys_addr::at(new_table());
        };
        plan.entered_paged = is_entered_paged<Contract>;
        contract_terms terms{};
        terms.parameters_mapped = finds_parameters_mapped<Contract>;
        terms.parameters_row = row;
        exec_tables<port> tables{plan, *x86::route_to(state, regime, false, same), terms, parameters, trail};
        const auto made = tables.make_for_copy(memory, phys_addr::at(root), aliases, steps, safe, frames);
        return made ? tables.make_for_entry<entry_paging<Contract, paging>>(memory, frames) : made;
    }

    /// All that tables map.
    template <class Mode = paging> pages mapped(phys_addr from)
    {
        pages all;
        for (std::uint64_t v = 0; v < manual<Mode>::addresses;) {
            const manual_walk found = manual<Mode>::look(memory, from.raw(), v);
            if (found.what == manual_walk::mapped)
                all[v] = found.physical;
            v += manual<Mode>::span[found.level];
        }
        return all;
    }

    static pages switch_pages()
    {
        return {{0xc010'0000, 0x80'0000}, {0xc020'0000, 0x80'4000}, {0xc030'0000, 0x80'2000}};
    }
    static pages identity(std::initializer_list<std::uint64_t> all)
    {
        pages each;
        for (const std::uint64_t at : all)
            each[at] = at;
        return each;
    }
    static pages copied()
    {
        return identity({0x40'0000, 0x40'1000, 0x50'0000, 0x60'0000, 0x60'1000, 0x70'0000, 0x70'1000});
    }
    static pages touched() { return identity({0x80'0000, 0x80'2000, 0x80'4000, 0x80'a000, 0x80'b000, 0x80'd000}); }
    static pages image() { return {{0xd000'0000, 0x40'0000}, {0xd000'1000, 0x40'1000}}; }
};

pages sum(std::initializer_list<pages> parts)
{
    pages all;
    for (const pages& p : parts)
        all.insert(p.begin(), p.end());
    return all;
}

} // namespace

TEST_CASE("the overlay finds what it copies, what it touches, the pages of the switch and the image, and no more")
{
    exec e;
    REQUIRE(e.make<same_mode>(as_running, copy_regime::paged));
    CHECK(e.mapped(e.plan.new_root) == sum({e.switch_pages(), e.copied(), e.touched(), e.image()}));
    CHECK(e.plan.running_root == phys_addr::at(e.root));
    CHECK(e.plan.entry_root == e.plan.new_root);
    CHECK(e.plan.table_pages == 16 - e.frames_left);
}

TEST_CASE("a fill reads nothing")
{
    exec e;
    e.steps = {overlay_step::fill(0x60'0000, 0x1000)};
    e.safe.clear();
    e.layout.clear();
    REQUIRE(e.make<same_mode>(as_running, copy_regime::paged));
    CHECK(e.mapped(e.plan.new_root) == sum({e.switch_pages(), e.identity({0x60'0000})}));
}

TEST_CASE("the trail is mapped, in both pages that it lies in")
{
    exec e;
    e.trail = 0x81'1ff0_pa;
    REQUIRE(e.make<same_mode>(as_running, copy_regime::paged));
    const pages trail = e.identity({0x81'1000, 0x81'2000});
    CHECK(e.mapped(e.plan.new_root) == sum({e.switch_pages(), e.copied(), e.touched(), e.image(), trail}));
}

TEST_CASE("an image finds its parameters if its contract says so")
{
    exec e;
    REQUIRE(e.make<same_mode_told>(as_running, copy_regime::paged));
    const pages parameters = e.identity({0x80'f000});
    CHECK(e.mapped(e.plan.new_root) == sum({e.switch_pages(), e.copied(), e.touched(), e.image(), parameters}));
}

TEST_CASE("or the first pages of them in a row, if it says where")
{
    exec e;
    e.parameters = {0x80'f000_pa, 0x70'5000_pa, 0x90'0000_pa};
    e.row = {0x1000'0000_va, 2};
    REQUIRE(e.make<same_mode>(as_running, copy_regime::paged));
    const pages row{{0x1000'0000, 0x80'f000}, {0x1000'1000, 0x70'5000}};
    CHECK(e.mapped(e.plan.new_root) == sum({e.switch_pages(), e.copied(), e.touched(), e.image(), row}));
}

TEST_CASE("a copy without paging needs no more of its tables than the way to the hub")
{
    exec e;
    e.layout.clear();
    REQUIRE(e.make<unpaged>(flat_32, copy_regime::unpaged));
    CHECK(e.mapped(e.plan.new_root) == sum({e.switch_pages(), e.touched(), e.identity({0x80'6000})}));
    CHECK(e.plan.entry_root == e.plan.new_root);
}

TEST_CASE("an image of another mode gets tables of its own, and the overlay's are without it")
{
    exec e;
    e.trail = 0x81'1000_pa;
    REQUIRE(e.make<long_mode>(long_64, copy_regime::paged));
    const pages way = e.identity({0x80'6000}), trail = e.identity({0x81'1000});
    CHECK(e.mapped(e.plan.new_root) == sum({e.switch_pages(), e.copied(), e.touched(), way, trail}));
    CHECK(e.plan.entry_root != e.plan.new_root);
    const pages last_stretch = sum({e.identity({0x80'0000, 0x80'2000, 0x80'4000}), {{0x80'6000, 0x81'3000}}});
    CHECK(e.mapped<x86::paging_4level>(e.plan.entry_root) ==
        sum({last_stretch, trail, e.image(), e.identity({0x80'f000})}));
    CHECK(e.plan.table_pages == 16 - e.frames_left);
}

TEST_CASE("what cannot be mapped is refused")
{
    exec e;
    SECTION("a step that the running mode does not reach")
    {
        e.steps.push_back({0x1'0000'0000, 0x50'0000, 0x1000});
        CHECK(e.make<same_mode>(as_running, copy_regime::paged).error() ==
            fault{fault_code::bad_range, stage::mapping, 0x1'0000'0000});
    }
    SECTION("an image that lies otherwise in its pages than it expects itself")
    {
        e.layout.front().physical = 0x40'0020_pa;
        CHECK(e.make<same_mode>(as_running, copy_regime::paged).error() ==
            fault{fault_code::misaligned, stage::mapping, 0xd000'0010});
    }
    SECTION("a page of the switch that the running kernel does not map")
    {
        e.put(e.table_for(0, 0xc020'0000), 0, 0xc020'0000, 0);
        CHECK(e.make<same_mode>(as_running, copy_regime::paged).error() ==
            fault{fault_code::not_mapped, stage::mapping, 0xc020'0000});
    }
    SECTION("more tables than there are pages for")
    {
        e.frames_left = GENERATE(0u, 1u, 4u, 8u);
        CHECK(e.make<long_mode>(long_64, copy_regime::paged).error() ==
            fault{fault_code::no_memory, stage::staging, 0x77});
        CHECK(e.frames_left == 0);
    }
}
