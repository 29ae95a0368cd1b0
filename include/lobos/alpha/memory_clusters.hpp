// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A HWRPB's clusters as a region map, and the other way round. What belongs to the console and the PALcode is
/// reserved: they run there for as long as the machine does, before, during and after an exec. So is what no cluster
/// has a word for, and the PALcode that a processor's slot names, wherever that lies.
///
/// Lost is what a cluster's bitmap says of pages that failed the console's test: it lies at any address, and whether
/// memory is there only clusters say, which are not all read then. Linux looks at no bitmap either. Whoever knows of
/// bad pages adds them to the map as `defective`, and the next kernel is told to leave them alone. What is told as
/// usable is told as tested, with no bitmap.

#include <algorithm>
#include <utility>

#include <lobos/alpha/hwrpb.hpp>
#include <lobos/core/region_map.hpp>

namespace lobos::alpha {

namespace detail {

/// `size` bytes from `first`, which was read at `field`; nothing if there are none.
inline result<void> add_told(
    region_map& map, std::uint64_t first, std::uint64_t size, region_kind kind, phys_addr field)
{
    if (size == 0)
        return {};
    const auto range = phys_range::checked(phys_addr::at(first), byte_count::of(size));
    if (!range)
        return refuse(fault_code::bad_range, stage::loading, field);
    return map.add(*range, kind);
}

/// What the console calls a checksum. Precondition: whole quadwords.
inline std::uint64_t quadword_sum(std::span<const std::byte> of)
{
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < of.size(); i += 8) {
        std::uint64_t word = 0;
        std::ranges::copy(of.subspan(i, 8), std::as_writable_bytes(std::span{&word, 1}).begin());
        total += word;
    }
    return total;
}

} // namespace detail

/// The usage of a cluster. "lobS" and "lobT" in the upper half are lobos's own: another kernel sees in the lower half
/// that it is to leave such memory alone, and the next lobos kernel knows what it is.
constexpr std::uint64_t usage_of(region_kind kind)
{
    switch (kind) {
    case region_kind::usable: return 0;
    case region_kind::safe: return 0x6c6f'6253'0000'0000 | memory_cluster::of_console;
    case region_kind::surviving: return 0x6c6f'6254'0000'0000 | memory_cluster::of_console;
    default: return memory_cluster::of_console;
    }
}

/// What a cluster of this usage is. Bits without a meaning stand for meanings to come.
constexpr region_kind kind_of_usage(std::uint64_t usage)
{
    for (const auto kind : {region_kind::usable, region_kind::safe, region_kind::surviving})
        if (usage_of(kind) == usage)
            return kind;
    return region_kind::reserved;
}

/// Adds the clusters, and the PALcode's memory as far as slots say where it is, to `map`, whether or not they say that
/// a processor is there. Clusters of no pages are skipped. Faults: bad_header (from the reader), bad_range (a piece of
/// memory wraps; at: the physical address of its description), no_space (from `region_map::add`). After a fault `map`
/// holds what came before it.
template <physical_memory Memory> result<void> add_memory_clusters(region_map& map, const hwrpb_reader<Memory>& block)
{
    constexpr unsigned page_shift = paging_8k::shift<0>;
    constexpr std::uint64_t last_page = ~std::uint64_t{0} >> page_shift;
    const auto count = block.cluster_count();
    if (!count)
        return std::unexpected{count.error()};
    for (std::uint64_t n = 0; n < *count; ++n) {
        const memory_cluster c = block.cluster(n);
        const phys_addr field = block.cluster_address(n);
        if (c.first_page > last_page || c.pages > last_page)
            return refuse(fault_code::bad_range, stage::loading, field);
        const region_kind kind = kind_of_usage(c.usage);
        if (auto added = detail::add_told(map, c.first_page << page_shift, c.pages << page_shift, kind, field); !added)
            return added;
    }
    for (std::uint64_t n = 0; n < block.fixed().slot_count; ++n) {
        const auto slot = block.slot(n);
        if (!slot)
            return std::unexpected{slot.error()};
        if ((slot->flags & hwrpb_slot::palcode_memory_valid) == 0)
            continue;
        for (const auto& [first, size] :
            {std::pair{slot->palcode, slot->palcode_size}, std::pair{slot->scratch, slot->scratch_size}}) {
            if (size == 0)
                continue;
            const auto exactly = phys_range::checked(phys_addr::at(first), byte_count::of(size));
            if (!exactly)
                return refuse(fault_code::bad_range, stage::loading, block.slot_address(n));
            // Whole pages: the next kernel is told of memory in no others.
            if (auto added = map.add(widen(*exactly, paging_8k::granule), region_kind::reserved); !added)
                return added;
        }
    }
    return {};
}

/// Lays out the descriptors of `map` in `out`, sum included. Returns the bytes used. A cluster is whole pages: one that
/// is not all usable is not usable, and no page is in two. Memory beyond what the entries of tables can name is left
/// out. Fault: no_space (at: bytes needed).
inline result<std::size_t> make_memory_descriptors(const region_map& map, std::span<std::byte> out)
{
    constexpr unsigned page_shift = paging_8k::shift<0>;
    memory_descriptors head{};
    std::size_t used = sizeof head;
    std::uint64_t next = 0; // the first page that is in no cluster yet
    for (const region& r : map.regions()) {
        const auto within = intersection(r.range, paging_8k::physical_reach);
        if (!within)
            continue;
        const bool usable = r.kind == region_kind::usable;
        const std::uint64_t page_mask = paging_8k::granule.raw() - 1;
        const std::uint64_t first = std::max(next, (within->first().raw() + (usable ? page_mask : 0)) >> page_shift);
        const std::uint64_t end = (within->last().raw() + 1 + (usable ? 0 : page_mask)) >> page_shift;
        if (first >= end)
            continue;
        next = end;
        memory_cluster c{};
        c.first_page = first;
        c.pages = end - first;
        c.tested_pages = usable ? c.pages : 0;
        c.usage = usage_of(r.kind);
        if (used + sizeof c <= out.size())
            std::ranges::copy(bytes_of(c), out.subspan(used).begin());
        used += sizeof c;
        ++head.clusters;
    }
    if (used > out.size())
        return refuse(fault_code::no_space, stage::staging, used);
    std::ranges::copy(bytes_of(head), out.begin());
    head.checksum = detail::quadword_sum(out.first(used).subspan(sizeof head.checksum));
    std::ranges::copy(bytes_of(head), out.begin());
    return used;
}

// Sanity checks
static_assert(kind_of_usage(0) == region_kind::usable);
static_assert(kind_of_usage(memory_cluster::of_console) == region_kind::reserved);
static_assert(kind_of_usage(memory_cluster::not_volatile) == region_kind::reserved);
static_assert(kind_of_usage(usage_of(region_kind::surviving)) == region_kind::surviving);
static_assert((usage_of(region_kind::safe) & memory_cluster::of_console) != 0);

} // namespace lobos::alpha
