// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What a port says of itself to the conformance suite, which knows no machine: the concept, and the words in which a
/// description answers. <tests/conformance/ports.hpp> says how to write one.

#include <concepts>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <lobos/kernel_exec.hpp>
#include <lobos/sim/kernel.hpp>

#include <tests/catch.hpp>

namespace lobos::conformance {

/// The image's first instruction is about to run.
struct arrival {
    virt_addr at;         ///< where it is, to the processor
    phys_addr physical;   ///< and in memory
    phys_addr table_root; ///< of the tables in force
    phys_addr parameters; ///< the first page of them, from the register that the image finds it in
    bool interrupts = true;
};

/// The exception guard has given up the machine.
struct stopped {
    bool starts_anew = false; ///< by itself: it is reset, or the console has been asked for a new start
};

/// How a commit ends: in the image, with a refusal, in the guard, or where a machine would have gone wrong.
using outcome = std::variant<arrival, fault, stopped, sim::machine_error>;

/// An exception that was made to happen, as the guard is to note it down.
struct raised {
    std::uint32_t exception = 0; ///< its number + 1; 0: it came to none
    std::uint64_t at = 0;        ///< address of the instruction
    std::uint64_t touched = 0;
};

/// What all made-up images have alike; a port's own derives from it and adds the rest of an entry contract. Its one
/// page of parameters tells of all memory.
struct made_up_image {
    static constexpr std::uint64_t magic = 0x6c6f'626f'732e'696d;

    std::vector<segment> parts; ///< the first one has `first_instruction` in it
    phys_addr first_instruction;
    std::vector<virtual_segment> layout = {};

    std::span<const segment> segments() const { return parts; }
    std::span<const virtual_segment> virtual_layout() const { return layout; }
    std::size_t parameter_pages() const { return 1; }
    template <physical_memory M>
    result<void> write_parameters(
        M& memory, const region_map& handed_over, std::span<const phys_addr> pages, std::span<std::byte>) const
    {
        phys_addr at = pages[0];
        const auto put = [&](std::uint64_t value) {
            store(memory, at, value);
            at += byte_count::of(sizeof value);
        };
        put(magic);
        put(handed_over.regions().size());
        for (const region& r : handed_over.regions()) {
            put(r.range.first().raw());
            put(r.range.last().raw());
            put(static_cast<std::uint64_t>(r.kind));
        }
        return {};
    }
    template <class Context, class Registers> result<void> is_met(const Context&, const Registers&) const { return {}; }

    /// The memory map that the parameters at `page` tell of; empty when they are none of these.
    template <physical_memory M> static std::vector<region> told(M& memory, phys_addr page)
    {
        const auto word = [&](std::uint64_t i) { return load<std::uint64_t>(memory, page + byte_count::of(8 * i)); };
        std::vector<region> map;
        for (std::uint64_t i = 2; word(0) == magic && i < 2 + 3 * word(1); i += 3)
            map.push_back({phys_range::between(phys_addr::at(word(i)), phys_addr::at(word(i + 1))),
                static_cast<region_kind>(word(i + 2))});
        return map;
    }
};

/// The simulated kernel of a description, and an exec of it that waits.
template <class D> using kernel_of = D::kernel;
template <class D> using staged_of = staged_exec<kernel_of<D>, crc32c>;

template <class D>
concept described_port = kernel_glue<kernel_of<D>> && std::derived_from<typename D::image, made_up_image> &&
    entry_contract<typename D::image, typename kernel_of<D>::port> &&
    requires(kernel_of<D>& kernel, staged_of<D>& staged, std::vector<segment> parts, phys_addr first_instruction) {
        { D::name } -> std::convertible_to<std::string_view>;
        { D::store } -> std::convertible_to<byte_count>;
        { D::edges } -> std::convertible_to<byte_count>;
        { D::image_of(parts, first_instruction) } -> std::same_as<typename D::image>;
        { D::commit(kernel, staged) } -> std::same_as<outcome>;
        { D::processor_writes(kernel) } -> std::same_as<std::vector<phys_range>>;
        { D::change_tables(kernel) };
    };

/// Exceptions can be made to happen at any instruction behind the point of no return.
template <class D>
concept raises_exceptions =
    requires(kernel_of<D>& kernel, staged_of<D>& staged, std::size_t kind, std::uint64_t instruction, raised& what) {
        { D::exception_kinds } -> std::convertible_to<std::size_t>;
        { D::commit_with_exception(kernel, staged, kind, instruction, what) } -> std::same_as<outcome>;
        { D::guard_writes(kernel) } -> std::same_as<std::vector<phys_range>>;
    };

/// The simulated processor itself sees to it, instruction by instruction, that an exception would find the guard.
template <class D>
concept proves_its_guard = requires(kernel_of<D>& kernel) {
    { D::guard_was_proved(kernel) } -> std::same_as<bool>;
};

/// An outcome in words, for a message.
inline std::string to_string(const outcome& o)
{
    if (const auto* refused = std::get_if<fault>(&o))
        return "refused: " + Catch::StringMaker<fault>::convert(*refused);
    if (const auto* wrong = std::get_if<sim::machine_error>(&o))
        return std::string{"went wrong: "} + wrong->what();
    return std::holds_alternative<stopped>(o) ? "stopped by the guard" : "arrived";
}

} // namespace lobos::conformance
