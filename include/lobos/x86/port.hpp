// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The x86 port: what there is to know about the machine that a kernel exec leaves and enters, for every mode of paging
/// that a kernel may run in. A template over that mode; the instructions themselves are a processor's, real (arch/x86)
/// or simulated.

#include <lobos/x86/departure_rules.hpp>
#include <lobos/x86/frame_writer.hpp>
#include <lobos/x86/page.hpp>

namespace lobos::x86 {

/// EM_386 and EM_X86_64: the machines of ELF files for this port [elf/gabi].
inline constexpr std::uint16_t elf_machine = 3;
inline constexpr std::uint16_t elf_machine_64 = 62;

/// A processor, real or simulated.
template <class P>
concept processor = requires(P& p, virt_addr code, virt_addr frame) {
    { p.facts() } -> std::same_as<machine_facts>;
    { p.code() } -> std::same_as<overlay_code>;
    /// The point of no return: interrupts off for good.
    { p.interrupts_off() } noexcept;
    /// Goes to `code` with `frame`, the middle of one, both addresses of the running kernel. Does not return; a
    /// simulated processor leaves by an exception once the new kernel is entered.
    p.depart(code, frame);
};

template <paging_traits Paging> struct port {
    using paging = Paging;
    static constexpr byte_count page_size = x86::page_size;
    using facts = machine_facts;
    using registers = entry_registers;
    using entry_state = x86::entry_state;
    using route = x86::route;
    static constexpr bool skips_in_plan = true; // the loop of <lobos/machine/overlay.hpp> has no other way
    static constexpr bool from_long = is_long(mode_of_traits<Paging>());

    /// Whether a kernel in this state can be left by this port. Faults: those of can_be_left.
    static result<void> accepts(const facts& f) { return can_be_left<Paging>(f); }

    /// Whether the machine is still the one that was planned for. Faults: those of is_unchanged.
    static result<void> unchanged(const facts& then, const facts& now) { return is_unchanged(then, now); }

    /// The way to an image of contract `C`. Fault: unsupported (at: the state).
    template <class C> static result<route> route_of(copy_regime regime)
    {
        auto way = route_to(C::state, regime, from_long, enters_same_mode<C>());
        if (way)
            way->entered = entry_mode<C>();
        return way;
    }

    /// Where the machinery has to lie: the hub's code reaches 4 GiB.
    static constexpr phys_range machinery_reach(const route& way)
    {
        return way.hub ? below_4g : Paging::physical_reach;
    }

    /// How many pages of tables there are beside the frame.
    static constexpr std::size_t mode_pages(const route& way)
    {
        return (way.hub ? 1u : 0u) + (way.entry_page() ? 1u : 0u);
    }

    /// Whether the image is entered on tables of its own.
    static constexpr bool has_entry_tables(const route& way) { return way.up; }

    /// What the overlay's tables map beside what it copies. `put` is as in clone_page_tables.
    template <class Put> static result<void> map_for_copy(const route& way, const exec_plan& plan, Put& put)
    {
        if (way.hub && from_long)
            return put(page_mapping(plan.mode_pages[0], plan.frame));
        if (way.hub || way.entry_page())
            return put(identity_mapping<Paging>(phys_range::of(plan.mode_pages[0], page_size)));
        return {};
    }

    /// What the image's own tables map beside the image.
    template <paging_traits Entry, class Put>
    static result<void> map_for_entry(const route& way, const exec_plan& plan, Put& put)
    {
        for (const phys_addr page : {plan.code, plan.frame, plan.stack})
            if (const auto done = put(identity_mapping<Entry>(phys_range::of(page, page_size))); !done)
                return done;
        if (way.entry_page())
            return put(page_mapping(plan.mode_pages[0], plan.mode_pages[1]));
        return put(identity_mapping<Entry>(phys_range::of(plan.mode_pages[0], page_size)));
    }

    /// Where in the frame the overlay's program lies.
    static constexpr std::uint64_t program_offset = offsetof(departure_frame, program);

    /// Fills code page, frame and pages of modes. Everything they name is in place in `plan`.
    /// Faults: those of frame_writer.
    template <physical_memory M>
    static result<void> write_machinery(M& memory, exec_plan& plan, const route& way, const departure_aliases& where,
        const facts& running, const overlay_code& code, const registers& values, const overlay_program& program)
    {
        frame_writer<Paging, M> writer{memory, plan, way, where, running};
        if (const auto put = writer.put_code(code); !put)
            return put;
        return writer.put_tables(values, program, running.reset);
    }

    /// Rule 10. Faults: those of departure_rules.
    template <paging_traits Entry, physical_memory M>
    static result<void> departure_is_sound(const verifier_context<M>& context)
    {
        return departure_rules<Paging, Entry, M>{context}.hold();
    }

    /// What the image's first instruction will find in its registers, as the frame in memory has it.
    template <physical_memory M> static registers registers_found(const verifier_context<M>& context)
    {
        const auto f = load<departure_frame>(context.memory, context.plan.frame);
        const std::uint64_t base = context.plan.entered_paged ? 0 : context.plan.entry.raw() - f.entry;
        return {.ax = f.ax, .bx = f.bx, .si = f.si, .real_base = static_cast<std::uint32_t>(base)};
    }

    /// Where the departure begins: code at the running kernel's address.
    static constexpr virt_addr departure(const departure_aliases& where)
    {
        return where.code + byte_count::of(sizeof(code_page_head));
    }

    /// And what it is told: where the frame's middle is.
    static constexpr virt_addr frame_argument(const departure_aliases& where)
    {
        return where.frame + byte_count::of(departure_frame::middle);
    }

private:
    static mapping page_mapping(phys_addr linear, phys_addr physical)
    {
        return {virt_range::of(virt_addr::at(linear.raw()), page_size), physical, access::read_write};
    }
    template <class C> static constexpr paging_mode entry_mode()
    {
        if constexpr (std::is_void_v<typename C::paging>)
            return paging_mode::none;
        else if constexpr (std::is_same_v<typename C::paging, same_paging>)
            return mode_of_traits<Paging>();
        else
            return mode_of_traits<typename C::paging>();
    }
    template <class C> static constexpr bool enters_same_mode() { return entry_mode<C>() == mode_of_traits<Paging>(); }
};

} // namespace lobos::x86
