// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The glue: all that lobos wants of this kernel.

#include "../arena.hpp"
#include "../console.hpp"
#include "../frames.hpp"

#include <lobos/alpha/port.hpp>
#include <lobos/glue/kernel_glue.hpp>
#include <lobos/machine/processor.hpp>

namespace kernel {

class glue {
public:
    using port = lobos::alpha::port;

    /// `late`: this kernel pretends not to know who uses a frame.
    glue(const lobos::region_map& map, const lobos::alpha::machine_facts& told, bool late)
        : map_{map},
          late_{late},
          processor_{told}
    {
    }

    const lobos::region_map& memory_map() const { return map_; }
    std::uint64_t memory_generation() const { return 0; } // the map is made at boot and never changes
    linear_memory& memory() const { return kernel::memory; }

    std::optional<lobos::phys_addr> allocate_page(lobos::phys_range reach) { return frame_pool.take_lowest(reach); }
    bool allocate_page_at(lobos::phys_addr page) { return !late_ && frame_pool.take_this(page); }
    void free_page(lobos::phys_addr page) noexcept { frame_pool.give(page); }
    std::optional<lobos::virt_addr> virtual_address(lobos::phys_addr page) const { return lobos::alpha::to_kseg(page); }
    std::span<std::byte> allocate_workspace(std::size_t bytes) { return workspace.take(bytes); }
    void free_workspace(std::span<std::byte> space) noexcept { workspace.give(space); }

    lobos::machine::processor& processor() { return processor_; }
    void before_point_of_no_return() noexcept { out.say("point of no return"); }

private:
    const lobos::region_map& map_;
    bool late_;
    lobos::machine::processor processor_;
};

static_assert(lobos::kernel_glue<glue>);

} // namespace kernel
