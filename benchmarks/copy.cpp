// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// How fast the overlay moves memory: its own step, with each of the x86 movers, beside the C library's memcpy and the
// paper's byte loop. Names are copy/<mover>/<size>, and copy/<mover>/<size>/<variant> where source and destination are
// not aligned alike, or overlap. Compare only what one run measured, interleaved:
//
//     copy --benchmark_enable_random_interleaving=true --benchmark_repetitions=9

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <sys/mman.h>

#include <benchmark/benchmark.h>

#include <lobos/machine/copy.hpp>

namespace {

using namespace lobos;

constexpr std::size_t mebibyte = std::size_t{1} << 20;
constexpr std::size_t largest = 1024 * mebibyte;
constexpr std::size_t huge_page = 2 * mebibyte;

/// Two halves of one mapping, in huge pages, all touched. Room for the largest copy in each, and for what it is off by.
std::byte* arena()
{
    static std::byte* const first = [] {
        constexpr std::size_t size = 2 * (largest + huge_page);
        void* const at =
            mmap(nullptr, size + huge_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (at == MAP_FAILED) {
            std::perror("copy: no memory");
            std::exit(1);
        }
        const auto aligned = (reinterpret_cast<std::uintptr_t>(at) + huge_page - 1) & ~(huge_page - 1);
        auto* const bytes = reinterpret_cast<std::byte*>(aligned);
        madvise(bytes, size, MADV_HUGEPAGE);
        std::memset(bytes, 0x5a, size);
        return bytes;
    }();
    return first;
}

/// Where a copy begins: `destination` and `source` are offsets from the halves' starts, or from one start if it
/// overlaps.
struct variant {
    const char* name;
    std::size_t destination = 0;
    std::size_t source = 0;
    bool overlapping = false;
};
constexpr variant aligned{""};
constexpr variant variants[] = {
    {"/misaligned_source_1", 0, 1},
    {"/misaligned_source_15", 0, 15},
    {"/misaligned_source_63", 0, 63},
    {"/misaligned_destination_1", 1, 0},
    {"/misaligned_destination_15", 15, 0},
    {"/misaligned_destination_63", 63, 0},
    {"/overlapping_1", 1, 0, true},
    {"/overlapping_64", 64, 0, true},
    {"/overlapping_4096", 4096, 0, true},
    {"/overlapping_65536", 65536, 0, true},
    {"/overlapping_1MiB", mebibyte, 0, true},
};

using copy_function = void (*)(std::byte* destination, const std::byte* source, std::size_t size);

void library_memcpy(std::byte* destination, const std::byte* source, std::size_t size)
{
    std::memcpy(destination, source, size);
    benchmark::ClobberMemory();
}

/// The paper's loop [lobos/2000 fig. 6]: a byte at a time, each compared with both ends of what must not be touched.
/// Forward only: its destinations lie below their sources.
void paper_bytes(std::byte* destination, const std::byte* source, std::size_t size)
{
    static volatile std::byte* safe_first = nullptr;
    static volatile std::byte* safe_last = nullptr;
    volatile std::byte* to = destination;
    const volatile std::byte* from = source;
    volatile std::byte* const first = safe_first;
    volatile std::byte* const last = safe_last;
    for (; size != 0; --size, ++to, ++from)
        if (to < first || to > last)
            *to = *from;
}

/// A step of the overlay as it runs in the kernel.
template <class Mover> void overlay_step(std::byte* destination, const std::byte* source, std::size_t size)
{
    machine::identity_memory<Mover> memory;
    const auto to = reinterpret_cast<std::uintptr_t>(destination);
    overlay::skips_in_plan::move(memory, std::uintptr_t{}, to, to - reinterpret_cast<std::uintptr_t>(source), size);
}

void measure(benchmark::State& state, copy_function copy, std::size_t size, const variant& how)
{
    std::byte* const half = arena();
    std::byte* const destination = half + how.destination;
    const std::byte* const source = half + how.source + (how.overlapping ? 0 : largest + huge_page);
    for (auto _ : state)
        copy(destination, source, size);
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(size));
}

void add(const std::string& mover, copy_function copy, const variant& how)
{
    for (const std::size_t size : {64 * mebibyte, largest}) {
        const std::string name = "copy/" + mover + (size == largest ? "/1GiB" : "/64MiB") + how.name;
        benchmark::RegisterBenchmark(name.c_str(), measure, copy, size, how)
            ->UseRealTime()
            ->Unit(benchmark::kMillisecond);
    }
}

template <class Mover> void add_mover(const std::string& name)
{
    add(name, overlay_step<Mover>, aligned);
    for (const variant& how : variants)
        add(name, overlay_step<Mover>, how);
}

} // namespace

int main(int argc, char** argv)
{
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 1;
    add("memcpy", library_memcpy, aligned);
    add("paper_bytes", paper_bytes, aligned);
    add_mover<machine::rep_movs>("rep_movs");
    add_mover<machine::words>("words");
    add_mover<machine::non_temporal>("non_temporal");
    add_mover<machine::general_registers>("general_registers");
    if (machine::has_movdir64b::ask())
        add_mover<machine::direct_stores<>>("direct_stores");
    else
        std::fputs("copy/direct_stores: left out, the processor has no movdir64b\n", stderr);
    benchmark::RunSpecifiedBenchmarks();
}
