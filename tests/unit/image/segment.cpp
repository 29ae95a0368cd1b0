// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/image/segment.hpp>

#include <set>
#include <string>

#include <tests/catch.hpp>

using namespace lobos;

TEST_CASE("all but padding occupies memory")
{
    segment s{.destination = phys_range::of(0x1000_pa, 4_KiB)};
    CHECK(s.what == content::copy);
    CHECK(s.role == segment_role::kernel);
    for (const content what : {content::copy, content::zero, content::scratch, content::padding}) {
        s.what = what;
        CHECK(s.occupies() == (what != content::padding));
    }
}

TEST_CASE("every content and role has a word of its own")
{
    std::set<std::string> words;
    for (const content what : {content::copy, content::zero, content::scratch, content::padding})
        words.emplace(to_string(what));
    for (const segment_role role : {segment_role::kernel, segment_role::initrd, segment_role::module})
        words.emplace(to_string(role));
    CHECK(words.size() == 7);
    CHECK(words.count("unknown") == 0);
    CHECK(std::string{"unknown"} == to_string(static_cast<content>(9)));
    CHECK(std::string{"unknown"} == to_string(static_cast<segment_role>(9)));
}

TEST_CASE("below_4g ends with the last 32-bit address")
{
    CHECK(below_4g.contains(0_pa));
    CHECK(below_4g.contains(0xffff'ffff_pa));
    CHECK_FALSE(below_4g.contains(0x1'0000'0000_pa));
}

TEST_CASE("a segment list holds max_segments and says when it is full")
{
    segment_list list;
    const segment s{.destination = phys_range::of(0_pa, 1_bytes)};
    for (std::size_t i = 0; i < max_segments; ++i)
        REQUIRE(list.push_back(s));
    CHECK_FALSE(list.push_back(s));
    CHECK(list.size() == max_segments);
}
