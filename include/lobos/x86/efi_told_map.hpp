// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The EFI memory map that a next kernel is told. It is not the firmware's own any more: boot services are over, the
/// running kernel has long used what they left, and some of it is not to be had: the safe regions of the exec, and what
/// survives from kernel to kernel. A Linux that moves itself takes its place by this map and not by the other that it
/// is told [linux/kaslr.c "process_efi_entries"], so what one of them calls free has to be free in both. Each
/// descriptor of memory that the firmware still works with is told as it is.
///
/// A loader's data is what that Linux leaves alone, and where it adds this map to the other it goes by the other, which
/// says reserved [linux/efi.c "do_add_efi_memmap"] [linux/e820.c "e820__update_table"]. A kernel that hands this map on
/// takes it back for free memory, so that it does not shrink from exec to exec.

#include <algorithm>
#include <span>

#include <lobos/core/region_map.hpp>
#include <lobos/handoff/contract.hpp>
#include <lobos/x86/efi_memory_map.hpp>
#include <lobos/x86/page.hpp>

namespace lobos::efi {

/// Shows `put` each descriptor of the map that the next kernel is told, which is `handed_over` otherwise: of memory
/// that was free when the firmware made its own, whole pages that are usable as conventional memory, and safe regions
/// as a loader's data, neighbours as one; what the running kernel keeps for itself or for the next one as reserved; and
/// boot services' memory that it keeps for their own sake, because tables lie in it, as theirs. What the firmware works
/// with at run time is told as it is, of whatever type. Faults: those of for_each_descriptor.
template <physical_memory M, class Put>
result<void> for_each_told(M& memory, const efi_firmware& firmware, const region_map& handed_over, const Put& put)
{
    std::optional<descriptor> open; // may grow by what follows
    const auto at_run_time = [](const descriptor& d) { return (d.attributes & descriptor::at_run_time) != 0; };
    const auto is_told_anew = [&](const descriptor& d) {
        return (d.type == conventional || d.type == loader_data) && !at_run_time(d);
    };
    const auto tell = [&](descriptor d) {
        if (open && is_told_anew(d) && d.type == open->type && d.attributes == open->attributes &&
            open->physical + (open->pages << 12) == d.physical) {
            open->pages += d.pages;
            return;
        }
        if (open)
            put(*open);
        open = d;
    };
    const auto piece = [&](const descriptor& of, std::uint64_t begin, std::uint64_t end, std::uint32_t type) {
        if (begin != end)
            tell({type, 0, begin, 0, (end - begin) >> 12, of.attributes});
    };
    const auto kept = [&](const descriptor& of, std::uint64_t begin, std::uint64_t end) {
        const bool for_its_own_sake = begin != end &&
            (of.type == boot_services_code || of.type == boot_services_data) &&
            !handed_over.first_not(
                region_kind::reserved, phys_range::of(phys_addr::at(begin), byte_count::of(end - begin)));
        piece(of, begin, end, for_its_own_sake ? of.type : std::uint32_t{reserved});
    };
    const auto seen = for_each_descriptor(
        memory, firmware, stage::staging, [&](const descriptor& d, phys_range range) -> result<void> {
            if (!is_free(d.type) || at_run_time(d)) {
                tell(d);
                return {};
            }
            constexpr std::uint64_t in_page = page.raw() - 1;
            std::uint64_t begin = d.physical;
            const std::uint64_t end = d.physical + (d.pages << 12); // 0 at the end of the address space
            for (const region& r : handed_over.regions()) {
                const auto common = intersection(r.range, range);
                const bool safe = r.kind == region_kind::safe;
                if ((r.kind != region_kind::usable && !safe) || !common)
                    continue;
                const std::uint64_t first = (common->first().raw() - d.physical + in_page) & ~in_page;
                const std::uint64_t behind = (common->last().raw() - d.physical + 1) & ~in_page;
                if (first >= behind)
                    continue;
                kept(d, begin, d.physical + first);
                begin = d.physical + behind;
                piece(d, d.physical + first, begin, safe ? loader_data : conventional);
            }
            kept(d, begin, end);
            return {};
        });
    if (seen && open)
        put(*open);
    return seen;
}

/// How many bytes that takes. Faults: those of for_each_told.
template <physical_memory M>
result<byte_count> told_size(M& memory, const efi_firmware& firmware, const region_map& handed_over)
{
    std::uint64_t size = 0;
    const auto told =
        for_each_told(memory, firmware, handed_over, [&](const descriptor&) { size += firmware.descriptor_size; });
    if (!told)
        return std::unexpected{told.error()};
    return byte_count::of(size);
}

/// Writes it to `at`, by descriptors as long as the firmware's. Precondition: told_size has found no fault, and has
/// said how much room that takes.
template <physical_memory M>
void write_told(M& memory, const efi_firmware& firmware, const region_map& handed_over, phys_addr at)
{
    const auto told = for_each_told(memory, firmware, handed_over, [&](const descriptor& d) {
        store(memory, at, d);
        for (std::uint32_t i = sizeof d; i < firmware.descriptor_size; ++i)
            store(memory, at + byte_count::of(i), std::byte{0});
        at += byte_count::of(firmware.descriptor_size);
    });
    expects(told.has_value(), "an EFI memory map is written when it has been read once");
}

/// As many pages of parameters as the map takes when it is handed over with `regions` regions, each of which parts a
/// descriptor in three; but no more than a contract may want, which may be too few.
constexpr std::size_t pages_for_told(const efi_firmware& firmware, std::size_t regions)
{
    const std::uint64_t bytes = (firmware.memory_map.last() - firmware.memory_map.first()).raw() / 2 +
        std::uint64_t{regions} * firmware.descriptor_size;
    return static_cast<std::size_t>(std::min<std::uint64_t>(bytes / 2048 + 1, max_parameter_pages));
}

/// The longest row of pages that follow each other in memory, the last of several: a map is told in one piece, and safe
/// pages come one by one. Precondition: there is a page.
constexpr std::span<const phys_addr> longest_row(std::span<const phys_addr> pages)
{
    expects(!pages.empty(), "of no pages none is the longest row");
    std::span<const phys_addr> longest = pages.first(1);
    for (std::size_t begin = 0, i = 0; i < pages.size(); ++i) {
        if (i != begin && (pages[i] < pages[i - 1] || pages[i] - pages[i - 1] != x86::page_size))
            begin = i;
        if (i + 1 - begin >= longest.size())
            longest = pages.subspan(begin, i + 1 - begin);
    }
    return longest;
}

// Sanity checks
static_assert([] {
    const phys_addr pages[] = {phys_addr::at(0x5000), phys_addr::at(0x1000), phys_addr::at(0x2000),
        phys_addr::at(0x3000), phys_addr::at(0x9000), phys_addr::at(0x8000)};
    const auto row = longest_row(pages);
    return row.data() == pages + 1 && row.size() == 3 && longest_row(std::span{pages}.last(2)).data() == pages + 5;
}());
static_assert(pages_for_told({true, {}, phys_range::of({}, byte_count::of(3072)), 48, 1}, 10) == 1);
static_assert(pages_for_told({true, {}, phys_range::of({}, byte_count::of(5664)), 48, 1}, 128) == 5);

} // namespace lobos::efi
