// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The glue: all that lobos wants of this kernel.

#include "../arena.hpp"
#include "../console.hpp"
#include "../frames.hpp"
#include "processors.hpp"
#include "rsdp.hpp"

#include <lobos/glue/kernel_glue.hpp>
#include <lobos/machine/processor.hpp>
#include <lobos/x86/paging_mode.hpp>
#include <lobos/x86/port.hpp>

namespace kernel {

class glue {
public:
    using port = lobos::x86::port<lobos::x86::REFERENCE_PAGING>;

    /// `late`: this kernel pretends not to know who uses a frame. `above_4g`: it gives pages from there to whoever
    /// reaches them.
    explicit glue(const lobos::region_map& map, bool late = false, bool above_4g = false)
        : map_{map},
          late_{late},
          above_4g_{above_4g}
    {
    }

    const lobos::region_map& memory_map() const { return map_; }
    std::uint64_t memory_generation() const { return 0; } // the map is made at boot and never changes
    linear_memory& memory() const { return kernel::memory; }

    std::optional<lobos::phys_addr> allocate_page(lobos::phys_range reach)
    {
        const auto high = above_4g_ && mapped_above_4g ? intersection(reach, *mapped_above_4g) : std::nullopt;
        const auto page = high ? frame_pool.take_lowest(*high) : std::nullopt;
        return page ? page : frame_pool.take_lowest(reach);
    }
    bool allocate_page_at(lobos::phys_addr page) { return !late_ && frame_pool.take_this(page); }
    void free_page(lobos::phys_addr page) noexcept { frame_pool.give(page); }
    std::optional<lobos::virt_addr> virtual_address(lobos::phys_addr page) const
    {
        return lobos::virt_addr::at(linear_base + page.raw());
    }
    std::span<std::byte> allocate_workspace(std::size_t bytes) { return workspace.take(bytes); }
    void free_workspace(std::span<std::byte> space) noexcept { workspace.give(space); }

    lobos::machine::processor& processor() { return processor_; }
    void before_point_of_no_return() noexcept
    {
        if (!other_processors.stop())
            out.say("processors: cannot be stopped");
        out.say("point of no return");
    }

private:
    const lobos::region_map& map_;
    bool late_;
    bool above_4g_;
    lobos::machine::processor processor_{firmware_reset()};
};

static_assert(lobos::kernel_glue<glue>);

} // namespace kernel
