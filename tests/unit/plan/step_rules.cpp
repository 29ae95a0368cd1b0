// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <tests/support/rule_checks.hpp>

using namespace lobos;
using namespace lobos::test;
using enum fault_code;

TEST_CASE("the steps are read as the overlay will read them", "[plan][rules]")
{
    sound_plan p;
    SECTION("bounces are resolved, and all is sorted")
    {
        auto c = p.context();
        REQUIRE(rules::collect_writes(c, sound_plan::paging::physical_reach));
        const std::uint64_t wanted[][5] = {{0x0040'0000, 0x0040'1000, 0x1000, 4, 4},
            {0x0040'1000, 0x0040'0000, 0x1000, 3, 5}, {0x0040'3000, 0x0080'0800, 0x1000, 0, 0},
            {0x0040'4000, 0x0080'3000, 0x1000, 1, 1}, {0x0040'5000, no_source, 0x2000, 2, 2}};
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
        REQUIRE(rules::collect_writes(c, sound_plan::paging::physical_reach));
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
        CHECK(fault_of(rules::collect_writes(c, sound_plan::paging::physical_reach)) ==
            refused(bad_range, sound_plan::plan_pages));
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
        p.steps.push_back(overlay_step::fill(GENERATE(0x0040'7000u, 0x0050'0fffu), 1));
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
        p.steps.push_back(overlay_step::fill(sound_plan::bounce.raw(), 8));
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
        p.steps[0].source = p.steps[0].destination;
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
            overlay_step::fill(0x0040'6000, 0x1000), overlay_step::fill(0x0040'5000, 0x1000)};
        CHECK(rule_3(p) == no_fault);
        p.steps[1].source += 1;
        CHECK(rule_3(p) == refused(step_wrong_source, 0x0040'4321));
    }
    SECTION("holes of a file are zeros, and nothing else is")
    {
        p.file = {{0x0080'0000_pa, 0x10_bytes}, extent::zeros(0x10_bytes), {0x0080'0020_pa, 0x10_bytes}};
        p.image = {{.destination = phys_range::of(sound_plan::kernel, 0x30_bytes), .file = p.file}};
        const std::vector<overlay_step> right{
            {0x0040'0000, 0x0080'0000, 0x10}, overlay_step::fill(0x0040'0010, 0x10), {0x0040'0020, 0x0080'0020, 0x10}};
        p.steps = right;
        CHECK(rule_3(p) == no_fault);
        p.steps[1].source = 0x0080'0010;
        CHECK(rule_3(p) == refused(step_wrong_source, 0x0040'0010));
        p.steps = right;
        p.steps[2].source = p.steps[2].destination;
        CHECK(rule_3(p) == refused(step_wrong_source, 0x0040'0020));
        p.steps = {right[0], right[2]};
        CHECK(rule_3(p) == refused(image_not_covered, 0x0040'0010));
        p.steps = {{0x0040'0000, 0x0080'0000, 0x30}}; // the hole is not what lies behind the bytes before it
        CHECK(rule_3(p) == refused(step_wrong_source, 0x0040'0000));
    }
    SECTION("what means zeros is no place in memory")
    {
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
    p.steps.back() = overlay_step::fill(0x0040'6fff, 1); // the last byte of a segment
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
        p.steps[2].size -= 0x1001; // where the survivor lies nothing need be written
        CHECK(rule_3(p) == refused(image_not_covered, 0x0040'5fff));
    }
    SECTION("what the program skips may be left out, and nothing more")
    {
        p.steps[2].size -= 1;
        CHECK(rule_3(p) == no_fault);
        p.steps[2].size -= 0xfff;
        CHECK(rule_3(p) == no_fault);
        p.program.skips[0].last -= 1;
        CHECK(rule_3(p) == refused(image_not_covered, 0x0040'6fff));
        p.program.skips[0] = {p.program.skips[0].first + 1, p.program.skips[0].last + 1};
        CHECK(rule_3(p) == refused(image_not_covered, 0x0040'6000));
        p.program.skip_count = 0;
        CHECK(rule_3(p) == refused(image_not_covered, 0x0040'6000));
        p.program.skips[0] = {0, top};
        p.program.skip_count = 1;
        p.steps[2].size -= 1;
        CHECK(rule_3(p) == no_fault); // that this is no safe region says rule 9
    }
    SECTION("what is to lie in place lies a byte beside it")
    {
        p.file[3].at += 1_bytes;
        CHECK(rule_3(p) == refused(image_not_covered, 0x0040'2000));
    }
    SECTION("what lies in place is left out, for a step from there to itself would fill it")
    {
        p.steps.pop_back();
        p.steps.pop_back();
        p.steps.pop_back();
        std::swap(p.file[1], p.file[2]); // all of it in place now
        CHECK(rule_3(p) == no_fault);
        p.steps.push_back({0x0040'1000, 0x0040'1000, 0x1000});
        CHECK(rule_3(p) == refused(step_wrong_source, 0x0040'1000));
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
            overlay_step::fill(0x0040'3020, 1), {0x0040'4000, 0x0040'3000, 0x30}, {0x0040'3000, 0x0080'0000, 0x10}};
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

TEST_CASE("rule 9: no step writes to what the program skips, where the loop would not see it", "[plan][rules]")
{
    sound_plan p;
    const std::uint64_t step = p.steps[2].destination;
    CHECK(rule_9_steps(p) == refused(destination_in_safe_region, step));
    p.steps[2].size -= 0xfff; // its first byte
    CHECK(rule_9_steps(p) == refused(destination_in_safe_region, step));
    p.steps[2].size -= 1;
    CHECK(rule_9_steps(p) == no_fault);
    p.steps.push_back(overlay_step::fill(0x0040'6fff, 1)); // its last
    CHECK(rule_9_steps(p) == refused(destination_in_safe_region, 0x0040'6fff));
    p.steps.back() = overlay_step::fill(0x0040'7000, 1);
    CHECK(rule_9_steps(p) == no_fault);
    p.steps.back() = overlay_step::fill(0x0040'6800, 1); // inside
    CHECK(rule_9_steps(p) == refused(destination_in_safe_region, 0x0040'6800));
    p.program.skip_count = 0;
    CHECK(rule_9_steps(p) == no_fault);
}
