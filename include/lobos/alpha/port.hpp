// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The Alpha port: what there is to know about the machine that a kernel exec leaves, and enters again. There is one
/// mode of paging and no way to be without it, one state to be entered in, and no descriptors: what x86 has a way for,
/// here is the same for all. The instructions are a processor's, real (arch/alpha) or simulated.
///
/// Images are entered in kernel mode, interrupts off, in a context and on tables in safe memory, which stay theirs for
/// as long as they use no others. kseg is there, as always.

#include <lobos/alpha/departure_rules.hpp>
#include <lobos/handoff/contract.hpp>

namespace lobos::alpha {

/// EM_ALPHA: the machine of ELF files for this port. It never became official, and every tool has it.
inline constexpr std::uint16_t elf_machine = 0x9026;

/// The state of the processor that an image can be entered in.
enum class entry_state : std::uint8_t {
    kernel, ///< kernel mode, interrupts off, at a virtual address
};

/// What the image's first instruction finds in registers; pv is its own address, and others mean nothing.
struct entry_registers {
    std::uint64_t a0 = 0;
    friend constexpr bool operator==(const entry_registers&, const entry_registers&) = default;
};

/// A processor, real or simulated.
template <class P>
concept processor = requires(P& p, virt_addr code, virt_addr frame) {
    { p.facts() } -> std::same_as<machine_facts>;
    { p.code() } -> std::same_as<overlay_code>;
    /// The point of no return: interrupts off for good.
    { p.interrupts_off() } noexcept;
    /// Goes to `code` with `frame` in a0, both addresses of the running kernel. Does not return; a simulated processor
    /// leaves by an exception once the new kernel is entered.
    p.depart(code, frame);
};

struct port {
    using paging = paging_8k;
    static constexpr byte_count page_size = paging_8k::granule;
    using facts = machine_facts;
    using registers = entry_registers;
    using entry_state = alpha::entry_state;
    struct route {};                            ///< there is but one
    static constexpr bool skips_in_plan = true; // the loop of <lobos/machine/overlay.hpp> has no other way

    /// Where the PALcode of Linux looks for the virtual page table [linux/alpha-setup.h]: the last thing a Linux does
    /// is to go back to the tables that it was entered on, with this in force.
    static constexpr virt_addr linux_vptb = virt_addr::at(0x2'0000'0000);

    /// Whether a kernel in this state can be left by this port. Faults: those of can_be_left.
    static constexpr result<void> accepts(const facts& f) { return can_be_left(f); }

    /// Whether the machine is still the one that was planned for. Faults: those of is_unchanged.
    static constexpr result<void> unchanged(const facts& then, const facts& now) { return is_unchanged(then, now); }

    /// The way to an image of contract `C`. Fault: unsupported (at: the state, for a copy without paging).
    template <class C> static constexpr result<route> route_of(copy_regime regime)
    {
        static_assert(is_entered_paged<C>, "an Alpha has no other way");
        if (regime != copy_regime::paged)
            return refuse(fault_code::unsupported, stage::planning, static_cast<std::uint64_t>(C::state));
        return route{};
    }

    /// Where the machinery has to lie.
    static constexpr phys_range machinery_reach(const route&) { return kseg_memory; }

    /// There are no pages of modes, and an image has no tables of its own.
    static constexpr std::size_t mode_pages(const route&) { return 0; }
    static constexpr bool has_entry_tables(const route&) { return false; }

    /// The machinery is in kseg.
    template <class Put> static constexpr result<void> map_for_copy(const route&, const exec_plan&, Put&) { return {}; }
    template <paging_traits, class Put>
    static constexpr result<void> map_for_entry(const route&, const exec_plan&, Put&)
    {
        return {};
    }

    /// Where in the frame the overlay's program lies.
    static constexpr std::uint64_t program_offset = offsetof(departure_frame, program);

    /// Fills code page and frame, and makes the root of the tables seen. Everything they name is in place in `plan`,
    /// and both pages are of zeros. Faults: no_space (at: bytes of code, when these are more than a page),
    /// mapping_conflict (at: VPTB, when something is mapped there), bad_range (at: a trail that kseg does not reach),
    /// and those of virtual_page_table and make_hwpcb.
    template <physical_memory M>
    static result<void> write_machinery(M& memory, exec_plan& plan, const route&, const departure_aliases&,
        const facts& running, const overlay_code& code, const registers& values, const overlay_program& program)
    {
        for (const virt_addr vptb : {running.vptb, linux_vptb})
            if (const auto seen = see_root_at(vptb, memory, plan.new_root); !seen)
                return seen;
        const auto kseg_address = [](phys_addr at) { return overlay_address<paging>(at).raw(); };
        constexpr byte_count head = byte_count::of(sizeof(code_page_head));
        plan.code_size = code.place(pieces, head);
        if (plan.code_size > page_size)
            return refuse(fault_code::no_space, stage::staging, plan.code_size.raw());
        store(memory, plan.code, code_page_head{kseg_address(plan.code), kseg_address(plan.frame)});
        for (std::size_t p = 0; p < pieces; ++p)
            memory.write(plan.code + code.place(p, head), code.parts[p]);
        const auto at = [&](piece p) {
            return kseg_address(plan.code + code.place(static_cast<std::size_t>(p), head));
        };
        const auto context = make_hwpcb(virt_addr::at(kseg_address(plan.stack) + page_size.raw()), plan.new_root,
            hwpcb_flag::floating_point); // as a console has it, and images rely on it
        if (!context)
            return std::unexpected{context.error()};
        const std::uint64_t untold = plan.program.raw() + offsetof(overlay_program, untold);
        const bool told = program.trail != overlay_program::no_trail;
        const auto trail = kseg_direct.virtual_of(phys_addr::at(told ? program.trail : untold));
        if (!trail)
            return refuse(fault_code::bad_range, stage::staging, program.trail);
        const auto halt = kseg_direct.virtual_of(running.halt.flags);
        const bool asks = running.halt.flags != phys_addr{} && halt;
        const departure_frame frame{
            .self = kseg_address(plan.frame),
            .context_physical = plan.frame.raw() + offsetof(departure_frame, context),
            .guard = at(piece::guard),
            .copy = at(piece::copy),
            .leave = at(piece::leave),
            .program_physical = plan.program.raw(),
            .entry = plan.entry.raw(),
            .argument = values.a0,
            .vptb = running.vptb.raw(),
            .trail = trail->raw(),
            .halt_flags = asks ? halt->raw() : 0,
            .halt_action = halt_request::cold_bootstrap,
            .halt_mask = ~(halt_request::reason | halt_request::bootstrap_in_progress),
            .reset_at = running.reset.at.raw(),
            .reset_value = running.reset.value,
            .unused = 0,
            .context = *context,
            .program = program,
        };
        store(memory, plan.frame, frame);
        return {};
    }

    /// Rule 10. Faults: those of departure_rules.
    template <paging_traits, physical_memory M>
    static result<void> departure_is_sound(const verifier_context<M>& context)
    {
        return departure_rules<M>{context}.hold();
    }

    /// What the image's first instruction will find in its registers, as the frame in memory has it.
    template <physical_memory M> static registers registers_found(const verifier_context<M>& context)
    {
        return {load<std::uint64_t>(
            context.memory, context.plan.frame + byte_count::of(offsetof(departure_frame, argument)))};
    }

    /// Where the departure begins: code at the running kernel's address, the first of the pieces.
    static constexpr virt_addr departure(const departure_aliases& where)
    {
        return where.code + byte_count::of(sizeof(code_page_head));
    }

    /// And what it is told: where the frame is.
    static constexpr virt_addr frame_argument(const departure_aliases& where) { return where.frame; }

private:
    template <physical_memory M> static result<void> see_root_at(virt_addr vptb, M& memory, phys_addr root)
    {
        const auto table = virtual_page_table::at(vptb);
        if (!table)
            return std::unexpected{table.error()};
        return table->add_to(memory, root);
    }
};

// Sanity checks
static_assert(sizeof(code_page_head) % piece_alignment.raw() == 0, "the first piece begins behind the head");

} // namespace lobos::alpha
