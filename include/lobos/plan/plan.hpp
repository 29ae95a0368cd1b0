// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A plan: all that the verifier has to know of an exec, as plain data that says where things lie. What it describes
/// (steps, program, tables) is in safe memory already and is read from there, so that what is proved is what will run.

#include <array>
#include <span>

#include <lobos/core/physical_memory.hpp>
#include <lobos/core/region_map.hpp>
#include <lobos/image/segment.hpp>
#include <lobos/paging/clone.hpp>
#include <lobos/plan/planner.hpp>
#include <lobos/plan/program.hpp>
#include <lobos/plan/safe_region.hpp>

namespace lobos {

/// Whether the copy runs with virtual memory on, as LOBOS does it, or off, as bootimg and Two Kernel Monte do.
enum class copy_regime : std::uint8_t { paged, unpaged };

/// Where the running kernel has the pages of the departure, which goes on at these addresses when the tables change.
struct departure_aliases {
    virt_addr code;
    virt_addr frame;
    virt_addr stack;
};

struct exec_plan {
    byte_count page; ///< the size of the machine's pages, in which safe memory is taken

    std::span<const segment> image;
    std::span<const safe_region> safe; ///< every safe region, those of earlier kernels that survive included

    phys_addr code; ///< page of the overlay's code
    byte_count code_size;
    phys_addr stack;   ///< page of its stack
    phys_addr frame;   ///< page that it is told everything by
    phys_addr program; ///< the overlay_program, inside the frame
    phys_addr bounce;  ///< page

    phys_addr running_root; ///< page tables in use
    phys_addr new_root;     ///< page tables of the overlay
    virt_addr switch_page;  ///< where the running kernel maps `code`: the switch happens there

    copy_regime regime = copy_regime::paged;
    std::array<phys_addr, 2> mode_pages = {}; ///< tables of the modes that the way leads through, as the port has them
    std::size_t mode_page_count = 0;

    virt_addr entry; ///< the image's first instruction; physical when not entered paged
    bool entered_paged = false;
    phys_addr entry_root; ///< page tables that a paged image is entered on; the overlay's, or some of its own
    std::span<const virtual_segment> virtual_layout; ///< where a paged image expects itself

    plan_cost cost;
    std::size_t table_pages = 0;
};

/// A write of the plan as the verifier understands it: bounces are resolved to what was saved.
struct verified_write {
    std::uint64_t destination;
    std::uint64_t source; ///< where the bytes lay before the first step; or `no_source`
    std::uint64_t size;
    std::uint32_t read_at;  ///< the step that read them
    std::uint32_t wrote_at; ///< the step that wrote them
    constexpr std::uint64_t last() const { return destination + (size - 1); }
};

/// What the rules are checked against. In which mode of paging tables are to be walked, a rule that walks them is told.
template <physical_memory M> struct verifier_context {
    using memory_type = M;
    const exec_plan& plan;
    const region_map& map;
    M& memory;
    std::span<verified_write> writes; ///< sorted by destination, once `collect_writes` is through
    std::size_t most_plan_pages;
};

/// Calls `visit(step, time)` for each step of the chain at `first`, in the order in which they will run, until it
/// returns a fault.
/// Faults: bad_range (at: page of the chain that wraps or has an impossible count, or the page after more than
/// `most_pages`), and whatever `visit` returns.
template <physical_memory M, class Visit>
result<void> for_each_step(M& memory, std::uint64_t first, std::size_t most_pages, Visit visit)
{
    std::uint64_t time = 0;
    for (std::size_t pages = 0; first != plan_page::no_page; ++pages) {
        const phys_addr page = phys_addr::at(first);
        if (!phys_range::checked(page, byte_count::of(sizeof(plan_page))))
            return refuse(fault_code::bad_range, stage::verifying, page);
        const auto count = load<std::uint64_t>(memory, page + byte_count::of(offsetof(plan_page, count)));
        if (pages == most_pages || count > plan_page::capacity)
            return refuse(fault_code::bad_range, stage::verifying, page);
        for (std::uint64_t i = 0; i < count; ++i, ++time) {
            const auto at = page + byte_count::of(offsetof(plan_page, steps) + i * sizeof(stored_step));
            if (const result<void> visited = visit(load<stored_step>(memory, at).step(), time); !visited)
                return visited;
        }
        first = load<std::uint64_t>(memory, page + byte_count::of(offsetof(plan_page, next)));
    }
    return {};
}

} // namespace lobos
