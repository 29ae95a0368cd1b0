// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/image/segment.hpp>

#include <set>
#include <string>
#include <vector>

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

namespace {

std::vector<extent> pieces_of(const segment& s, byte_count most)
{
    std::vector<extent> pieces;
    content_cursor c{s};
    while (c.left().raw() != 0) {
        pieces.push_back(c.take(most));
        if (pieces.back().size.raw() == 0)
            break;
    }
    return pieces;
}

} // namespace

TEST_CASE("what a segment is made of, from its offset in the file to its own end")
{
    const std::vector<extent> file{
        {0x8000_pa, 0x100_bytes}, {0x1_pa, 0_bytes}, extent::zeros(0x10_bytes), {0x9000_pa, 0x100_bytes}};
    segment s{.destination = phys_range::of(0x1000_pa, 0x60_bytes), .file = file, .file_offset = 0xe0_bytes};
    CHECK(pieces_of(s, 0x1000_bytes) ==
        std::vector<extent>{{0x80e0_pa, 0x20_bytes}, extent::zeros(0x10_bytes), {0x9000_pa, 0x30_bytes}});
    CHECK(pieces_of(s, 0x18_bytes) ==
        std::vector<extent>{{0x80e0_pa, 0x18_bytes}, {0x80f8_pa, 8_bytes}, extent::zeros(0x10_bytes),
            {0x9000_pa, 0x18_bytes}, {0x9018_pa, 0x18_bytes}});
    s.file_offset = 0x110_bytes; // where a piece begins
    CHECK(pieces_of(s, 0x1000_bytes) == std::vector<extent>{{0x9000_pa, 0x60_bytes}});
    s.file_offset = 0x1d0_bytes; // a file that ends before the segment
    CHECK(pieces_of(s, 0x1000_bytes) == std::vector<extent>{{0x90c0_pa, 0x40_bytes}, {}});
    s.what = content::zero;
    CHECK(pieces_of(s, 0x40_bytes) == std::vector<extent>{extent::zeros(0x40_bytes), extent::zeros(0x20_bytes)});
    for (const content what : {content::scratch, content::kept, content::padding}) {
        s.what = what;
        CHECK(pieces_of(s, 0x40_bytes).empty());
    }
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
