// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The x86 port to the conformance suite, in one mode of paging. Images stay in the running kernel's mode, high up in
/// its address space; what other states there are to be entered in, tests/sim has.

#include <lobos/sim/x86_kernel.hpp>

#include <tests/conformance/description.hpp>

namespace lobos::conformance {

template <class Paging> struct x86_image : made_up_image {
    static constexpr x86::entry_state state = x86::entry_state::as_running;
    using paging = same_paging;

    x86_image(std::vector<segment> p, phys_addr first) : made_up_image{std::move(p), first}
    {
        const phys_range kernel = parts.front().destination;
        layout.push_back({virt_range::of(high(kernel.first()), kernel.size()), kernel.first(), true});
    }
    virt_addr entry() const { return high(first_instruction); }
    x86::entry_registers registers(std::span<const phys_addr> pages) const { return {.si = pages[0].raw()}; }

private:
    virt_addr high(phys_addr at) const
    {
        constexpr virt_addr base = virt_addr::at(Paging::levels == 5 ? 0xff22'0000'0000'0000
                : Paging::levels == 4                                ? 0xffff'c900'0000'0000
                                                                     : 0xd000'0000);
        return base + (at - align_down(parts.front().destination.first(), Paging::granule));
    }
};

template <class Paging> struct x86_port {
    using kernel = sim::basic_x86_kernel<Paging>;
    using image = x86_image<Paging>;
    static constexpr std::string_view name = Paging::mode.name;
    static constexpr byte_count store = byte_count::of(1);
    static constexpr byte_count edges = byte_count::of(1);

    static image image_of(std::vector<segment> parts, phys_addr first_instruction)
    {
        return {std::move(parts), first_instruction};
    }

    static outcome commit(kernel&, staged_exec<kernel, crc32c>& staged)
    try {
        return lobos::commit(staged);
    } catch (const sim::new_kernel_entered& entered) {
        const sim::entry_state& s = entered.state;
        return arrival{.at = virt_addr::at(s.rip),
            .physical = s.physical_rip,
            .table_root = x86::table_root_of(s.paging, s.cr3),
            .parameters = phys_addr::at(s.rsi),
            .interrupts = s.interrupts};
    } catch (const sim::machine_error& error) {
        return error;
    }

    /// Nothing: what it marks in tables is marked already.
    static std::vector<phys_range> processor_writes(kernel&) { return {}; }

    static void change_tables(kernel& k)
    {
        constexpr bool pae = x86::mode_of_traits<Paging>() == x86::paging_mode::pae;
        auto& mmu = k.processor().mmu;
        mmu.load_cr3(mmu.cr3() + (pae ? 0x20 : 0x1000)); // where the four pointers are none
    }

    /// At every instruction, once its gates are in force.
    static bool guard_was_proved(kernel& k) { return k.processor().guarding; }
};

// Sanity checks
static_assert(described_port<x86_port<x86::paging_4m>> && proves_its_guard<x86_port<x86::paging_4m>>);
static_assert(!raises_exceptions<x86_port<x86::paging_4m>>);

} // namespace lobos::conformance
