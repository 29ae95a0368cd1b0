// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// That the verifier asks every rule, and the port. What each rule says is tested in place_rules.cpp, step_rules.cpp
// and table_rules.cpp.

#include <lobos/plan/verifier.hpp>

#include <type_traits>

#include <tests/catch.hpp>
#include <tests/support/rule_checks.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

using enum fault_code;

// Nobody but the verifier makes one, and nobody changes it.
static_assert(!std::is_default_constructible_v<verified_plan>);
static_assert(!std::is_constructible_v<verified_plan, exec_plan>);
static_assert(!std::is_constructible_v<verified_plan, const exec_plan&>);
static_assert(!std::is_convertible_v<exec_plan, verified_plan>);
static_assert(!std::is_aggregate_v<verified_plan>);
static_assert(!std::is_assignable_v<verified_plan&, exec_plan>);
static_assert(std::is_copy_constructible_v<verified_plan>);
static_assert(std::is_same_v<decltype(std::declval<verified_plan&>().plan()), const exec_plan&>);

static_assert(departing_port<easy_port>);
static_assert(!departing_port<x86::paging_4m>);

/// Rule 10 says no.
struct stubborn_port : easy_port {
    template <class Entry, class Context> static result<void> departure_is_sound(const Context& c)
    {
        return refuse(bad_descriptor_table, stage::verifying, load<std::uint32_t>(c.memory, c.plan.frame) + 0x18);
    }
};

template <class Port = easy_port> fault verdict(sound_plan& p)
{
    return fault_of(verify<Port>(p.plan, word_contract{}, p.firmware.map, p.memory, p.writes, p.most_plan_pages));
}

} // namespace

TEST_CASE("every rule holds for the sound plan", "[plan][rules]")
{
    sound_plan p;
    for (const bool paged : {false, true}) {
        if (paged)
            p.enter_paged();
        CHECK(rule_1(p) == no_fault);
        CHECK(rule_2(p) == no_fault);
        CHECK(collected(p) == no_fault);
        CHECK(rule_3(p) == no_fault);
        CHECK(rule_4(p) == no_fault);
        CHECK(rule_5(p) == no_fault);
        CHECK(rule_6(p) == no_fault);
        CHECK(rule_7(p) == no_fault);
        CHECK(rule_8(p) == no_fault);
        CHECK(rule_9(p) == no_fault);
    }
}

TEST_CASE("a plan that every rule holds for is verified, and nothing is written", "[plan][verifier]")
{
    sound_plan p;
    for (const bool paged : {false, true}) {
        if (paged)
            p.enter_paged();
        const sparse_memory before = p.memory;
        const auto verified =
            verify<easy_port>(p.plan, word_contract{}, p.firmware.map, p.memory, p.writes, p.most_plan_pages);
        REQUIRE(verified);
        CHECK(p.memory == before);
        CHECK(verified->plan().image.data() == p.image.data());
        CHECK(verified->plan().new_root == p.plan.new_root);
        CHECK(verified->plan().entry == p.plan.entry);
        CHECK(verified->plan().entered_paged == paged);
    }
}

TEST_CASE("each rule can refuse a plan that all others would let pass", "[plan][verifier]")
{
    sound_plan p;
    SECTION("1")
    {
        REQUIRE(p.firmware.map.add(phys_range::of(0x0040'7800_pa, 1_bytes), region_kind::reserved));
        CHECK(verdict(p) == refused(destination_not_usable, 0x0040'7800_pa));
    }
    SECTION("2")
    {
        p.add_safe({phys_range::of(0x0080'3000_pa, 1_bytes), safe_role::plan}); // a source
        p.put_program();
        CHECK(verdict(p) == refused(source_in_safe_region, 0x0080'3000_pa));
    }
    SECTION("6")
    {
        p.safe[sound_plan::s_stack].role = safe_role::parameters;
        CHECK(verdict(p) == refused(outside_safe_region, sound_plan::stack));
    }
    SECTION("6, of the copy's page tables")
    {
        p.safe[sound_plan::s_tables].role = safe_role::parameters;
        CHECK(verdict(p) == refused(outside_safe_region, sound_plan::tables));
    }
    SECTION("6, of the image's own")
    {
        p.enter_paged();
        p.plan.entry_root = sound_plan::parameters;
        CHECK(verdict(p) == refused(outside_safe_region, sound_plan::parameters));
    }
    SECTION("9")
    {
        p.program.skip_count = 0;
        p.put_program();
        CHECK(verdict(p) == refused(destination_in_safe_region, sound_plan::survivor));
    }
    SECTION("the steps as they are read")
    {
        p.steps[0].size = 0;
        p.lay_out();
        CHECK(verdict(p) == refused(bad_range, 0x0040'3000));
    }
    SECTION("3")
    {
        p.steps[0].source += 1;
        p.lay_out();
        CHECK(verdict(p) == refused(step_wrong_source, 0x0040'3000));
    }
    SECTION("4")
    {
        std::swap(p.steps[3], p.steps[4]);
        p.lay_out();
        CHECK(verdict(p) == refused(source_overwritten, 0x0040'0000));
    }
    SECTION("5")
    {
        p.set_directory_entry(p.plan.new_root, virt_addr::at(sound_plan::staged.raw()), 0);
        CHECK(verdict(p) == refused(not_mapped, 0x0080'0800));
    }
    SECTION("7")
    {
        p.set_directory_entry(sound_plan::running_root, sound_plan::switch_page, 0);
        CHECK(verdict(p) == refused(switch_page_differs, sound_plan::switch_page.raw()));
    }
    SECTION("8")
    {
        p.plan.entry = virt_addr::at(sound_plan::zeros_at.raw());
        CHECK(verdict(p) == refused(entry_not_in_image, sound_plan::zeros_at));
    }
    SECTION("10")
    {
        store(p.memory, sound_plan::frame, std::uint32_t{0x100});
        CHECK(verdict<stubborn_port>(p) == refused(bad_descriptor_table, 0x118)); // asked with this plan and memory
    }
    SECTION("11")
    {
        store(p.memory, sound_plan::parameters, std::uint32_t{0x100});
        CHECK(verdict(p) == refused(entry_contract_broken, sound_plan::parameters));
        store(p.memory, sound_plan::frame, std::uint32_t{0x100}); // what is found is read from memory, too
        CHECK(verdict(p) == no_fault);
    }
}

TEST_CASE("a capacity that does not do is a fault", "[plan][verifier]")
{
    sound_plan p;
    p.writes.resize(4);
    CHECK(verdict(p) == refused(no_space, 5));
    p.writes.resize(5);
    CHECK(verdict(p) == no_fault);
    p.most_plan_pages = 2;
    CHECK(verdict(p) == refused(bad_range, sound_plan::plan_pages + 8_KiB));
}

TEST_CASE("no bounce page under the image, padding or not", "[plan][verifier]")
{
    // All rules but the ninth would let this pass, and the copy would go wrong: the save to the bounce page would be
    // skipped as the safe region that it is.
    sound_plan p;
    p.image.push_back({.destination = sound_plan::page_of(sound_plan::bounce), .what = content::padding});
    p.image[sound_plan::scratched].destination = sound_plan::page_of(sound_plan::bounce);
    p.program.skip_count = 2;
    p.program.skips[1] = {sound_plan::bounce.raw(), sound_plan::bounce.raw() + 4095};
    REQUIRE(p.firmware.map.add(sound_plan::page_of(sound_plan::bounce), region_kind::safe));
    p.put_program();
    CHECK(verdict(p) == refused(destination_in_safe_region, sound_plan::bounce));
}
