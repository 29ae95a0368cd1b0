// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Safe regions: physical memory that neither the copy nor the new image touches [lobos/2000 §3.2.2]. The paper had
/// three labels in head.S; here each region has a name, and the list is data: checked, skipped and handed on.

#include <algorithm>
#include <cstddef>
#include <span>
#include <string_view>

#include <lobos/core/fault.hpp>
#include <lobos/core/range.hpp>

namespace lobos {

enum class safe_role : std::uint8_t {
    code,       ///< the overlay and the way out (the paper's reboot_code)
    stack,      ///< its stack, which the paper forgot
    frame,      ///< descriptor table (reboot_gdt), program, registers of the way out
    mode,       ///< descriptors and gates of a processor mode that the way leads through
    page_table, ///< (reboot_pgdir)
    plan,       ///< the steps
    bounce,     ///< the page through which cycles are broken
    parameters, ///< what the new kernel is told (saved_bootparams)
    log,        ///< what survives
};

constexpr std::string_view to_string(safe_role role)
{
    using namespace std::string_view_literals;
    switch (role) {
    case safe_role::code: return "overlay code"sv;
    case safe_role::stack: return "stack"sv;
    case safe_role::frame: return "descriptor table"sv;
    case safe_role::mode: return "descriptors of a mode"sv;
    case safe_role::page_table: return "page table"sv;
    case safe_role::plan: return "plan"sv;
    case safe_role::bounce: return "bounce page"sv;
    case safe_role::parameters: return "boot parameters"sv;
    case safe_role::log: return "log"sv;
    }
    return "unknown"sv;
}

/// Whether the overlay itself reads or writes such a region, through its own tables. The processor reads page tables,
/// and those of modes, by addresses of its own; parameters are for the new kernel; of a log only the trail is touched.
constexpr bool overlay_touches(safe_role role)
{
    return role != safe_role::mode && role != safe_role::page_table && role != safe_role::parameters &&
        role != safe_role::log;
}

/// Whether what is staged in such a region stays as it is until the overlay runs. Parameters do too, but are told
/// apart: two execs that do the same may tell their kernels different things.
constexpr bool stays_as_staged(safe_role role)
{
    return role != safe_role::stack && role != safe_role::bounce && role != safe_role::parameters &&
        role != safe_role::log;
}

struct safe_region {
    phys_range range = phys_range::between(phys_addr{}, phys_addr{});
    safe_role role = safe_role::code;
    friend constexpr bool operator==(const safe_region&, const safe_region&) = default;
};

/// Safe regions in storage of the caller's. Neighbours of one role that follow each other are one region.
class safe_region_list {
public:
    constexpr explicit safe_region_list(std::span<safe_region> storage = {}) : storage_{storage} {}

    /// Faults: no_space (at: regions needed), with the list as it was.
    constexpr result<void> add(phys_range range, safe_role role)
    {
        if (count_ != 0) {
            safe_region& last = storage_[count_ - 1];
            if (last.role == role && checked_add(last.range.last(), byte_count::of(1)) == range.first()) {
                last.range = phys_range::between(last.range.first(), range.last());
                return {};
            }
        }
        if (count_ == storage_.size())
            return refuse(fault_code::no_space, stage::staging, count_ + 1);
        storage_[count_++] = {range, role};
        return {};
    }

    /// Puts the regions in order of their addresses.
    constexpr void sort()
    {
        const auto by_address = [](const safe_region& a, const safe_region& b) {
            return a.range.first() < b.range.first();
        };
        const auto all = storage_.first(count_);
        std::make_heap(all.begin(), all.end(), by_address); // a heap sort neither recurses nor allocates
        std::sort_heap(all.begin(), all.end(), by_address);
    }

    constexpr std::span<const safe_region> regions() const { return storage_.first(count_); }

private:
    std::span<safe_region> storage_;
    std::size_t count_ = 0;
};

} // namespace lobos
