// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The Alpha port to the conformance suite, twice: a kernel in kseg on a processor that stores quadwords, with images
/// that are entered in kseg too; and one whose memory is mapped, on a processor that stores bytes, with images in the
/// lower half of the address space. Where the PALcode looks for what is in no buffer goes by the kernel's seed.

#include <lobos/sim/alpha_kernel.hpp>

#include <tests/conformance/description.hpp>

namespace lobos::conformance {

template <bool Mapped> struct running_alpha : sim::basic_alpha_kernel<Mapped> {
    explicit running_alpha(byte_count ram, std::uint32_t seed) : sim::basic_alpha_kernel<Mapped>{ram, seed}
    {
        using search = sim::alpha_mmu::search;
        constexpr search places[] = {search::virtual_table, search::virtual_table_or_walk, search::walk};
        auto& cpu = this->processor();
        cpu.mmu.looks = places[seed % std::size(places)];
        cpu.compiled_for_bytes = Mapped;
        cpu.model = Mapped ? sim::alpha_model::ev67() : sim::alpha_model::ev4();
    }
};

template <bool Mapped> struct alpha_image : made_up_image {
    static constexpr alpha::entry_state state = alpha::entry_state::kernel;
    using paging = same_paging;

    alpha_image(std::vector<segment> p, phys_addr first) : made_up_image{std::move(p), first}
    {
        const phys_range kernel = parts.front().destination;
        layout.push_back({virt_range::of(address_of(kernel.first()), kernel.size()), kernel.first(), true});
    }
    virt_addr entry() const { return address_of(first_instruction); }
    alpha::entry_registers registers(std::span<const phys_addr> pages) const { return {pages[0].raw()}; }

private:
    static virt_addr address_of(phys_addr at)
    {
        return Mapped ? virt_addr::at(0x2a'0000 + at.raw()) : overlay_address<alpha::paging_8k>(at);
    }
};

template <bool Mapped> struct alpha_port {
    using kernel = running_alpha<Mapped>;
    using image = alpha_image<Mapped>;
    static constexpr std::string_view name = Mapped ? "Alpha, mapped" : "Alpha, in kseg";
    static constexpr byte_count store = byte_count::of(Mapped ? 1 : 8);
    static constexpr byte_count edges = byte_count::of(8);

    static image image_of(std::vector<segment> parts, phys_addr first_instruction)
    {
        return {std::move(parts), first_instruction};
    }

    static outcome commit(kernel& k, staged_exec<kernel, crc32c>& staged)
    try {
        return lobos::commit(staged);
    } catch (const sim::alpha_kernel_entered& entered) {
        const auto& s = entered.state;
        return arrival{.at = virt_addr::at(s.pc),
            .physical = entered.physical_pc,
            .table_root = phys_addr::at(s.ptbr * alpha::port::page_size.raw()),
            .parameters = phys_addr::at(s.general[sim::alpha_register::a0]),
            .interrupts = s.priority != 7};
    } catch (const sim::alpha_halted&) {
        const auto flags = load<std::uint64_t>(k.memory(), halt_word(k).first());
        return stopped{(flags & alpha::halt_request::reason) == alpha::halt_request::cold_bootstrap};
    } catch (const sim::machine_error& error) {
        return error;
    }

    /// The context that it leaves.
    static std::vector<phys_range> processor_writes(kernel&)
    {
        return {phys_range::of(kernel::machine::context, alpha::hwpcb::alignment)};
    }

    static void change_tables(kernel& k) { ++k.processor().mmu.root_page; }

    static constexpr std::size_t exception_kinds = 4;
    static outcome commit_with_exception(
        kernel& k, staged_exec<kernel, crc32c>& staged, std::size_t kind, std::uint64_t instruction, raised& what)
    {
        using e = sim::alpha_exception;
        static constexpr e kinds[exception_kinds] = {e::machine_check(0x670, 0xffff'fc00'0000'6000),
            e::memory(0x1234, sim::alpha_fault::fault_on_write, e::by_store), e::instruction(e::no_instruction),
            e::unaligned(0x4321, 0x29, 3)};
        const e& exception = kinds[kind];
        std::uint64_t number = 0;
        k.processor().before_each_instruction = [&](sim::alpha_processor& cpu) {
            if (number++ != instruction)
                return;
            what = {static_cast<std::uint32_t>(exception.entry) + 1, cpu.pc + (exception.behind ? 4 : 0), exception.a0};
            cpu.deliver(exception);
        };
        return commit(k, staged);
    }
    /// The word that asks the console for a new start; and until the overlay has a context of its own, the stack is the
    /// kernel's.
    static std::vector<phys_range> guard_writes(kernel& k)
    {
        return {halt_word(k), phys_range::of(kernel::machine::stack, kernel::page_size)};
    }

private:
    static phys_range halt_word(kernel& k)
    {
        return phys_range::of(k.processor().facts().halt.flags, byte_count::of(sizeof(std::uint64_t)));
    }
};

// Sanity checks
static_assert(described_port<alpha_port<false>> && raises_exceptions<alpha_port<false>>);
static_assert(described_port<alpha_port<true>> && raises_exceptions<alpha_port<true>>);

} // namespace lobos::conformance
