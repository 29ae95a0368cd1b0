// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/plan/run_circle.hpp>

#include <vector>

#include <tests/catch.hpp>

using namespace lobos;
using detail::find_circle;

namespace {

/// Runs in one area from 0x1000 on, with their readers counted.
struct waiting {
    std::vector<planner_run> storage = std::vector<planner_run>(32);
    detail::no_tally nothing;
    detail::run_table<detail::no_tally> table{storage, nothing};

    explicit waiting(const std::vector<planner_run>& runs)
    {
        const segment image[] = {{.destination = phys_range::of(phys_addr::at(0x1000), byte_count::of(0x10'0000))}};
        REQUIRE(table.note_segments(image));
        for (const planner_run& r : runs)
            table.add_anywhere(r);
        table.make_index();
        for (std::size_t i = 0; i < table.size(); ++i)
            table.for_each_read_by(table[i], [&](std::size_t j) { table[j].readers += j != i; });
    }
};

planner_run run(std::uint64_t destination, std::uint64_t source, std::uint64_t size)
{
    return {destination, source, size, 0, 0};
}

} // namespace

TEST_CASE("equal runs in a circle", "[plan][run_circle]")
{
    waiting w{{run(0x1000, 0x3000, 0x1000), run(0x2000, 0x1000, 0x1000), run(0x3000, 0x2000, 0x1000)}};
    const auto found = find_circle(w.table, 0);
    REQUIRE(found);
    CHECK(found->equal);
    CHECK(found->tight);
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK((w.table[i].readers & detail::circle::seen) != 0);
        CHECK_FALSE(find_circle(w.table, i)); // once is enough
    }
}

TEST_CASE("unequal runs in a circle, and the smallest of them", "[plan][run_circle]")
{
    waiting w{{run(0x1000, 0x8000, 0x2000), run(0x8000, 0x1800, 0x1000)}};
    const auto found = find_circle(w.table, 0);
    REQUIRE(found);
    CHECK_FALSE(found->equal);
    CHECK(found->tight); // what waits of each is also waited for
    CHECK(w.table[found->smallest].size == 0x1000);
    // A run that was seen on the way and did not make an equal circle is no circle of its own.
    CHECK_FALSE(find_circle(w.table, 1));
}

TEST_CASE("a circle that opens when a run is cut is not tight", "[plan][run_circle]")
{
    // The first reads the second's end, the second reads the first's end.
    waiting open{{run(0x1000, 0x8f00, 0x1000), run(0x8000, 0x1f00, 0x1000)}};
    const auto found = find_circle(open.table, 0);
    REQUIRE(found);
    CHECK_FALSE(found->tight);
    // The first one alone can be cut: it reads with its beginning, and its end is read.
    waiting first{{run(0x1000, 0x8f00, 0x1000), run(0x8f00, 0x1f00, 0x100)}};
    const auto loose = find_circle(first.table, 0);
    REQUIRE(loose);
    CHECK_FALSE(loose->tight);
    // One that reads itself moves like a caterpillar: its parts wait for each other.
    waiting turned{{run(0x1000, 0x1100, 0xf00), run(0x1f00, 0x1000, 0x100)}};
    const auto tight = find_circle(turned.table, 0);
    REQUIRE(tight);
    CHECK(tight->tight);
}

TEST_CASE("runs with two readers, with none, and those that read two others are in no circle", "[plan][run_circle]")
{
    waiting w{{run(0x1000, 0x2000, 0x1000), run(0x2000, 0x1000, 0x1000), run(0x3000, 0x1000, 0x1000),
        run(0x4000, 0x4800, 0x1000), run(0x5000, 0x4000, 0x1000)}};
    for (std::size_t i = 0; i < w.table.size(); ++i) {
        CAPTURE(i);
        const bool swapped = w.table[i].destination == 0x4000 || w.table[i].destination == 0x5000;
        CHECK(find_circle(w.table, i).has_value() == (swapped && i == 3));
    }
}
