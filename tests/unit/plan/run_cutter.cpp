// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/plan/run_cutter.hpp>

#include <vector>

#include <tests/catch.hpp>

using namespace lobos;

namespace {

using table = detail::run_table<detail::no_tally>;

planner_run run(std::uint64_t destination, std::uint64_t source, std::uint64_t size)
{
    return {destination, source, size, 0, 0};
}

struct shop {
    std::vector<planner_run> storage = std::vector<planner_run>(4000);
    detail::no_tally nothing;
    table all{storage, nothing};

    explicit shop(const std::vector<planner_run>& runs)
    {
        const segment image[] = {
            {.destination = phys_range::of(phys_addr::at(0), byte_count::of(std::uint64_t{1} << 40))}};
        REQUIRE(all.note_segments(image));
        for (const planner_run& r : runs)
            all.add_anywhere(r);
        all.make_index();
    }
    /// Destination, source and size of all runs, in order.
    std::vector<overlay_step> now()
    {
        all.make_index();
        std::vector<overlay_step> list;
        for (const planner_run& r : all.runs())
            list.push_back({r.destination, r.source, r.size});
        return list;
    }
};

/// What is cut is the same as the whole.
void check_same(const std::vector<overlay_step>& pieces, const std::vector<planner_run>& wholes)
{
    std::size_t i = 0;
    for (const planner_run& whole : wholes)
        for (std::uint64_t done = 0; done < whole.size; ++i) {
            REQUIRE(i < pieces.size());
            CHECK(pieces[i].destination == whole.destination + done);
            CHECK(pieces[i].source == (whole.fills() ? whole.source : whole.source + done));
            done += pieces[i].size;
            CHECK(done <= whole.size);
        }
    CHECK(i == pieces.size());
}

} // namespace

TEST_CASE("a run is cut where it reads across the edges of destinations", "[plan][run_cutter]")
{
    const std::vector<planner_run> runs{
        run(0x1000, 0x9000, 0x800), run(0x2000, 0x9800, 0x800), run(0x8000, 0x0f00, 0x2000)};
    for (const bool downwards : {false, true}) {
        shop s{runs};
        detail::run_cutter{s.all, 4_KiB}.cut_at_edges(downwards);
        const auto pieces = s.now();
        check_same(pieces, runs);
        // At 0x1000, 0x1800, 0x2000, 0x2800; the others read inside one destination.
        CHECK(std::ranges::count_if(pieces, [](const overlay_step& p) { return p.destination >= 0x8000; }) == 5);
    }
}

TEST_CASE("a run that reads itself is cut all the way", "[plan][run_cutter]")
{
    const std::vector<planner_run> turned{run(0, 9, 119), run(119, 0, 9)}; // bytes 0 to 127 move by 9
    shop s{turned};
    detail::run_cutter{s.all, 4_KiB}.cut_at_edges(false);
    const auto pieces = s.now();
    check_same(pieces, turned);
    CHECK(pieces.size() > 13);
    for (const overlay_step& p : pieces)
        CHECK(p.size <= 9);
}

TEST_CASE("on the grid each piece reads one other", "[plan][run_cutter]")
{
    const std::uint64_t odd = GENERATE(0u, 0x123u);
    const std::vector<planner_run> runs{
        run(0, 0x7000, 0x3000 - odd), run(0x3000, 0x200, 0x6e00), run(0x9e00, no_source, 0x2200)};
    shop s{runs};
    detail::run_cutter{s.all, 4_KiB}.cut_to_grid();
    const auto pieces = s.now();
    check_same(pieces, runs);
    for (const overlay_step& p : pieces) {
        if (p.fills())
            continue;
        std::size_t read = 0;
        for (const overlay_step& q : pieces)
            read += q.destination <= p.source + p.size - 1 && q.destination + q.size - 1 >= p.source;
        CHECK(read <= 1);
    }
}

TEST_CASE("no grid where it would be crumbs", "[plan][run_cutter]")
{
    shop by_bytes{{run(0, 0x7001, 0x3000)}};
    detail::run_cutter{by_bytes.all, 4_KiB}.cut_to_grid();
    CHECK(by_bytes.all.size() == 1);
    std::vector<planner_run> many; // that begin at too many places of their pages
    for (std::uint64_t i = 0; i < 12; ++i)
        many.push_back(run(i * 0x10000 + i * 8, i * 0x10000 + i * 8 + 0x4000, 0x3000));
    shop uneven{many};
    detail::run_cutter{uneven.all, 4_KiB}.cut_to_grid();
    CHECK(uneven.all.size() == 12);
}

TEST_CASE("cuts beyond the storage are counted, and what is there stays as it is", "[plan][run_cutter]")
{
    const std::vector<planner_run> runs{run(0, 0x20'0000, 0x10'0000), run(0x10'0000, 0x1000, 0x10'0000)};
    shop s{runs};
    s.storage.resize(10);
    table small{s.storage, s.nothing};
    const segment image[] = {{.destination = phys_range::of(phys_addr::at(0), byte_count::of(0x20'0000))}};
    REQUIRE(small.note_segments(image));
    for (const planner_run& r : runs)
        small.add_anywhere(r);
    small.make_index();
    detail::run_cutter{small, 4_KiB}.cut_to_grid();
    REQUIRE_FALSE(small.is_whole());
    CHECK(small.is_whole().error().code == fault_code::no_space);
    CHECK(small.is_whole().error().at > 10);
}
