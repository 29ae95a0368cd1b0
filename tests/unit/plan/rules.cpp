// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// Each rule, each way to break it, one at a time. The plan that is broken is tests/support/sound_plan.hpp.

#include <lobos/plan/rules.hpp>

#include <tests/catch.hpp>
#include <tests/support/sound_plan.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

using enum fault_code;

constexpr std::uint64_t top = ~std::uint64_t{0};
constexpr std::uint64_t four_g = 0x1'0000'0000;

template <class Rule> fault broken(sound_plan& p, Rule rule)
{
    p.put_program();
    auto c = p.context();
    return fault_of(rule(c));
}
fault rule_1(sound_plan& p)
{
    return broken(p, [](auto& c) { return rules::destinations(c); });
}
fault rule_2(sound_plan& p)
{
    return broken(p, [](auto& c) { return rules::safe_regions_are_apart(c); });
}
fault collected(sound_plan& p)
{
    p.lay_out();
    return broken(p, [](auto& c) { return rules::collect_writes(c); });
}
/// Rules 3 and 4 look at writes that have been collected.
fault rule_3(sound_plan& p)
{
    p.most_plan_pages = 4; // room for two steps more
    p.lay_out();
    return broken(p, [](auto& c) -> result<void> {
        if (const auto ok = rules::collect_writes(c); !ok)
            return refuse(no_log, stage::planning, std::uint64_t{0});
        return rules::steps_write_the_image(c);
    });
}
fault rule_4(sound_plan& p)
{
    p.most_plan_pages = 4;
    p.lay_out();
    return broken(p, [](auto& c) -> result<void> {
        if (const auto ok = rules::collect_writes(c); !ok)
            return refuse(no_log, stage::planning, std::uint64_t{0});
        return rules::sources_are_intact(c);
    });
}
fault rule_5(sound_plan& p)
{
    return broken(p, [](auto& c) -> result<void> {
        if (const auto ok = rules::collect_writes(c); !ok)
            return refuse(no_log, stage::planning, std::uint64_t{0});
        return rules::reach_is_mapped(c);
    });
}
/// Rule 5 for one write.
fault rule_5(sound_plan& p, verified_write w)
{
    return broken(p, [&](auto& c) {
        p.writes = {w};
        c.writes = p.writes;
        return rules::reach_is_mapped(c);
    });
}
fault rule_6(sound_plan& p)
{
    return broken(p, [](auto& c) { return rules::machinery_is_safe(c); });
}
fault rule_7(sound_plan& p)
{
    return broken(p, [](auto& c) { return rules::switch_page_is_alike(c); });
}
fault rule_8(sound_plan& p)
{
    return broken(p, [](auto& c) { return rules::entry_is_inside(c); });
}
fault rule_9(sound_plan& p)
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

TEST_CASE("rule 1: destinations are usable", "[plan][rules]")
{
    sound_plan p;
    SECTION("each kind of memory that is not, but in padding, from its first byte")
    {
        const region_kind kind = GENERATE(region_kind::acpi_reclaimable, region_kind::acpi_nvs, region_kind::reserved,
            region_kind::defective, region_kind::safe, region_kind::surviving);
        const phys_addr at = GENERATE(0x0040'0000_pa, 0x0040'1234_pa, 0x0040'4fff_pa, 0x0040'7fff_pa, 0x0050'0000_pa);
        CAPTURE(kind, at);
        REQUIRE(p.firmware.map.add(phys_range::of(at, 1_bytes), kind));
        CHECK(rule_1(p) == refused(destination_not_usable, at));
    }
    SECTION("in padding there may be safe regions of ours, and nothing else")
    {
        const region_kind kind = GENERATE(region_kind::reserved, region_kind::defective, region_kind::safe);
        REQUIRE(p.firmware.map.add(phys_range::of(0x0040'5000_pa, 16_bytes), kind));
        p.image[sound_plan::padded].destination = phys_range::of(0x0040'5000_pa, 8_KiB);
        const bool ours = kind == region_kind::safe;
        CHECK(rule_1(p) == (ours ? no_fault : refused(destination_not_usable, 0x0040'5000_pa)));
    }
    SECTION("padding has to hold all of it")
    {
        p.image[sound_plan::padded].destination = phys_range::of(sound_plan::survivor, 4095_bytes);
        CHECK(rule_1(p) == refused(destination_not_usable, sound_plan::survivor));
        p.image[sound_plan::padded].destination = phys_range::of(sound_plan::survivor + 1_bytes, 4095_bytes);
        CHECK(rule_1(p) == refused(destination_not_usable, sound_plan::survivor));
        p.image.pop_back();
        CHECK(rule_1(p) == refused(destination_not_usable, sound_plan::survivor));
    }
    SECTION("where the map knows nothing")
    {
        p.image[sound_plan::scratched].destination = phys_range::between(0x01ff'f000_pa, 0x0200'0000_pa);
        CHECK(rule_1(p) == refused(destination_not_usable, 0x0200'0000_pa));
        p.image[sound_plan::scratched].destination = phys_range::of(phys_addr::at(top), 1_bytes);
        CHECK(rule_1(p) == refused(destination_not_usable, top));
    }
    SECTION("padding itself is not a destination")
    {
        p.image[sound_plan::padded].destination = phys_range::between(sound_plan::survivor, 0x8000'0000_pa);
        CHECK(rule_1(p) == no_fault);
    }
}

TEST_CASE("rule 1: destinations are disjoint", "[plan][rules]")
{
    sound_plan p;
    const content what = GENERATE(content::copy, content::zero, content::scratch, content::kept);
    CAPTURE(what);
    p.image.push_back({.destination = phys_range::of(0x0040'7fff_pa, 2_bytes), .what = what});
    CHECK(rule_1(p) == refused(destinations_overlap, 0x0040'7fff_pa));
    p.image.back().destination = phys_range::of(0x0040'8000_pa, 2_bytes);
    CHECK(rule_1(p) == no_fault);
    p.image.back().destination = phys_range::of(0x003f'ffff_pa, 2_bytes);
    CHECK(rule_1(p) == refused(destinations_overlap, 0x0040'0000_pa));
}

TEST_CASE("rule 2: safe regions are disjoint", "[plan][rules]")
{
    sound_plan p;
    p.safe.push_back({phys_range::of(last_of(sound_plan::stack), 1_bytes), safe_role::parameters});
    CHECK(rule_2(p) == refused(safe_regions_overlap, last_of(sound_plan::stack)));
    p.safe.back() = {phys_range::of(sound_plan::frame + 4_KiB, 1_bytes), safe_role::parameters};
    CHECK(rule_2(p) == no_fault);
    p.safe.back() = p.safe.front();
    CHECK(rule_2(p) == refused(safe_regions_overlap, sound_plan::code));
}

TEST_CASE("rule 2: no destination lies in a safe region, but in padding", "[plan][rules]")
{
    sound_plan p;
    SECTION("whatever the segment is")
    {
        const content what = GENERATE(content::copy, content::zero, content::scratch, content::kept);
        CAPTURE(what);
        p.image.push_back({.destination = phys_range::of(last_of(sound_plan::code), 1_bytes), .what = what});
        CHECK(rule_2(p) == refused(destination_in_safe_region, last_of(sound_plan::code)));
    }
    SECTION("padding has to hold all that they have in common")
    {
        p.image[sound_plan::padded].destination = phys_range::of(sound_plan::survivor, 4095_bytes);
        CHECK(rule_2(p) == refused(destination_in_safe_region, sound_plan::survivor));
        p.image[sound_plan::padded].destination = phys_range::of(sound_plan::survivor - 1_bytes, 4097_bytes);
        CHECK(rule_2(p) == no_fault);
        p.image[sound_plan::padded].what = content::scratch;
        CHECK(rule_2(p) == refused(destination_in_safe_region, sound_plan::survivor));
    }
}

TEST_CASE("rule 2: no source lies in a safe region", "[plan][rules]")
{
    sound_plan p;
    p.file[3] = {last_of(sound_plan::parameters), 1_bytes};
    CHECK(rule_2(p) == refused(source_in_safe_region, last_of(sound_plan::parameters)));
    p.file[3] = {sound_plan::code - 1_bytes, 2_bytes};
    CHECK(rule_2(p) == refused(source_in_safe_region, sound_plan::code));
    p.file[3] = {sound_plan::code, 0_bytes}; // nothing
    CHECK(rule_2(p) == no_fault);
    p.file[3] = {sound_plan::code, byte_count::of(top)}; // would reach round to where it begins
    CHECK(rule_2(p) == refused(bad_range, sound_plan::code));
}

TEST_CASE("the steps are read as the overlay will read them", "[plan][rules]")
{
    sound_plan p;
    SECTION("bounces are resolved, and all is sorted")
    {
        auto c = p.context();
        REQUIRE(rules::collect_writes(c));
        const std::uint64_t wanted[][5] = {{0x0040'0000, 0x0040'1000, 0x1000, 4, 4},
            {0x0040'1000, 0x0040'0000, 0x1000, 3, 5}, {0x0040'3000, 0x0080'0800, 0x1000, 0, 0},
            {0x0040'4000, 0x0080'3000, 0x1000, 1, 1}, {0x0040'5000, overlay_step::zeros, 0x2000, 2, 2}};
        REQUIRE(c.writes.size() == std::size(wanted));
        for (std::size_t i = 0; i < c.writes.size(); ++i) {
            const verified_write& w = c.writes[i];
            CAPTURE(i);
            CHECK(w.destination == wanted[i][0]);
            CHECK(w.source == wanted[i][1]);
            CHECK(w.size == wanted[i][2]);
            CHECK(w.read_at == wanted[i][3]);
            CHECK(w.wrote_at == wanted[i][4]);
        }
    }
    SECTION("a part of what was saved is found by its place in the bounce page")
    {
        p.steps[5] = {0x0040'1000, sound_plan::bounce.raw() + 0xff0, 0x10};
        p.lay_out();
        auto c = p.context();
        REQUIRE(rules::collect_writes(c));
        CHECK(c.writes[1].source == 0x0040'0ff0);
    }
    SECTION("no room for them")
    {
        p.writes.resize(4);
        CHECK(collected(p) == refused(no_space, 5));
        p.writes.resize(5); // the save is no write
        CHECK(collected(p) == no_fault);
    }
    SECTION("nothing, or round the end of memory")
    {
        p.steps[0].size = 0;
        CHECK(collected(p) == refused(bad_range, 0x0040'3000));
        p.steps[0] = {top - 1, 0x0080'0000, 3};
        CHECK(collected(p) == refused(bad_range, top - 1));
        p.steps[0] = {0x0040'3000, top - 1, 3};
        CHECK(collected(p) == refused(bad_range, top - 1));
        p.steps[2].size = top; // the fill
        p.steps[0] = {0x0040'3000, 0x0080'0800, 0x1000};
        CHECK(collected(p) == refused(bad_range, 0x0040'5000));
    }
    SECTION("beyond what the mode's tables can reach")
    {
        p.steps[0] = {four_g - 1, 0x0080'0000, 2};
        CHECK(collected(p) == refused(bad_range, four_g - 1));
        p.steps[0] = {0x0080'0000, four_g - 1, 2};
        CHECK(collected(p) == refused(bad_range, four_g - 1));
        p.steps[0] = {0x0080'0000, four_g - 2, 2};
        CHECK(collected(p) == no_fault);
    }
    SECTION("the bounce page gives what was saved there, and no more")
    {
        p.steps[3].size = 0xfff;
        CHECK(collected(p) == refused(step_wrong_source, 0x0040'1000));
        p.steps[3].size = 0x1000;
        p.steps[5].source -= 1;
        CHECK(collected(p) == refused(step_wrong_source, 0x0040'1000));
        p.steps[5].source += 2;
        CHECK(collected(p) == refused(step_wrong_source, 0x0040'1000));
        p.steps[5].source -= 1;
        std::swap(p.steps[3], p.steps[5]);
        CHECK(collected(p) == refused(step_wrong_source, 0x0040'1000));
    }
    SECTION("the chain ends, and a page holds no more than it can")
    {
        p.most_plan_pages = 2;
        CHECK(collected(p) == refused(bad_range, sound_plan::plan_pages + 0x2000_bytes));
        p.most_plan_pages = 3;
        store(p.memory, sound_plan::plan_pages + 8_bytes, std::uint64_t{plan_page::capacity + 1});
        auto c = p.context();
        CHECK(fault_of(rules::collect_writes(c)) == refused(bad_range, sound_plan::plan_pages));
    }
}

TEST_CASE("rule 3: nothing but the image is written", "[plan][rules]")
{
    sound_plan p;
    SECTION("beside it")
    {
        p.steps.push_back({0x0060'0000, 0x0080'0000, 1});
        CHECK(rule_3(p) == refused(step_not_in_image, 0x0060'0000));
        p.steps.back().destination = 0x003f'ffff;
        CHECK(rule_3(p) == refused(step_not_in_image, 0x003f'ffff));
    }
    SECTION("scratch, kept and padding are not written either")
    {
        p.steps.push_back({GENERATE(0x0040'7000u, 0x0050'0fffu), overlay_step::zeros, 1});
        CHECK(rule_3(p) == refused(step_not_in_image, p.steps.back().destination));
    }
    SECTION("beyond a segment's end")
    {
        p.steps[2].size = 0x2001;
        CHECK(rule_3(p) == refused(step_not_in_image, 0x0040'5000));
        p.steps[2].size = 0x2000;
        p.steps[1].size = 0x1001; // into the next segment, which is there
        CHECK(rule_3(p) == refused(step_not_in_image, 0x0040'4000));
    }
    SECTION("nor the bounce page with what is no save")
    {
        p.steps.push_back({sound_plan::bounce.raw(), overlay_step::zeros, 8});
        CHECK(rule_3(p) == refused(step_not_in_image, sound_plan::bounce));
        p.steps.back() = {sound_plan::bounce.raw() + 8, 0x0080'0000, 8};
        CHECK(rule_3(p) == refused(step_not_in_image, sound_plan::bounce + 8_bytes));
        p.steps.back() = {sound_plan::bounce.raw(), 0x0080'0000, 0x1001};
        CHECK(rule_3(p) == refused(step_not_in_image, sound_plan::bounce));
    }
}

TEST_CASE("rule 3: each byte comes from where its file has it", "[plan][rules]")
{
    sound_plan p;
    SECTION("one byte off, in front, behind and by way of the bounce page")
    {
        const std::size_t step = GENERATE(0u, 1u, 3u, 4u);
        const std::uint64_t off = GENERATE(std::uint64_t{1}, top);
        p.steps[step].source += off;
        const std::uint64_t at = step == 3 ? p.steps[5].destination : p.steps[step].destination;
        CHECK(rule_3(p) == refused(step_wrong_source, at));
    }
    SECTION("zeros for bytes and bytes for zeros")
    {
        p.steps[0].source = overlay_step::zeros;
        CHECK(rule_3(p) == refused(step_wrong_source, 0x0040'3000));
        p.steps[0].source = 0x0080'0800;
        p.steps[2].source = 0x0080'0800;
        CHECK(rule_3(p) == refused(step_wrong_source, 0x0040'5000));
    }
    SECTION("a piece of the step may be right and the rest not")
    {
        p.steps[0].size = 0x2000; // runs on behind the extent
        p.steps.erase(p.steps.begin() + 1);
        CHECK(rule_3(p) == refused(step_wrong_source, 0x0040'3000));
    }
    SECTION("but one step may serve several extents that follow each other, and several steps one")
    {
        p.file = {{0x0080'0000_pa, 0x1010_bytes}, {0x0080'1010_pa, 0x1000_bytes}, {0x0080'2010_pa, 0x3000_bytes}};
        p.image[0].file = p.file;
        p.steps = {{0x0040'0000, 0x0080'0010, 0x4321}, {0x0040'4321, 0x0080'4331, 0xcdf},
            {0x0040'6000, overlay_step::zeros, 0x1000}, {0x0040'5000, overlay_step::zeros, 0x1000}};
        CHECK(rule_3(p) == no_fault);
        p.steps[1].source += 1;
        CHECK(rule_3(p) == refused(step_wrong_source, 0x0040'4321));
    }
    SECTION("what means zeros is no place in a file")
    {
        p.image = {{.destination = phys_range::of(sound_plan::kernel, 1_bytes), .file = p.file}};
        p.file[0] = {phys_addr::at(top), 1_bytes};
        p.steps = {{0x0040'0000, overlay_step::zeros, 1}};
        CHECK(rule_3(p) == refused(step_wrong_source, 0x0040'0000));
        p.image = {{.destination = phys_range::of(phys_addr::at(top), 1_bytes), .what = content::zero}};
        p.steps = {};
        p.lay_out();
        CHECK(rule_3(p) == refused(image_not_covered, top)); // it is not "in place"
    }
}

TEST_CASE("rule 3: no byte is written twice", "[plan][rules]")
{
    sound_plan p;
    p.steps.push_back({0x0040'3000, 0x0080'0800, 0x1000}); // the same again
    CHECK(rule_3(p) == refused(destinations_overlap, 0x0040'3000));
    p.steps.back() = {0x0040'3fff, 0x0080'17ff, 1}; // a part of it
    CHECK(rule_3(p) == refused(destinations_overlap, 0x0040'3fff));
    p.steps.back() = {0x0040'6fff, overlay_step::zeros, 1}; // the last byte of a segment
    CHECK(rule_3(p) == refused(destinations_overlap, 0x0040'6fff));
}

TEST_CASE("rule 3: all of the image is written, or there already", "[plan][rules]")
{
    sound_plan p;
    SECTION("a step is missing")
    {
        const std::size_t step = GENERATE(0u, 1u, 2u, 4u, 5u);
        const std::uint64_t at = p.steps[step].destination;
        p.steps.erase(p.steps.begin() + static_cast<std::ptrdiff_t>(step));
        CHECK(rule_3(p) == refused(image_not_covered, at));
    }
    SECTION("a byte is missing at an end")
    {
        p.steps[0].size -= 1;
        CHECK(rule_3(p) == refused(image_not_covered, 0x0040'3fff));
        p.steps[0] = {0x0040'3001, 0x0080'0801, 0xfff};
        CHECK(rule_3(p) == refused(image_not_covered, 0x0040'3000));
        p.steps[0] = {0x0040'3000, 0x0080'0800, 0x1000};
        p.steps[2].size -= 1;
        CHECK(rule_3(p) == refused(image_not_covered, 0x0040'6fff));
    }
    SECTION("what is to lie in place lies a byte beside it")
    {
        p.file[3].at += 1_bytes;
        CHECK(rule_3(p) == refused(image_not_covered, 0x0040'2000));
    }
    SECTION("what lies in place may be written all the same, if the overlay moves it to itself")
    {
        p.steps.pop_back();
        p.steps.pop_back();
        p.steps.pop_back();
        std::swap(p.file[1], p.file[2]); // all of it in place now
        CHECK(rule_3(p) == no_fault);
        p.steps.push_back({0x0040'1000, 0x0040'1000, 0x1000});
        CHECK(rule_3(p) == no_fault);
        CHECK(rule_4(p) == no_fault);
    }
    SECTION("the file ends before the segment")
    {
        p.file[5].size = 0xfff_bytes;
        CHECK(rule_3(p) == refused(source_size_mismatch, sound_plan::kernel));
        p.file.clear();
        p.image[0].file = p.file;
        CHECK(rule_3(p) == refused(source_size_mismatch, sound_plan::kernel));
    }
}

TEST_CASE("rule 4: what a step reads was written by none before it", "[plan][rules]")
{
    sound_plan p;
    SECTION("the save comes too late")
    {
        std::swap(p.steps[3], p.steps[4]);
        CHECK(rule_4(p) == refused(source_overwritten, 0x0040'0000));
    }
    SECTION("without a bounce")
    {
        p.steps[3] = {0x0040'1000, 0x0040'0000, 0x1000};
        p.steps.pop_back();
        CHECK(rule_4(p) == refused(source_overwritten, 0x0040'1000));
    }
    SECTION("one byte is enough, at either end")
    {
        p.steps = {{0x0040'3000, 0x0080'0000, 0x10}, {0x0040'4000, 0x0040'300f, 0x10}};
        CHECK(rule_4(p) == refused(source_overwritten, 0x0040'300f));
        p.steps[1].source = 0x0040'2ff1;
        CHECK(rule_4(p) == refused(source_overwritten, 0x0040'2ff1));
        p.steps[1].source = 0x0040'3010;
        CHECK(rule_4(p) == no_fault);
        p.steps[1].source = 0x0040'2ff0;
        CHECK(rule_4(p) == no_fault);
    }
    SECTION("behind writes that are no harm there is one that is")
    {
        p.steps = {
            {0x0040'3020, overlay_step::zeros, 1}, {0x0040'4000, 0x0040'3000, 0x30}, {0x0040'3000, 0x0080'0000, 0x10}};
        CHECK(rule_4(p) == refused(source_overwritten, 0x0040'3000));
    }
    SECTION("a step may overwrite its own source")
    {
        p.steps = {{0x0040'3001, 0x0040'3000, 0x1000}};
        CHECK(rule_4(p) == no_fault);
    }
    SECTION("what was saved counts from when it was saved")
    {
        p.steps = {{sound_plan::bounce.raw(), 0x0040'0000, 0x1000}, {0x0040'0000, 0x0080'0000, 0x1000},
            {0x0040'1000, sound_plan::bounce.raw(), 0x1000}};
        CHECK(rule_4(p) == no_fault);
        std::swap(p.steps[0], p.steps[1]);
        CHECK(rule_4(p) == refused(source_overwritten, 0x0040'0000));
    }
}

TEST_CASE("rule 5: what the overlay touches is mapped one to one", "[plan][rules]")
{
    sound_plan p;
    const phys_addr root = p.plan.new_root;
    const struct {
        phys_addr page; // a 4 MB page
        fault unmapped; // what is missed first
        fault read_only;
    } places[] = {
        {sound_plan::kernel, refused(not_mapped, sound_plan::kernel), refused(not_writable, sound_plan::kernel)},
        {sound_plan::staged, refused(not_mapped, 0x0080'0800_pa), no_fault},
        {sound_plan::code, refused(not_mapped, sound_plan::code), refused(not_writable, sound_plan::stack)},
        {sound_plan::bounce, refused(not_mapped, sound_plan::bounce), refused(not_writable, sound_plan::bounce)},
        {sound_plan::log, refused(not_mapped, sound_plan::trail), refused(not_writable, sound_plan::trail)},
    };
    for (const auto& place : places) {
        const std::uint32_t good = p.directory_entry(root, at_same(place.page));
        CAPTURE(place.page);
        p.set_directory_entry(root, at_same(place.page), 0);
        CHECK(rule_5(p) == place.unmapped);
        p.set_directory_entry(root, at_same(place.page), good ^ 0x0200'0000); // to somewhere else
        CHECK(rule_5(p) == place.unmapped);
        p.set_directory_entry(root, at_same(place.page), good | x86::page_bit::large_reserved);
        CHECK(rule_5(p) == place.unmapped);
        p.set_directory_entry(root, at_same(place.page), good & ~x86::page_bit::writable);
        CHECK(rule_5(p) == place.read_only);
        p.set_directory_entry(root, at_same(place.page), good);
    }
    CHECK(rule_5(p) == no_fault);
    p.set_directory_entry(root, at_same(sound_plan::log), 0);
    p.program.trail = overlay_program::no_trail;
    CHECK(rule_5(p) == no_fault);
}

TEST_CASE("rule 5: to the last byte", "[plan][rules]")
{
    sound_plan p;
    // The page behind the kernel's is the staged one: not mapped, then read-only, then what is behind that.
    const std::uint32_t staged = p.directory_entry(p.plan.new_root, at_same(sound_plan::staged));
    p.set_directory_entry(p.plan.new_root, at_same(sound_plan::staged), 0);
    CHECK(rule_5(p, {0x007f'ffff, 0x0040'0000, 1, 0, 0}) == no_fault);
    CHECK(rule_5(p, {0x007f'ffff, 0x0040'0000, 2, 0, 0}) == refused(not_mapped, 0x0080'0000));
    CHECK(rule_5(p, {0x0040'0000, 0x007f'ffff, 2, 0, 0}) == refused(not_mapped, 0x0080'0000));
    p.set_directory_entry(p.plan.new_root, at_same(sound_plan::staged), staged & ~x86::page_bit::writable);
    CHECK(rule_5(p, {0x007f'ffff, 0x0040'0000, 2, 0, 0}) == refused(not_writable, 0x0080'0000));
    CHECK(rule_5(p, {0x0040'0000, 0x007f'ffff, 2, 0, 0}) == no_fault);
    // At the end of what 32 bits reach the walk ends too.
    p.set_directory_entry(p.plan.new_root, 0xffff'ffff_va, directory::leaf(0xffc0'0000_pa, access::read_write).bits);
    CHECK(rule_5(p, {0xffff'ff00, overlay_step::zeros, 0x100, 0, 0}) == no_fault);
}

TEST_CASE("rule 6: machinery lies in safe regions of its role", "[plan][rules]")
{
    sound_plan p;
    SECTION("each piece of it")
    {
        const struct {
            sound_plan::safe_index which;
            phys_addr first;
        } pieces[] = {{sound_plan::s_code, sound_plan::code}, {sound_plan::s_stack, sound_plan::stack},
            {sound_plan::s_frame, sound_plan::frame}, {sound_plan::s_plan, sound_plan::plan_pages + 4_KiB},
            {sound_plan::s_tables, sound_plan::tables}, {sound_plan::s_bounce, sound_plan::bounce}};
        for (const auto& piece : pieces) {
            safe_region& r = p.safe[piece.which];
            const safe_region good = r;
            CAPTURE(piece.which);
            r.role = safe_role::parameters;
            CHECK(rule_6(p) == refused(outside_safe_region, piece.first));
            r.role = good.role;
            r.range = phys_range::between(piece.first + 1_bytes, good.range.last());
            CHECK(rule_6(p) == refused(outside_safe_region, piece.first));
            r.range = phys_range::between(good.range.first(), piece.first + 4094_bytes);
            CHECK(rule_6(p) == refused(outside_safe_region, piece.first));
            r = good;
        }
        CHECK(rule_6(p) == no_fault);
    }
    SECTION("the program, wherever it is")
    {
        p.plan.program = last_of(sound_plan::frame) - byte_count::of(sizeof(overlay_program) - 1);
        store(p.memory, p.plan.program, p.program);
        CHECK(rule_6(p) == no_fault);
        p.plan.program += 8_bytes;
        CHECK(rule_6(p) == refused(outside_safe_region, p.plan.program));
        p.plan.program = p.plan.program - 12_bytes;
        CHECK(rule_6(p) == refused(misaligned, p.plan.program));
    }
    SECTION("every page of steps, and an end of them")
    {
        p.safe[sound_plan::s_plan].range = phys_range::of(sound_plan::plan_pages, 0x2fff_bytes);
        CHECK(rule_6(p) == refused(outside_safe_region, sound_plan::plan_pages + 8_KiB));
        p.safe[sound_plan::s_plan].range = phys_range::of(sound_plan::plan_pages, 12_KiB);
        p.most_plan_pages = 2;
        CHECK(rule_6(p) == refused(bad_range, sound_plan::plan_pages + 8_KiB));
        p.most_plan_pages = 3;
        store(p.memory, sound_plan::plan_pages + 8_KiB, sound_plan::plan_pages.raw()); // round in a circle
        CHECK(rule_6(p) == refused(bad_range, sound_plan::plan_pages));
        p.most_plan_pages = 4;
        store(p.memory, sound_plan::plan_pages + 8_KiB, top - 4087); // a page that wraps
        CHECK(rule_6(p) == refused(bad_range, top - 4087));
        store(p.memory, sound_plan::plan_pages + 8_KiB, sound_plan::plan_pages.raw() + 4);
        CHECK(rule_6(p) == refused(misaligned, sound_plan::plan_pages + 4_bytes));
    }
    SECTION("tables below the root")
    {
        p.safe[sound_plan::s_tables].range = phys_range::of(sound_plan::tables, 4_KiB);
        CHECK(rule_6(p) == refused(outside_safe_region, sound_plan::tables + 4_KiB));
        p.set_directory_entry(p.plan.new_root, sound_plan::switch_page, 0);
        CHECK(rule_6(p) == no_fault);
        p.set_directory_entry(p.plan.new_root, 0xffff'ffff_va, directory::table(sound_plan::running_table).bits);
        CHECK(rule_6(p) == refused(outside_safe_region, sound_plan::running_table));
    }
}

TEST_CASE("rule 7: the page of the switch is the overlay's code, before and after", "[plan][rules]")
{
    sound_plan p;
    const fault differs = refused(switch_page_differs, sound_plan::switch_page.raw());
    const phys_addr new_table = sound_plan::tables + 4_KiB;
    SECTION("in both tables")
    {
        for (const phys_addr table : {sound_plan::running_table, new_table}) {
            CAPTURE(table);
            const auto good = load<std::uint32_t>(p.memory, table);
            store(p.memory, table, std::uint32_t{0});
            CHECK(rule_7(p) == differs);
            store(p.memory, table, table_entry::leaf(sound_plan::stack, access::read_write).bits);
            CHECK(rule_7(p) == differs);
            store(p.memory, table, good);
            CHECK(rule_7(p) == no_fault);
        }
    }
    SECTION("alike, but not the code")
    {
        for (const phys_addr table : {sound_plan::running_table, new_table})
            store(p.memory, table, table_entry::leaf(sound_plan::stack, access::read_write).bits);
        CHECK(rule_7(p) == differs);
    }
    SECTION("a whole page of it")
    {
        p.plan.switch_page += 16_bytes;
        p.plan.code += 16_bytes; // alike at its first byte, but the page ends early
        CHECK(rule_7(p) == refused(switch_page_differs, p.plan.switch_page.raw()));
        // A large page in one of the tables is no help when the other's ends.
        p.set_directory_entry(
            p.plan.new_root, p.plan.switch_page, directory::leaf(sound_plan::code, access::read_write).bits);
        CHECK(rule_7(p) == refused(switch_page_differs, p.plan.switch_page.raw()));
        p.set_directory_entry(
            sound_plan::running_root, p.plan.switch_page, directory::leaf(sound_plan::code, access::read_write).bits);
        CHECK(rule_7(p) == no_fault);
        p.set_directory_entry(p.plan.new_root, p.plan.switch_page, directory::table(new_table).bits);
        CHECK(rule_7(p) == refused(switch_page_differs, p.plan.switch_page.raw()));
    }
}

TEST_CASE("rule 8: the entry lies in what is copied", "[plan][rules]")
{
    sound_plan p;
    const auto enter = [&](phys_addr a) {
        p.plan.entry = at_same(a);
        return rule_8(p);
    };
    CHECK(enter(sound_plan::kernel) == no_fault);
    CHECK(enter(sound_plan::zeros_at - 1_bytes) == no_fault);
    for (const phys_addr a : {sound_plan::kernel - 1_bytes, sound_plan::zeros_at, sound_plan::scratch, sound_plan::kept,
             sound_plan::survivor, sound_plan::code, phys_addr::at(top)}) {
        CAPTURE(a);
        CHECK(enter(a) == refused(entry_not_in_image, a));
    }
    p.safe[sound_plan::s_survivor].range = phys_range::of(sound_plan::kernel + 0x100_bytes, 1_bytes);
    CHECK(enter(sound_plan::kernel + 0x100_bytes) == refused(entry_not_in_image, sound_plan::kernel + 0x100_bytes));
    CHECK(enter(sound_plan::kernel + 0x101_bytes) == no_fault);
}

TEST_CASE("rule 8: a paged image finds itself where it expects itself", "[plan][rules]")
{
    sound_plan p;
    p.enter_paged();
    const phys_addr root = p.plan.new_root;
    const virt_addr at = sound_plan::kernel_at;
    SECTION("the entry is mapped, into the image")
    {
        p.plan.entry = at + 0x7fff_bytes;
        CHECK(rule_8(p) == refused(entry_not_in_image, p.plan.entry.raw()));
        p.plan.entry = 0xe000'0000_va;
        CHECK(rule_8(p) == refused(not_mapped, 0xe000'0000));
        p.plan.entry = at_same(sound_plan::kernel); // one to one, if it asks for that
        CHECK(rule_8(p) == no_fault);
    }
    SECTION("every page of it")
    {
        p.layout.push_back({virt_range::of(at + 4_MiB - 1_bytes, 2_bytes), sound_plan::kernel + 4_MiB - 1_bytes, true});
        CHECK(rule_8(p) == refused(not_mapped, 0xc080'0000));
        p.set_directory_entry(root, at + 4_MiB, directory::leaf(0x00c0'0000_pa, access::read_write).bits);
        CHECK(rule_8(p) == refused(not_mapped, 0xc080'0000)); // elsewhere
        p.set_directory_entry(root, at + 4_MiB, directory::leaf(0x0080'0000_pa, access::read_only).bits);
        CHECK(rule_8(p) == refused(not_writable, 0xc080'0000));
        p.layout.back().writable = false;
        CHECK(rule_8(p) == no_fault);
    }
    SECTION("the first of it")
    {
        p.layout[0].physical += 4_KiB;
        CHECK(rule_8(p) == refused(not_mapped, at.raw()));
    }
    SECTION("to the last address")
    {
        p.layout.push_back(
            {virt_range::between(0xffff'f000_va, 0xffff'ffff_va), 0x0080'0000_pa + 0x3ff000_bytes, true});
        CHECK(rule_8(p) == refused(not_mapped, 0xffff'f000));
        p.set_directory_entry(root, 0xffff'ffff_va, directory::leaf(0x0080'0000_pa, access::read_write).bits);
        CHECK(rule_8(p) == no_fault);
    }
    SECTION("an unpaged entry asks for none of this")
    {
        p.plan.entered_paged = false;
        p.plan.entry = at_same(sound_plan::kernel);
        p.layout[0].physical += 4_KiB;
        CHECK(rule_8(p) == no_fault);
    }
}

TEST_CASE("rule 9: the program is what the overlay can run", "[plan][rules]")
{
    sound_plan p;
    auto& skips = p.program.skips;
    const skip_range survivor = skips[0];
    const skip_range code{sound_plan::code.raw(), last_of(sound_plan::code).raw()};
    SECTION("no more skip ranges than there is room for")
    {
        p.program.skip_count = overlay_program::max_skips + 1;
        CHECK(rule_9(p) == refused(no_space, overlay_program::max_skips + 1));
        p.program.skip_count = top;
        CHECK(rule_9(p) == refused(no_space, top));
    }
    SECTION("as many as there is room for")
    {
        p.program.skip_count = overlay_program::max_skips;
        for (std::size_t i = 1; i < overlay_program::max_skips; ++i) {
            const phys_addr at = phys_addr::at(0x0180'0000 + i * 0x1000);
            p.safe.push_back({sound_plan::page_of(at), safe_role::parameters});
            skips[i] = {at.raw(), last_of(at).raw()};
        }
        CHECK(rule_9(p) == no_fault);
    }
    SECTION("sorted, disjoint, not backward")
    {
        p.program.skip_count = 2;
        skips[1] = code;
        CHECK(rule_9(p) == no_fault);
        std::swap(skips[0], skips[1]);
        CHECK(rule_9(p) == refused(bad_range, survivor.first));
        skips[0] = skips[1] = survivor;
        CHECK(rule_9(p) == refused(bad_range, survivor.first));
        skips[1].first = survivor.last; // one byte in common
        CHECK(rule_9(p) == refused(bad_range, survivor.last));
        skips[0] = {survivor.last, survivor.first};
        CHECK(rule_9(p) == refused(bad_range, survivor.last));
    }
    SECTION("safe regions, to the byte")
    {
        skips[0].first -= 1;
        CHECK(rule_9(p) == refused(outside_safe_region, survivor.first - 1));
        skips[0] = survivor;
        skips[0].last -= 1;
        CHECK(rule_9(p) == refused(outside_safe_region, survivor.first));
        skips[0] = survivor;
        skips[0].last += 1;
        CHECK(rule_9(p) == refused(outside_safe_region, survivor.first));
    }
    SECTION("each one that the image touches")
    {
        p.program.skip_count = 0;
        CHECK(rule_9(p) == refused(destination_in_safe_region, sound_plan::survivor));
        p.image[sound_plan::zeroed].destination = phys_range::of(sound_plan::zeros_at, 4_KiB); // touched no more
        CHECK(rule_9(p) == no_fault);
        p.image[sound_plan::zeroed].destination = phys_range::of(sound_plan::zeros_at, 4097_bytes);
        CHECK(rule_9(p) == refused(destination_in_safe_region, sound_plan::survivor));
    }
    SECTION("never the bounce page, which would then save nothing")
    {
        p.program.skip_count = 2;
        skips[1] = {sound_plan::bounce.raw(), last_of(sound_plan::bounce).raw()};
        CHECK(rule_9(p) == refused(destination_in_safe_region, sound_plan::bounce));
    }
    SECTION("a trail in a log")
    {
        p.program.trail = last_of(sound_plan::log).raw() - sizeof(breadcrumb) + 1;
        CHECK(rule_9(p) == no_fault);
        p.program.trail += 8;
        CHECK(rule_9(p) == refused(outside_safe_region, p.program.trail));
        p.program.trail -= 12;
        CHECK(rule_9(p) == refused(misaligned, p.program.trail));
        p.program.trail = sound_plan::parameters.raw(); // safe, but no log
        CHECK(rule_9(p) == refused(outside_safe_region, sound_plan::parameters));
        p.program.trail = top - 8;
        CHECK(rule_9(p) == refused(bad_range, top - 8));
        p.program.trail = overlay_program::no_trail;
        CHECK(rule_9(p) == no_fault);
    }
}
