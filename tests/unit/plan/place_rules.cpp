// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <tests/support/rule_checks.hpp>

using namespace lobos;
using namespace lobos::test;
using enum fault_code;

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
    const auto sound = p.safe;
    p.add_safe({phys_range::of(last_of(sound_plan::stack), 1_bytes), safe_role::parameters});
    CHECK(rule_2(p) == refused(safe_regions_overlap, last_of(sound_plan::stack)));
    p.safe = sound;
    p.add_safe({phys_range::of(sound_plan::frame + 4_KiB, 1_bytes), safe_role::parameters});
    CHECK(rule_2(p) == no_fault);
    p.safe = sound;
    p.add_safe(sound.front());
    CHECK(rule_2(p) == refused(safe_regions_overlap, sound.front().range.first()));
    p.safe = sound; // disjoint, and not in order: what lies between them would not be found
    std::swap(p.safe[sound_plan::s_frame], p.safe[sound_plan::s_bounce]);
    CHECK(rule_2(p) == refused(safe_regions_overlap, sound_plan::plan_pages));
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

TEST_CASE("rule 2: no source lies in a safe region, but in parameters", "[plan][rules]")
{
    sound_plan p;
    p.file[3] = {last_of(sound_plan::bounce), 1_bytes};
    CHECK(rule_2(p) == refused(source_in_safe_region, last_of(sound_plan::bounce)));
    p.file[3] = {last_of(sound_plan::parameters), 1_bytes};
    CHECK(rule_2(p) == no_fault);
    p.file[3] = {sound_plan::parameters, 4097_bytes};
    CHECK(rule_2(p) == no_fault);
    p.add_safe({phys_range::of(sound_plan::parameters + 4_KiB, 1_bytes), safe_role::plan}); // right behind
    CHECK(rule_2(p) == refused(source_in_safe_region, sound_plan::parameters + 4_KiB));
    p.file[3] = {sound_plan::code - 1_bytes, 2_bytes};
    CHECK(rule_2(p) == refused(source_in_safe_region, sound_plan::code));
    p.file[3] = {sound_plan::code, 0_bytes}; // nothing
    CHECK(rule_2(p) == no_fault);
    p.file[3] = {sound_plan::code, byte_count::of(top)}; // would reach round to where it begins
    CHECK(rule_2(p) == refused(bad_range, sound_plan::code));
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

TEST_CASE("rule 6: pages of modes, and the tables of the image's own", "[plan][rules]")
{
    sound_plan p;
    SECTION("each page of a mode that counts")
    {
        const phys_addr pages[] = {0x00c0'c000_pa, 0x00c0'e000_pa};
        p.plan.mode_pages = {pages[0], pages[1]};
        CHECK(rule_6(p) == no_fault);
        p.plan.mode_page_count = 1;
        CHECK(rule_6(p) == refused(outside_safe_region, pages[0]));
        p.add_safe({sound_plan::page_of(pages[0]), safe_role::mode});
        CHECK(rule_6(p) == no_fault);
        p.plan.mode_page_count = 2;
        p.add_safe({sound_plan::page_of(pages[1]), safe_role::parameters});
        CHECK(rule_6(p) == refused(outside_safe_region, pages[1]));
    }
    SECTION("the tables that a paged image is entered on")
    {
        p.plan.entry_root = sound_plan::parameters;
        CHECK(rule_6(p) == no_fault); // entered unpaged
        p.enter_paged();
        CHECK(rule_6(p) == refused(outside_safe_region, sound_plan::parameters));
    }
}
