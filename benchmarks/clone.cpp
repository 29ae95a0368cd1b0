// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// Page tables for the switch, against the size of memory: what a clone costs, how many pages it takes, and whether it
// maps anything that was not asked for. Memory is simulated: a running kernel's tables are computed when they are read,
// so that 16 TiB of them take no room.
//
// clone/<mode>/<memory>         the same image in the same fragments, whatever the size of memory
// clone/<mode>_spread/<memory>  the fragments spread over all of memory

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include <lobos/paging/clone.hpp>
#include <lobos/x86/page.hpp>
#include <lobos/x86/paging_4level.hpp>
#include <lobos/x86/paging_4m.hpp>

#include <benchmarks/support/workload.hpp>

namespace {

using namespace lobos;
using namespace lobos::bench;

constexpr std::uint64_t page_bytes = 4096;

/// The running kernel's tables lie here, where no memory is, and those of the clone in pages from `pool` on.
template <class Paging> constexpr std::uint64_t tables_at = std::uint64_t{1} << 45;
template <> constexpr std::uint64_t tables_at<x86::paging_4m> = 0xf000'0000;
template <class Paging> constexpr std::uint64_t pool_at = std::uint64_t{1} << 46;
template <> constexpr std::uint64_t pool_at<x86::paging_4m> = 0xe000'0000;

/// Where the kernel has all of memory, in large pages.
template <class Paging> constexpr std::uint64_t linear_map = 0xffff'8880'0000'0000;
template <> constexpr std::uint64_t linear_map<x86::paging_4m> = 0xc000'0000;
template <class Paging> constexpr std::uint64_t linear_reach = std::uint64_t{1} << 46;
template <> constexpr std::uint64_t linear_reach<x86::paging_4m> = 0x2000'0000; // low memory, as 32-bit kernels have it

template <class Paging> class simulated_memory {
public:
    explicit simulated_memory(std::uint64_t size)
        : mapped_{std::min(size, linear_reach<Paging>)},
          pool_(1024 * page_bytes)
    {
    }

    void read(phys_addr at, std::span<std::byte> out)
    {
        if (at.raw() - pool_at<Paging> < pool_.size()) {
            std::memcpy(out.data(), &pool_[static_cast<std::size_t>(at.raw() - pool_at<Paging>)], out.size());
            return;
        }
        const auto entry = static_cast<Paging::word>(running_entry(at.raw() - tables_at<Paging>));
        std::memcpy(out.data(), &entry, out.size());
    }
    void write(phys_addr at, std::span<const std::byte> in)
    {
        std::memcpy(&pool_[static_cast<std::size_t>(at.raw() - pool_at<Paging>)], in.data(), in.size());
    }

    result<phys_addr> new_page()
    {
        if ((given_ + 1) * page_bytes > pool_.size())
            return refuse(fault_code::no_memory, stage::mapping, given_);
        return phys_addr::at(pool_at<Paging> + given_++ * page_bytes);
    }
    void take_pages_back() { given_ = 0; }

private:
    /// 32-bit: the directory. 64-bit: the PML4; then 512 tables of pointers; then their directories. All 2 MB pages
    /// (4 MB), global, accessed and dirty, not to be executed but for the first 1 GiB.
    std::uint64_t running_entry(std::uint64_t offset) const
    {
        if constexpr (sizeof(typename Paging::word) == 4) {
            const std::uint64_t v = offset / 4 << 22;
            return v >= linear_map<Paging> && v - linear_map<Paging> < mapped_ ? (v - linear_map<Paging>) | 0x1e3 : 0;
        } else {
            const std::uint64_t table = offset / page_bytes;
            const std::uint64_t index = offset % page_bytes / 8;
            const auto address = [](std::uint64_t t) { return tables_at<Paging> + t * page_bytes; };
            const std::uint64_t first = linear_map<Paging> >> 39 & 511;
            if (table == 0) // the PML4
                return index >= first && (index - first) << 39 < mapped_ ? address(1 + (index - first)) | 0x23 : 0;
            if (table <= 512) { // of pointers
                const std::uint64_t n = (table - 1) * 512 + index;
                return n << 30 < mapped_ ? address(513 + n) | 0x23 : 0;
            }
            const std::uint64_t at = ((table - 513) * 512 + index) << 21;
            const std::uint64_t xd = at < 1u << 30 ? 0 : x86::page_bit_64::execute_disable;
            return at < mapped_ ? at | 0x1e3 | xd : 0;
        }
    }

    std::uint64_t mapped_;
    large_buffer<std::byte> pool_;
    std::size_t given_ = 0;
};
static_assert(physical_memory<simulated_memory<x86::paging_4level>>);

/// 32 MiB of kernel and initrd to 16 MiB, from 128 fragments of which some lie there; and the overlay's own pages.
std::vector<phys_range> asked_for(std::uint64_t over)
{
    constexpr std::uint64_t piece = 256u << 10;
    constexpr std::size_t pieces = 128;
    std::vector<phys_range> all{phys_range::of(phys_addr::at(16u << 20), 32_MiB)};
    const auto order = random_order(2 * pieces, 5);
    const std::uint64_t stride = over / (2 * pieces);
    for (std::size_t i = 0; i < pieces; ++i)
        all.push_back(phys_range::of(phys_addr::at(order.all()[i] * stride), byte_count::of(piece)));
    for (std::uint64_t page = 0; page < 8; ++page) // code, stack, frame, bounce, plan
        all.push_back(phys_range::of(phys_addr::at((56u << 20) + page * 3 * page_bytes), x86::page_size));
    return all;
}

template <class Paging> constexpr virt_range switch_page =
    virt_range::of(virt_addr::at(linear_map<Paging> + (56u << 20)), x86::page_size);

/// Bytes that new tables map though nobody asked for any of them, in units of the mode's smallest new page; where a
/// page is larger than that because the running kernel's is, it was asked for if a byte of it was. Every entry is
/// looked at; the bits are the manual's.
template <class Paging> class over_mapped {
public:
    over_mapped(simulated_memory<Paging>& memory, const std::vector<phys_range>& asked) : memory_{memory}, asked_{asked}
    {
        std::ranges::sort(asked_, {}, [](const phys_range& r) { return r.first(); });
    }

    std::uint64_t bytes(phys_addr root)
    {
        look(root.raw(), Paging::levels - 1, 0);
        return over_;
    }
    std::uint64_t mapped() const { return mapped_; }

private:
    static constexpr unsigned index_bits = sizeof(typename Paging::word) == 4 ? 10 : 9;

    void look(std::uint64_t table, unsigned level, std::uint64_t base)
    {
        const std::uint64_t span = std::uint64_t{1} << (12 + index_bits * level);
        for (std::uint64_t i = 0; i < 1u << index_bits; ++i) {
            const auto entry =
                load<typename Paging::word>(memory_, phys_addr::at(table + i * sizeof(typename Paging::word)));
            if ((entry & 1) == 0)
                continue;
            const std::uint64_t at = base + i * span;
            if (level == 0 || (entry & 0x80) != 0)
                page(at, span);
            else
                look(entry & 0x000f'ffff'ffff'f000u, level - 1, at);
        }
    }

    void page(std::uint64_t at, std::uint64_t size)
    {
        mapped_ += size;
        const std::uint64_t kept = switch_page<Paging>.first().raw() & 0xffff'ffff'ffff;
        if (kept >= at && kept - at < size)
            return;
        for (std::uint64_t unit = at; unit < at + size; unit += Paging::granule.raw())
            over_ += is_asked_for(phys_range::of(phys_addr::at(unit), Paging::granule)) ? 0 : Paging::granule.raw();
    }

    bool is_asked_for(phys_range unit) const
    {
        return std::ranges::any_of(asked_, [&](const phys_range& r) { return r.overlaps(unit); });
    }

    simulated_memory<Paging>& memory_;
    std::vector<phys_range> asked_;
    std::uint64_t over_ = 0;
    std::uint64_t mapped_ = 0;
};

template <class Paging> void measure(benchmark::State& state, std::uint64_t memory_size, bool spread)
{
    simulated_memory<Paging> memory{memory_size};
    const auto asked = asked_for(spread ? memory_size : 64u << 20);
    const virt_range keep[] = {switch_page<Paging>};
    const auto add = [&](auto put) -> result<void> {
        for (const phys_range& r : asked)
            if (const auto done = put(identity_mapping<Paging>(r)); !done)
                return done;
        return {};
    };
    std::size_t tables = 0;
    phys_addr root;
    for (auto _ : state) {
        memory.take_pages_back();
        const auto cloned = clone_page_tables<Paging>(
            memory, phys_addr::at(tables_at<Paging>), keep, add, [&] { return memory.new_page(); });
        if (!cloned) {
            state.SkipWithError("no tables");
            return;
        }
        tables = cloned->tables;
        root = cloned->root;
    }
    over_mapped<Paging> check{memory, asked};
    state.counters["over_mapped_bytes"] = static_cast<double>(check.bytes(root));
    state.counters["mapped_bytes"] = static_cast<double>(check.mapped());
    state.counters["table_pages"] = static_cast<double>(tables);
    state.counters["fragments"] = 128;
}

template <class Paging> void add(const std::string& mode, unsigned last_shift)
{
    for (const bool spread : {false, true})
        for (unsigned shift = 26; shift <= last_shift; shift += 2) { // from 64 MiB
            const std::uint64_t size = std::uint64_t{1} << shift;
            const std::string name = "clone/" + mode + (spread ? "_spread/" : "/") + std::to_string(size);
            benchmark::RegisterBenchmark(name.c_str(), measure<Paging>, size, spread)->Unit(benchmark::kMicrosecond);
        }
}

} // namespace

int main(int argc, char** argv)
{
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 1;
    add<x86::paging_4m>("4m", 32);
    add<x86::paging_4level>("4level", 44);
    benchmark::RunSpecifiedBenchmarks();
}
