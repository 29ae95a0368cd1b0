// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/plan/run_table.hpp>

#include <random>
#include <vector>

#include <tests/catch.hpp>

using namespace lobos;
using namespace lobos::literals;

namespace {

struct tally {
    std::size_t visits = 0;
    void visit(std::size_t times = 1) { visits += times; }
};

using table = detail::run_table<tally>;

segment at(std::uint64_t destination, std::uint64_t size, content what = content::copy)
{
    return {.destination = phys_range::of(phys_addr::at(destination), byte_count::of(size)), .what = what};
}

planner_run run(std::uint64_t destination, std::uint64_t source, std::uint64_t size)
{
    return {destination, source, size, 0, 0};
}

/// The runs that hold what `reader` reads, by their destinations.
std::vector<std::uint64_t> read_by(table& t, const planner_run& reader)
{
    std::vector<std::uint64_t> found;
    t.for_each_read_by(reader, [&](std::size_t j) { found.push_back(t[j].destination); });
    return found;
}

} // namespace

TEST_CASE("areas are what is to be written, in order", "[plan][run_table]")
{
    std::vector<planner_run> storage(8);
    tally visits;
    table t{storage, visits};
    const segment image[] = {at(0x9000, 0x100, content::zero), at(0x8000, 0x1000, content::scratch), at(0x1000, 0x500),
        at(0x5000, 1), at(0x7000, 1, content::kept)};
    REQUIRE(t.note_segments(image));
    REQUIRE(t.areas() == 3);
    CHECK(t.area_at(0).segment == 2);
    CHECK(t.area_at(1).segment == 3);
    CHECK(t.area_at(2).segment == 0);
    CHECK(t.area_at(2).first == 0x9000);
    CHECK(t.area_at(2).size == 0x100);

    table small{std::span{storage}.first(2), visits};
    CHECK(small.note_segments(image).error() == fault{fault_code::no_space, stage::planning, 3});
    const segment common[] = {at(0x1000, 0x500), at(0x14ff, 1)};
    table other{storage, visits};
    CHECK(other.note_segments(common).error() == fault{fault_code::destinations_overlap, stage::planning, 0x14ff});
}

TEST_CASE("a run grows where the next one goes on with it, and nowhere else", "[plan][run_table]")
{
    std::vector<planner_run> storage(16);
    tally visits;
    table t{storage, visits};
    const segment image[] = {at(0x1000, 0x1000)};
    REQUIRE(t.note_segments(image));
    t.add(run(0x1000, 0x8000, 0x10), 0);
    t.add(run(0x1010, 0x8010, 0x10), 0);
    CHECK(t.size() == 1);
    CHECK(t[0].size == 0x20);
    t.add(run(0x1020, 0x8021, 0x10), 0); // elsewhere
    t.add(run(0x1031, 0x8031, 0x10), 0); // with a gap
    t.add(run(0x1041, 0x8041, 0x10), 3); // of another area
    CHECK(t.size() == 4);
    t.add(run(0x1051, no_source, 0x10), 0);
    t.add(run(0x1061, no_source, 0x10), 0);
    CHECK(t.size() == 5);
    t.add(run(0x1071, 0x1f, 0x10), 0); // where zeros that grow by 0x20 would seem to go on
    CHECK(t.size() == 6);
    CHECK(t.is_whole());
    for (std::size_t i = 0; i < 20; ++i)
        t.add_anywhere(run(0, 0, 1));
    CHECK(t.is_whole().error() == fault{fault_code::no_space, stage::planning, 27});
}

TEST_CASE("every address finds its runs, whatever their sizes and the gaps between them", "[plan][run_table]")
{
    const std::uint32_t seed = GENERATE(range(1u, 31u));
    CAPTURE(seed);
    std::mt19937 random{seed};
    std::vector<segment> image;
    std::vector<planner_run> runs;
    std::uint64_t next = random() % 50;
    for (std::size_t s = 0, segments = 1 + random() % 4; s < segments; ++s) {
        const std::uint64_t begin = next;
        for (std::size_t i = 0, n = random() % 12; i < n; ++i) {
            next += random() % 3 == 0 ? random() % 40 : 0; // what lies in place is no run
            const std::uint64_t size = 1 + (random() % 4 == 0 ? random() % 90 : random() % 3);
            runs.push_back(run(next, 0x10000, size));
            next += size;
        }
        next += random() % 30;
        if (next == begin)
            ++next;
        image.push_back(at(begin, next - begin));
        next += random() % 2 == 0 ? 0 : random() % 300;
    }
    std::vector<planner_run> storage(image.size() + runs.size());
    tally visits;
    table t{storage, visits};
    REQUIRE(t.note_segments(image));
    auto shuffled = runs;
    std::ranges::shuffle(shuffled, random);
    for (const planner_run& r : shuffled)
        t.add_anywhere(r);
    t.make_index();
    for (std::uint64_t address = 0; address < next + 40; ++address)
        for (const std::uint64_t size : {1u, 7u, 100u}) {
            std::vector<std::uint64_t> wanted;
            for (const planner_run& r : runs)
                if (r.destination <= address + size - 1 && r.destination_last() >= address)
                    wanted.push_back(r.destination);
            const auto found = read_by(t, run(0x2'0000, address, size));
            if (found != wanted) {
                CAPTURE(address, size);
                CHECK(found == wanted);
            }
        }
    CHECK(read_by(t, run(0, no_source, 1)).empty());
}

TEST_CASE("a look-up takes a few visits, however many runs there are", "[plan][run_table]")
{
    for (const std::size_t count : {std::size_t{1} << 10, std::size_t{1} << 16}) {
        CAPTURE(count);
        std::vector<planner_run> storage(count + 1);
        tally visits;
        table t{storage, visits};
        const segment image[] = {at(0x10'0000, count * 0x1000)};
        REQUIRE(t.note_segments(image));
        for (std::size_t i = 0; i < count; ++i)
            t.add(run(0x10'0000 + i * 0x1000, 0x9'0000'0000 + i * 0x2000, 0x1000), 0);
        t.make_index();
        visits.visits = 0;
        for (std::size_t i = 0; i < count; i += 7)
            CHECK(t.first_ending_at_or_after(0x10'0000 + i * 0x1000 + i % 0x1000) == i);
        CHECK(visits.visits <= 3 * (count / 7 + 1));
    }
}

TEST_CASE("what is done is forgotten, and what was added since the index is not looked up", "[plan][run_table]")
{
    std::vector<planner_run> storage(8);
    tally visits;
    table t{storage, visits};
    const segment image[] = {at(0x1000, 0x4000)};
    REQUIRE(t.note_segments(image));
    for (std::uint64_t i = 0; i < 4; ++i)
        t.add(run(0x1000 + i * 0x1000, 0x9000 - i * 0x1000, 0x1000), 0);
    t.make_index();
    t.add_anywhere(run(0x1800, 0x9800, 0x800));
    CHECK(read_by(t, run(0, 0x1800, 0x900)) == std::vector<std::uint64_t>{0x1000, 0x2000});
    t[0].readers = t[2].readers = table::done;
    t.compact();
    t.make_index();
    CHECK(read_by(t, run(0, 0x1000, 0x4000)) == std::vector<std::uint64_t>{0x1800, 0x2000, 0x4000});
    CHECK(t.only_read_by(0) == std::nullopt);
}
