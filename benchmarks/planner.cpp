// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// How planning grows: with the pages of the image when every page is a run of its own, with the size of memory, with
// the number of segments, and with the number of fragments at fixed bytes. What an image looks like: workload.hpp.
// `visits` are looks at one of the planner's notes, counted in a run of their own.

#include <map>
#include <memory>
#include <string>

#include <benchmark/benchmark.h>

#include <benchmarks/support/workload.hpp>

namespace {

using namespace lobos;
using namespace lobos::bench;

/// Large workloads take longer to make than to plan; the one at hand serves all repetitions.
workload& at_hand(const std::string& name, const auto& make)
{
    static std::string held;
    static std::unique_ptr<workload> w;
    if (held != name) {
        w.reset();
        w = std::make_unique<workload>(make());
        held = name;
    }
    return *w;
}

void measure(benchmark::State& state, workload& w)
{
    plan_cost cost;
    for (auto _ : state) {
        const auto planned = w.plan();
        if (!planned) {
            state.SkipWithError("no plan");
            return;
        }
        cost = *planned;
    }
    const auto pages = static_cast<double>(w.pages);
    const std::size_t bounces = static_cast<std::size_t>((cost.bounced.raw() + page_size.raw() - 1) / page_size.raw());
    state.counters["pages"] = pages;
    state.counters["runs"] = static_cast<double>(w.runs);
    state.counters["plan_steps"] = static_cast<double>(cost.steps);
    state.counters["bounce_steps"] = static_cast<double>(bounces);
    state.counters["cycles"] = static_cast<double>(cost.cycles);
    state.counters["step_bytes"] = static_cast<double>((cost.steps - bounces) * sizeof(overlay_step));
    state.counters["visits"] = static_cast<double>(w.visits());
}

/// What the machine itself makes of growing sizes: one look at each note, in the order of the sources. No planner can
/// grow slower than this, since it has to ask for every source who waits for it.
void measure_memory(benchmark::State& state, workload& w)
{
    const std::span<planner_run> notes = w.scratch.all();
    const std::size_t pages = static_cast<std::size_t>(w.pages);
    for (auto _ : state) {
        for (const extent& e : w.extents.all()) {
            const auto page = static_cast<std::size_t>(e.at.raw() / page_size.raw() - first_page);
            ++notes[page < pages ? page : page - pages].readers;
        }
        benchmark::ClobberMemory();
    }
    state.counters["pages"] = static_cast<double>(w.pages);
}

void add(const std::string& series, std::uint64_t n, auto make)
{
    const std::string name = "planner/" + series + "/" + std::to_string(n);
    benchmark::RegisterBenchmark(name.c_str(), [name, make](benchmark::State& state) {
        measure(state, at_hand(name, make));
    })->Unit(benchmark::kMicrosecond);
}

} // namespace

int main(int argc, char** argv)
{
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 1;

    for (unsigned shift = 10; shift <= 22; shift += 2) {
        const std::size_t pages = std::size_t{1} << shift;
        const auto make = [=] { return fragmented_image(pages, 1, 1); };
        add("image_pages", pages, make);
        const std::string name = "planner/memory_itself/" + std::to_string(pages);
        benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
            measure_memory(state, at_hand("planner/image_pages/" + std::to_string(pages), make));
        })->Unit(benchmark::kMicrosecond);
    }
    for (unsigned shift = 26; shift <= 44; shift += 2) { // 64 MiB to 16 TiB
        const std::uint64_t memory = std::uint64_t{1} << shift;
        add("memory_bytes", memory, [=] { return image_in_memory(4096, memory, 2); });
    }
    for (unsigned shift = 0; shift <= 12; shift += 2) {
        const std::size_t segments = std::size_t{1} << shift;
        add("segments", segments, [=] { return image_in_segments(1u << 18, segments, 3); });
    }
    // A circle of long runs is broken page by page, so whether there happens to be one would drown everything else:
    // the first seed whose image has none.
    for (unsigned shift = 4; shift <= 20; shift += 2) {
        const std::size_t fragments = std::size_t{1} << shift;
        add("fragments", fragments, [=] {
            for (std::uint64_t seed = 4;; ++seed) {
                workload w = fragmented_image(fragments, (std::uint64_t{1} << 20) / fragments, seed);
                const auto cost = w.plan();
                if (cost && cost->cycles == 0)
                    return w;
            }
        });
    }
    benchmark::RunSpecifiedBenchmarks();
}
