// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Entry contracts: what an image's first instruction relies on, as a type. A contract brings its image, says how much
/// safe memory its parameters need, writes them once everything else is placed, and names the way out.

#include <concepts>
#include <span>

#include <lobos/core/physical_memory.hpp>
#include <lobos/core/region_map.hpp>
#include <lobos/image/segment.hpp>

namespace lobos {

/// How the overlay leaves the old kernel's address space for the image.
enum class way_out : std::uint8_t {
    unpaged, ///< paging is dropped in an identity-mapped safe page
    paged,   ///< paging stays on, the image is entered at a virtual address
};

/// Whose descriptors the image finds.
enum class descriptor_choice : std::uint8_t {
    flat,   ///< a table made for it
    cloned, ///< a copy of the running kernel's
};

namespace detail {
/// Stands for any memory in the concept below.
struct some_memory {
    void read(phys_addr at, std::span<std::byte> out);
    void write(phys_addr at, std::span<const std::byte> in);
};
} // namespace detail

/// `Port` is the machine; `Port::registers` is what the first instruction finds in the registers.
template <class C, class Port>
concept entry_contract = requires(
    const C& contract, std::span<const phys_addr> pages, const region_map& handed_over, detail::some_memory& memory) {
    { C::leaves } -> std::convertible_to<way_out>;
    { C::descriptors } -> std::convertible_to<descriptor_choice>;
    /// What must lie where; outlives the exec, like the files that it names.
    { contract.segments() } -> std::same_as<std::span<const segment>>;
    /// The first instruction: physical when it leaves unpaged, virtual otherwise.
    { contract.entry() } -> std::same_as<virt_addr>;
    /// Where a paged image expects itself; empty for others.
    { contract.virtual_layout() } -> std::same_as<std::span<const virtual_segment>>;
    /// Safe pages for parameters, and the registers that point to them.
    { contract.parameter_pages() } -> std::same_as<std::size_t>;
    { contract.registers(pages) } -> std::same_as<typename Port::registers>;
    /// Fills the parameter pages; `handed_over` is the next kernel's memory map.
    { contract.write_parameters(memory, handed_over, pages) } -> std::same_as<result<void>>;
};

/// The most pages of parameters that any contract may want.
inline constexpr std::size_t max_parameter_pages = 8;

} // namespace lobos
