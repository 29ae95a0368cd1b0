// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// What planning costs, counted and not timed: looks at the planner's notes, which it tells a tally of. A planner that
// is quadratic in something lets a file decide how long a kernel is busy. The bounds are a third above what is counted
// today, and the same for all sizes: what grows goes through them.

#include <lobos/plan/planner.hpp>

#include <numeric>
#include <vector>

#include <tests/catch.hpp>
#include <tests/support/random_numbers.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

constexpr phys_addr bounce = phys_addr::at(0x1000);
constexpr std::uint64_t page = 4096;
constexpr std::uint64_t first_page = 0x100;

struct tally {
    std::uint64_t visits = 0;
    void visit(std::size_t n = 1) { visits += n; }
};

constexpr phys_addr address_of(std::uint64_t number)
{
    return phys_addr::at((first_page + number) * page);
}

/// The numbers below `n`, in an order of its own.
std::vector<std::uint32_t> shuffled(std::uint32_t n, std::uint32_t seed)
{
    std::vector<std::uint32_t> order(n);
    std::iota(order.begin(), order.end(), 0u);
    random_numbers random{seed};
    for (std::uint32_t i = n; i > 1; --i)
        std::swap(order[i - 1], order[random.below(i)]);
    return order;
}

/// Pages whose file lies in the order `from` in twice as much memory as they need, the lower half of which is where
/// they go: in `parts` segments of the same size, with a page between them that nobody wants.
struct workload {
    std::vector<extent> file;
    std::vector<segment> image;

    workload(const std::vector<std::uint32_t>& from, std::uint32_t pages, std::uint32_t parts)
    {
        const std::uint32_t each = pages / parts;
        const auto place = [&](std::uint32_t n) { return address_of(n < pages ? n + n / each : n + parts); };
        for (std::uint32_t i = 0; i < pages; ++i)
            file.push_back({place(from[i]), byte_count::of(page)});
        for (std::uint32_t s = 0; s < parts; ++s)
            image.push_back({.destination = phys_range::of(place(s * each), byte_count::of(each * page)),
                .file = std::span{file}.subspan(s * each, each)});
    }
    workload(const workload&) = delete; // its segments refer to its file
};

/// Whether the steps are right is another test's business.
struct counted_plan {
    plan_cost cost;
    std::uint64_t visits = 0;

    counted_plan(std::span<const segment> image, std::size_t most_runs)
    {
        tally counted;
        std::vector<planner_run> runs(image.size() + 2 * most_runs);
        std::vector<overlay_step> steps(2 * most_runs);
        const auto planned =
            detail::planner{runs, steps, phys_range::of(bounce, byte_count::of(page)), counted}.plan(image);
        REQUIRE(planned);
        cost = *planned;
        visits = counted.visits;
    }
};

double visits_per_page(const workload& w)
{
    const counted_plan planned{w.image, w.file.size()};
    CHECK(planned.visits >= w.file.size()); // it does count
    return static_cast<double>(planned.visits) / static_cast<double>(w.file.size());
}

} // namespace

TEST_CASE("scattered pages cost the same each, however many", "[plan][planner][cost]")
{
    const std::uint32_t pages = 1u << GENERATE(10u, 12u, 14u, 16u);
    CAPTURE(pages);
    CHECK(visits_per_page({shuffled(2 * pages, 1), pages, 1}) < 15);
}

TEST_CASE("pages that change places with each other cost a few rounds", "[plan][planner][cost]")
{
    // Nothing can go before a circle is broken. Where two neighbours stay neighbours they have to be cut first.
    const std::uint32_t pages = 1u << GENERATE(10u, 12u, 14u, 16u);
    CAPTURE(pages);
    CHECK(visits_per_page({shuffled(pages, 2), pages, 1}) < 95);
}

TEST_CASE("segments cost a search among them, and no more", "[plan][planner][cost]")
{
    constexpr std::uint32_t pages = 1u << 14;
    const std::uint32_t log = GENERATE(0u, 4u, 8u, 12u);
    CAPTURE(log);
    CHECK(visits_per_page({shuffled(2 * pages, 3), pages, 1u << log}) < 15 + 2.5 * log);
}

TEST_CASE("a chain costs the same from either end, and whatever the size of its links", "[plan][planner][cost]")
{
    const std::uint32_t log = GENERATE(10u, 13u, 16u);
    const bool up = GENERATE(true, false);
    const std::uint64_t size = GENERATE(1u, 4096u) * page;
    CAPTURE(log, up, size);
    const std::uint32_t links = 1u << log;
    const auto at = [&](std::uint64_t n) { return address_of(0) + byte_count::of(2 * n * size); }; // neighbours of none
    std::vector<extent> file;
    std::vector<segment> image;
    for (std::uint32_t i = 0; i < links; ++i)
        file.push_back({at(up ? i : i + 2), byte_count::of(size)});
    for (std::uint32_t i = 0; i < links; ++i)
        image.push_back(
            {.destination = phys_range::of(at(i + 1), byte_count::of(size)), .file = std::span{file}.subspan(i, 1)});
    const counted_plan planned{image, links};
    CHECK(planned.cost.steps == links);
    CHECK(planned.cost.cycles == 0);
    CHECK(planned.visits < std::uint64_t{links} * (12 + 3 * log)); // each link is a segment: a search among them
}

TEST_CASE("a file that is turned in its own destination costs by what it is cut into", "[plan][planner][cost]")
{
    constexpr std::uint64_t pages = 4096;
    const std::uint64_t turn = GENERATE(1u, 2u, 3u, 1000u, 2047u) * page;
    CAPTURE(turn);
    const std::vector<extent> file{{address_of(0) + byte_count::of(turn), byte_count::of(pages * page - turn)},
        {address_of(0), byte_count::of(turn)}};
    const segment image[] = {
        {.destination = phys_range::of(address_of(0), byte_count::of(pages * page)), .file = file}};
    const counted_plan planned{image, 2 * pages};
    CHECK(planned.cost.steps < 4200);
    CHECK(planned.visits < 60 * (pages + planned.cost.steps));
}
