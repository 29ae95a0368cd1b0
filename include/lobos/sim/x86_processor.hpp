// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A simulated x86 that can leave one kernel and enter another, in any of its modes. It models the instructions of
/// arch/x86/lobos/machine one after another, as they are in <lobos/sim/x86_code_32.hpp> and
/// <lobos/sim/x86_code_64.hpp>; the copy loop is the real one. A kernel of 64-bit code is one that 64-bit code runs in
/// when it is asked for the overlay's.

#include <lobos/sim/x86_code_32.hpp>
#include <lobos/sim/x86_code_64.hpp>
#include <lobos/sim/x86_real_mode.hpp>
#include <lobos/x86/port.hpp>

namespace lobos::sim {

/// What the new kernel's first instruction finds. Registers have the names of 64-bit code; 32-bit code finds their low
/// halves, and the others are 0.
struct entry_state {
    std::uint64_t rip = 0;
    phys_addr physical_rip;
    std::uint64_t rax = 0, rbx = 0, rcx = 0, rdx = 0, rsi = 0, rdi = 0, rbp = 0, rsp = 0;
    std::array<std::uint64_t, 8> r8_to_r15 = {};
    std::uint16_t cs = 0, ds = 0, es = 0, fs = 0, gs = 0, ss = 0;
    bool flat = false;    ///< the segments in force are all of memory from 0, whatever the table says by now
    bool code_64 = false; ///< it is 64-bit code
    x86::paging_mode paging = x86::paging_mode::none;
    std::uint64_t cr0 = 0, cr3 = 0, cr4 = 0, efer = 0, dr7 = 0;
    bool interrupts = true;
};

/// Thrown by x86_processor::depart when it arrives: the exec has happened.
struct new_kernel_entered {
    entry_state state;
};

class x86_processor : x86_execution {
public:
    explicit x86_processor(memory& memory) : x86_execution{memory} {}

    using x86_execution::dr7;
    using x86_execution::gdtr;
    using x86_execution::guarding;
    using x86_execution::idtr;
    using x86_execution::mmu;
    using x86_execution::record;
    using x86_execution::relocations;
    using x86_execution::segments;
    std::uint64_t page_attributes = 0x0007'0406'0007'0406; ///< IA32_PAT; as it is after a reset
    bool memory_encrypted = false;
    bool boot_processor = true;
    entry_state state;

    x86::machine_facts facts() const
    {
        const x86::control_registers now{mmu.cr0(), mmu.cr3(), mmu.cr4(), mmu.efer()};
        return {.table_root = x86::table_root_of(x86::mode_of(now), now.cr3),
            .descriptors = {virt_addr::at(gdtr.base), static_cast<std::uint16_t>(gdtr.limit)},
            .cr0 = now.cr0,
            .cr4 = now.cr4,
            .efer = now.efer,
            .code_selector = segments[x86_segments::cs].selector,
            .data_selector = segments[x86_segments::ss].selector,
            .default_memory_type = static_cast<std::uint8_t>(page_attributes & 7),
            .memory_encrypted = memory_encrypted,
            .boot_processor = boot_processor};
    }

    x86::overlay_code code() const { return x86_pieces::code(segments.code_64()); }

    void interrupts_off() noexcept { state.interrupts = false; }

    /// Leaves by throwing new_kernel_entered, or machine_error where the machine would have faulted.
    void depart(virt_addr code, virt_addr frame)
    {
        if (state.interrupts)
            throw machine_error{"left with interrupts on", code.raw()};
        guarding = false;
        const bool is_64 = segments.code_64();
        const std::uint64_t old = is_64 ? 0x01d5'7aff'01d5'7aff : 0x01d5'7aff; // what the kernel had in its registers
        general.wide.fill(old);
        general[is_64 ? x86_registers::di : x86_registers::bx] = frame.raw();
        for (std::uint64_t to = code.raw();;) {
            const x86::piece p = begin(to);
            to = run(p);
            if (p == x86::piece::leave_flat && !segments[x86_segments::cs].wide)
                to = run_16(to);
            if (p == x86::piece::leave_flat || p == x86::piece::leave_long)
                enter(to);
        }
    }

    /// Loads a segment register from the descriptor table that GDTR names.
    void load_segment(x86_segments::name which, std::uint16_t selector) { segments.load(which, selector, gdtr); }

    /// All registers that outlive an instruction; not what the caches remember, which is nobody's state.
    void add_to(state_hash& hash) const
    {
        for (const std::uint64_t value : {mmu.cr0(), mmu.cr3(), mmu.cr4(), mmu.efer(), page_attributes, gdtr.base,
                 std::uint64_t{gdtr.limit}, idtr.base, std::uint64_t{idtr.limit}, dr7})
            hash.add(value);
        hash.add(state.interrupts);
        for (const x86_segment& s : segments.all())
            for (const std::uint32_t value : {std::uint32_t{s.selector}, s.base, s.limit, std::uint32_t{s.privilege},
                     std::uint32_t{s.usable}, std::uint32_t{s.code}, std::uint32_t{s.permission},
                     std::uint32_t{s.direction}, std::uint32_t{s.wide}, std::uint32_t{s.long_code}})
                hash.add(value);
    }

private:
    /// Where piece `p` goes. It is of the width that its first instruction was found to be.
    std::uint64_t run(x86::piece p)
    {
        x86_code_32 code_32{*this};
        x86_code_64 code_64{*this};
        const bool is_64 = runs_64();
        using enum x86::piece;
        switch (p) {
        case depart: return is_64 ? code_64.depart() : code_32.depart();
        case arrive: return is_64 ? code_64.arrive() : code_32.arrive();
        case copy: return is_64 ? code_64.copy() : code_32.copy();
        case down: return is_64 ? code_64.down() : code_32.down();
        case hub: return code_32.hub();
        case up: return code_32.up();
        case leave_flat: return code_32.leave_flat();
        case enter_long: return code_64.enter_long();
        case switch_long: return code_64.switch_long();
        case leave_long: return code_64.leave_long();
        default: throw machine_error{"not simulated: piece " + std::to_string(static_cast<unsigned>(p)), next_at()};
        }
    }

    /// From a 16-bit segment on it is the image's own code that runs, on its way to real mode.
    std::uint64_t run_16(std::uint64_t at)
    {
        x86_real_mode::registers r{.ip = static_cast<std::uint32_t>(at), .gdt = gdtr, .idt = idtr};
        for (unsigned i = 0; i < r.wide.size(); ++i)
            r.wide[i] = static_cast<std::uint32_t>(general[i]);
        x86_real_mode{memory_, mmu, segments, record}.run(r);
        idtr = r.idt;
        for (unsigned i = 0; i < r.wide.size(); ++i)
            general[i] = r.wide[i];
        return r.ip;
    }

    /// The image's first instruction.
    [[noreturn]] void enter(std::uint64_t at)
    {
        using r = x86_registers;
        using enum x86_segments::name;
        state.rip = at;
        state.rax = general[r::ax];
        state.rbx = general[r::bx];
        state.rcx = general[r::cx];
        state.rdx = general[r::dx];
        state.rsi = general[r::si];
        state.rdi = general[r::di];
        state.rbp = general[r::bp];
        state.rsp = general[r::sp];
        for (unsigned i = 0; i < state.r8_to_r15.size(); ++i)
            state.r8_to_r15[i] = general[r::r8 + i];
        state.cs = segments[cs].selector;
        state.ds = segments[ds].selector;
        state.es = segments[es].selector;
        state.fs = segments[fs].selector;
        state.gs = segments[gs].selector;
        state.ss = segments[ss].selector;
        state.flat = std::ranges::all_of(segments.all(), &x86_segment::flat);
        state.code_64 = segments.code_64();
        state.paging = mmu.mode();
        state.cr0 = mmu.cr0();
        state.cr3 = mmu.cr3();
        state.cr4 = mmu.cr4();
        state.efer = mmu.efer();
        state.dr7 = dr7;
        state.physical_rip = physical_of_code(at);
        throw new_kernel_entered{state};
    }
};

static_assert(x86::processor<x86_processor>);

} // namespace lobos::sim
