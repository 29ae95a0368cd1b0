// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// What it costs to prove a plan, beside what it costs to make it: the rules about steps (read from safe memory, as the
// overlay will), for images fragmented to the page. And what checksums cost beside moving the same bytes.

#include <cstring>
#include <memory>
#include <string>

#include <benchmark/benchmark.h>

#include <lobos/core/crc32c.hpp>
#include <lobos/core/sha256.hpp>
#include <lobos/plan/step_rules.hpp>
#include <lobos/x86/paging_4level.hpp>

#include <benchmarks/support/workload.hpp>

namespace {

using namespace lobos;
using namespace lobos::bench;

/// Safe memory, which is all that the rules read.
class safe_memory {
public:
    explicit safe_memory(std::size_t size) : bytes_(size) {}
    void read(phys_addr at, std::span<std::byte> out)
    {
        std::memcpy(out.data(), &bytes_[static_cast<std::size_t>((at - base).raw())], out.size());
    }
    void write(phys_addr at, std::span<const std::byte> in)
    {
        std::memcpy(&bytes_[static_cast<std::size_t>((at - base).raw())], in.data(), in.size());
    }
    static constexpr phys_addr base = phys_addr::at(std::uint64_t{1} << 45);

private:
    large_buffer<std::byte> bytes_;
};
static_assert(physical_memory<safe_memory>);

/// A plan, staged.
struct staged {
    explicit staged(std::size_t pages)
        : work{fragmented_image(pages, 1, 1)},
          steps{work.plan().value().steps},
          chain{steps / plan_page::capacity + 1},
          memory{(chain + 1) * sizeof(plan_page)},
          writes(steps)
    {
        const auto page_at = [](std::size_t i) {
            return safe_memory::base + byte_count::of((i + 1) * sizeof(plan_page));
        };
        for (std::size_t i = 0; i < chain; ++i) {
            plan_page page{};
            const auto here = work.steps.all().first(steps).subspan(i * plan_page::capacity);
            page.count = std::min(here.size(), plan_page::capacity);
            page.next = i + 1 == chain ? plan_page::no_page : page_at(i + 1).raw();
            std::ranges::transform(here.first(page.count), page.steps, stored_step::of);
            store(memory, page_at(i), page);
        }
        store(memory, safe_memory::base, overlay_program{page_at(0).raw(), overlay_program::no_trail, 0, {}});
        plan.image = work.image;
        plan.program = safe_memory::base;
        plan.page = page_size;
        plan.bounce = workload::bounce;
    }

    bool rules_hold()
    {
        verifier_context<safe_memory> c{plan, map, memory, writes.all(), chain};
        return rules::collect_writes(c, x86::paging_4level::physical_reach) && rules::steps_write_the_image(c) &&
            rules::sources_are_intact(c);
    }

    workload work;
    std::size_t steps;
    std::size_t chain; ///< pages of steps
    safe_memory memory;
    large_buffer<verified_write> writes;
    region_map map{{}};
    exec_plan plan;
};

staged& at_hand(std::size_t pages)
{
    static std::unique_ptr<staged> held;
    if (!held || held->work.pages != pages) {
        held.reset();
        held = std::make_unique<staged>(pages);
    }
    return *held;
}

void verify_steps(benchmark::State& state, std::size_t pages)
{
    staged& s = at_hand(pages);
    for (auto _ : state)
        if (!s.rules_hold()) {
            state.SkipWithError("a sound plan is refused");
            return;
        }
    state.counters["pages"] = static_cast<double>(pages);
    state.counters["chain_bytes"] = static_cast<double>(s.chain * sizeof(plan_page));
    state.counters["steps"] = static_cast<double>(s.steps);
}

void plan_steps(benchmark::State& state, std::size_t pages)
{
    staged& s = at_hand(pages);
    for (auto _ : state)
        if (!s.work.plan()) {
            state.SkipWithError("no plan");
            return;
        }
    state.counters["pages"] = static_cast<double>(pages);
}

constexpr std::size_t checksum_bytes = 64u << 20;

template <class Work> void measure_bytes(benchmark::State& state, Work work)
{
    static large_buffer<std::byte> from(checksum_bytes);
    static large_buffer<std::byte> to(checksum_bytes);
    for (auto _ : state) {
        work(from.all(), to.all());
        benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(checksum_bytes));
}

template <class Work> void add_bytes(const char* name, Work work)
{
    benchmark::RegisterBenchmark(name, [=](benchmark::State& state) {
        measure_bytes(state, work);
    })->Unit(benchmark::kMillisecond);
}

} // namespace

int main(int argc, char** argv)
{
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 1;
    for (unsigned shift = 10; shift <= 20; shift += 2) {
        const std::size_t pages = std::size_t{1} << shift;
        const std::string size = std::to_string(pages);
        benchmark::RegisterBenchmark(("verifier/plan/" + size).c_str(), plan_steps, pages)
            ->Unit(benchmark::kMicrosecond);
        benchmark::RegisterBenchmark(("verifier/verify/" + size).c_str(), verify_steps, pages)
            ->Unit(benchmark::kMicrosecond);
    }
    add_bytes("checksum/memcpy/64MiB", [](std::span<const std::byte> from, std::span<std::byte> to) {
        std::memcpy(to.data(), from.data(), from.size());
    });
    add_bytes("checksum/crc32c/64MiB", [](std::span<const std::byte> from, std::span<std::byte>) {
        benchmark::DoNotOptimize(crc32c{}.update(from).value());
    });
    add_bytes("checksum/sha256/64MiB", [](std::span<const std::byte> from, std::span<std::byte>) {
        benchmark::DoNotOptimize(sha256{}.update(from).value());
    });
    benchmark::RunSpecifiedBenchmarks();
}
