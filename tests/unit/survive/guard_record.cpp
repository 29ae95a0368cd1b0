// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/survive/guard_record.hpp>

#include <string>

#include <lobos/x86/exceptions.hpp>

#include <tests/catch.hpp>

using namespace lobos;

namespace {

std::string text_of(const breadcrumb& crumb)
{
    return std::string{guard_record<x86::exceptions>(crumb).view()};
}

breadcrumb crumb(overlay_stage stage, std::uint64_t steps)
{
    breadcrumb c{};
    c.stage = static_cast<std::uint32_t>(stage);
    c.steps = steps;
    return c;
}

} // namespace

TEST_CASE("an exec ended early unless it arrived, or was none", "[survive][guard_record]")
{
    CHECK_FALSE(ended_early(breadcrumb{}));
    CHECK_FALSE(ended_early(crumb(overlay_stage::copied, 9)));
    CHECK(ended_early(crumb(overlay_stage::prepared, 0)));
    CHECK(ended_early(crumb(overlay_stage::copying, 3)));
    auto late = crumb(overlay_stage::copied, 9);
    late.exception = 1; // vector 0 is an exception too
    CHECK(ended_early(late));
}

TEST_CASE("a record says vector, code, place, stage and step", "[survive][guard_record]")
{
    auto c = crumb(overlay_stage::copying, 17);
    c.exception = 6 + 1;
    c.at = 0xffff'ffff'8010'1234;
    c.touched = 0x1000; // stale: CR2 says nothing about an invalid opcode
    CHECK(text_of(c) ==
        "ended by exception 6 (invalid opcode), error 0x0, at 0xffffffff80101234, stage copying, step 17");

    c.exception = 14 + 1;
    c.error = 2;
    CHECK(text_of(c) ==
        "ended by exception 14 (page fault), error 0x2, at 0xffffffff80101234, address 0x00001000, stage copying, "
        "step 17");
}

TEST_CASE("what no number names is said without a name", "[survive][guard_record]")
{
    auto c = crumb(overlay_stage::prepared, 0);
    CHECK(text_of(c) == "ended without a record, stage prepared, step 0");
    c.exception = 31 + 1;
    c.stage = 99;
    CHECK(text_of(c) == "ended by exception 31, error 0x0, at 0x00000000, stage unknown, step 0");
}

TEST_CASE("the longest record fits in a line", "[survive][guard_record]")
{
    breadcrumb c{};
    c.stage = 99;
    c.steps = ~std::uint64_t{0};
    c.exception = 14 + 1;
    c.error = ~std::uint32_t{0};
    c.at = c.touched = ~std::uint64_t{0};
    CHECK(text_of(c).back() != '~');
}
