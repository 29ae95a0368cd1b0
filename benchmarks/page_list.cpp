// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// The page-list algorithm on the images of planner.cpp's series `image_pages`: what it takes to stage them, in time
// (`page_list/walk`) and in steps (`page_list/steps`, where the planner's visits for the same image are beside them).
// Before anything is measured, the counting is held against the walking.

#include <cstdio>
#include <cstdlib>
#include <string>

#include <benchmark/benchmark.h>

#include <benchmarks/page_list.hpp>
#include <benchmarks/support/workload.hpp>

namespace {

using namespace lobos;
using namespace lobos::bench;

constexpr std::uint64_t seed = 1; // as the planner's

void walk(benchmark::State& state, std::size_t pages)
{
    const auto order = random_order(2 * pages, seed);
    std::uint64_t steps = 0;
    for (auto _ : state) {
        state.PauseTiming();
        page_list list{pages, order.all()};
        state.ResumeTiming();
        steps = list.stage().steps;
    }
    state.counters["pages"] = static_cast<double>(pages);
    state.counters["steps"] = static_cast<double>(steps);
}

void count(benchmark::State& state, std::size_t pages)
{
    const auto order = random_order(2 * pages, seed);
    page_list_cost cost;
    for (auto _ : state)
        cost = page_list_steps{pages, order.all()}.stage();
    state.counters["pages"] = static_cast<double>(pages);
    state.counters["steps"] = static_cast<double>(cost.steps);
    state.counters["swapped"] = static_cast<double>(cost.swapped);
    state.counters["set_aside"] = static_cast<double>(cost.set_aside);
    state.counters["planner_visits"] = static_cast<double>(fragmented_image(pages, 1, seed).visits());
}

/// The counting comes to what the walking does, in every number and for every page.
bool counting_is_right()
{
    for (const std::size_t pages : {1u, 2u, 3u, 510u, 511u, 512u, 1021u, 1022u, 1023u, 4096u, 9999u})
        for (std::uint64_t s = 1; s <= 3; ++s) {
            const auto order = random_order(2 * pages, s);
            page_list walked{pages, order.all()};
            page_list_steps counted{pages, order.all()};
            if (!(walked.stage() == counted.stage()) || walked.staged() != counted.staged()) {
                std::fprintf(stderr, "page_list: wrong steps for %zu pages, seed %d\n", pages, static_cast<int>(s));
                return false;
            }
        }
    return true;
}

} // namespace

int main(int argc, char** argv)
{
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv) || !counting_is_right())
        return 1;
    for (unsigned shift = 10; shift <= 22; shift += 2) {
        const std::size_t pages = std::size_t{1} << shift;
        const std::string size = std::to_string(pages);
        if (shift <= 16)
            benchmark::RegisterBenchmark(("page_list/walk/" + size).c_str(), walk, pages)
                ->Unit(benchmark::kMicrosecond);
        benchmark::RegisterBenchmark(("page_list/steps/" + size).c_str(), count, pages)
            ->Unit(benchmark::kMicrosecond)
            ->Iterations(1);
    }
    benchmark::RunSpecifiedBenchmarks();
}
