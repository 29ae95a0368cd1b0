// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What a kernel supplies so that lobos can work inside it. Twelve requirements, each a line; examples/reference-kernel
/// has a model for a real kernel, lobos/sim one for a simulated one.

#include <concepts>
#include <optional>
#include <span>

#include <lobos/core/physical_memory.hpp>
#include <lobos/core/region_map.hpp>

namespace lobos {

template <class G>
concept kernel_glue = requires(G& glue, phys_addr page, phys_range in, std::size_t bytes, std::span<std::byte> space) {
    /// All of physical memory, as it is to be handed to the next kernel; what must survive is `surviving` in it.
    { glue.memory_map() } -> std::same_as<const region_map&>;
    /// A number that changes whenever the map does.
    { glue.memory_generation() } -> std::same_as<std::uint64_t>;

    /// Reads and writes physical memory; a reference, which outlives the exec.
    requires std::is_lvalue_reference_v<decltype(glue.memory())> &&
        physical_memory<std::remove_reference_t<decltype(glue.memory())>>;

    /// One page of memory that nobody uses, aligned; nothing if there is none. It is wanted in this range. Any other is
    /// put aside until the exec is staged, so a kernel that has much memory elsewhere had better heed that.
    { glue.allocate_page(in) } -> std::same_as<std::optional<phys_addr>>;
    /// This very page, if nobody uses it; false if somebody does, or if the kernel cannot tell. What the image wants
    /// there is then put there now, and not after the point of no return.
    { glue.allocate_page_at(page) } -> std::same_as<bool>;
    { glue.free_page(page) } noexcept;
    /// Where the running tables map such a page, writable and executable, for the switch of tables happens in one and
    /// an exception meanwhile is written to another; nothing if they do not.
    { glue.virtual_address(page) } -> std::same_as<std::optional<virt_addr>>;

    /// Working storage of the kernel's own, aligned to 16, contiguous to the kernel's eye only; empty if there is none.
    { glue.allocate_workspace(bytes) } -> std::same_as<std::span<std::byte>>;
    { glue.free_workspace(space) } noexcept;

    /// The machine: `port` says what there is to know about it, `processor` is the one that the kernel runs on.
    typename G::port;
    { G::port::page_size } -> std::convertible_to<byte_count>; // of the pages above
    { glue.processor() };

    /// The last call before interrupts go off: silence devices, park the other processors, say goodbye. It cannot fail.
    { glue.before_point_of_no_return() } noexcept;
};

} // namespace lobos
