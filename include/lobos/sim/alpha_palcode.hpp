// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The PALcode for Unix, as far as a kernel needs it that is being left: the calls that lobos makes, and exceptions
/// [alpha/arm II-B, PALcode instructions; exceptions and interrupts]. What the manual calls UNPREDICTABLE after a call
/// is rubbish here, another at each. What it leaves undefined, and what would end in the console because the kernel
/// cannot be told, is a machine_error. Always in kernel mode, for nobody goes into any other.

#include <utility>

#include <lobos/sim/alpha_execution.hpp>

namespace lobos::sim {

/// All that outlives an instruction, as a test finds it when the processor has stopped.
struct alpha_state {
    alpha_registers general;
    std::uint64_t pc = 0;
    std::uint64_t ptbr = 0; ///< the root's physical address, in pages
    std::uint64_t space = 0;
    std::uint64_t vptb = 0;
    std::uint64_t pcbb = 0; ///< the current context's physical address
    std::uint64_t priority = 0;
    std::uint64_t kernel_gp = 0;
    std::uint64_t user_sp = 0;
    std::uint64_t unique = 0;
    bool floating_point = false;
    std::array<std::optional<std::uint64_t>, alpha_entries> entries = {};
};

/// Thrown by `call_pal halt`: the console has taken over.
struct alpha_halted {
    alpha_state state;
};

class alpha_palcode : public alpha_execution {
public:
    using alpha_execution::alpha_execution;

    std::uint64_t pcbb = 0;
    std::uint64_t priority = 0; ///< IPL, the status that rdps reads: its bit for user mode is never set
    std::uint64_t kernel_gp = 0;
    std::uint64_t user_sp = 0;
    std::uint64_t unique = 0;
    bool floating_point = false;
    std::uint64_t number = 0;   ///< whami
    bool machine_check = false; ///< one is being looked at, and nobody has said that he is through with it
    std::array<std::optional<std::uint64_t>, alpha_entries> entries = {};

    unsigned exceptions = 0; ///< that the kernel was entered for, interrupts among them

    /// How many calls of halt the console answers by going on behind them, as it may when somebody at it says so.
    unsigned continued_halts = 0;

    /// One instruction, and what the PALcode does about it. Throws alpha_halted, or machine_error.
    void run_instruction()
    {
        try {
            if (const auto function = step())
                call(*function);
        } catch (const alpha_exception& e) {
            deliver(e);
        }
    }

    /// An exception, or an interrupt: enters the kernel, with the old status and registers on its stack. Whether it
    /// came through; an interrupt that is masked is gone.
    bool deliver(const alpha_exception& e)
    {
        if (e.entry == alpha_entry::interrupt && !e.not_masked && e.level <= priority)
            return false;
        const auto entry = entries[static_cast<std::size_t>(e.entry)];
        if (!entry)
            throw machine_error{"an exception without an entry (" + name_of(e.entry) + ")", pc};
        if (e.not_masked && std::exchange(machine_check, true))
            throw machine_error{"a machine check in the midst of another", pc};
        push_frame(e.behind ? pc + 4 : pc);
        general.set(r::a0, e.a0);
        general.set(r::a1, e.entry == alpha_entry::instruction ? rubbish() : e.a1);
        general.set(r::a2, e.entry == alpha_entry::instruction ? rubbish() : e.a2);
        general.set(r::gp, kernel_gp);
        if (e.entry == alpha_entry::interrupt)
            priority = e.level;
        pc = *entry;
        ++exceptions;
        return true;
    }

    alpha_state state() const
    {
        return {general, pc, mmu.root_page, mmu.space, mmu.vptb, pcbb, priority, kernel_gp, user_sp, unique,
            floating_point, entries};
    }

    /// A number that nobody has a use for.
    std::uint64_t rubbish() { return rubbish_ = rubbish_ * 0x5851'f42d'4c95'7f2d + 0x1405'7b7e'f767'814f; }

protected:
    using r = alpha_register;

private:
    // Where the fields of a context are.
    static constexpr std::uint64_t context_ksp = 0, context_usp = 8, context_ptbr = 16, context_cycles = 24;
    static constexpr std::uint64_t context_space = 28, context_unique = 32, context_flags = 40;
    static constexpr std::uint64_t context_size = 128;

    /// `pc` is behind the call already.
    void call(std::uint32_t function)
    {
        const std::uint64_t a0 = general[r::a0];
        const std::uint64_t a1 = general[r::a1];
        std::optional<std::uint64_t> v0;
        bool two_arguments = false;
        switch (function) {
        case 0x00: halt(); break;
        case 0x02: break;                // draina: nothing is under way
        case 0x2d: mmu.vptb = a0; break; // wrvptptr
        case 0x30: v0 = swap_context(a0); break;
        case 0x33:
            invalidate(a0, a1);
            two_arguments = true;
            break;
        case 0x34:
            write_entry(a0, a1);
            two_arguments = true;
            break;
        case 0x35: // swpipl
            v0 = priority;
            priority = a0 & 7;
            break;
        case 0x36: v0 = priority; break;  // rdps
        case 0x37: kernel_gp = a0; break; // wrkgp
        case 0x38: user_sp = a0; break;   // wrusp
        case 0x3a: v0 = user_sp; break;   // rdusp
        case 0x3c: v0 = number; break;    // whami
        case 0x80: throw_behind(alpha_exception::breakpoint);
        case 0x81: throw_behind(alpha_exception::bugcheck);
        case 0x86: stream.barrier(); break; // imb
        case 0xaa: throw_behind(alpha_exception::trap);
        default: throw machine_error{"a call of the PALcode that is not simulated", function};
        }
        for (const unsigned lost : {r::t0, r::t8, r::t9, r::t10, r::t11, r::a0})
            general.set(lost, rubbish());
        if (two_arguments)
            general.set(r::a1, rubbish());
        if (v0)
            general.set(r::v0, *v0);
    }

    [[noreturn]] void throw_behind(std::uint64_t why)
    {
        pc -= 4; // the call is what the exception is about, and it lies behind that
        throw alpha_exception::instruction(why);
    }

    void halt()
    {
        save_context();
        if (continued_halts == 0)
            throw alpha_halted{state()};
        --continued_halts;
    }

    void save_context()
    {
        const phys_addr current = phys_addr::at(pcbb);
        store_physical(current + byte_count::of(context_ksp), general[r::sp]);
        store_physical(current + byte_count::of(context_usp), user_sp);
        store_physical(current + byte_count::of(context_cycles), cycle_counter() + cycle_offset);
        store_physical(current + byte_count::of(context_unique), unique);
    }

    /// Returns the context until now. What the buffers know they keep, under the number of its address space.
    std::uint64_t swap_context(std::uint64_t context)
    {
        if (context % context_size != 0)
            throw machine_error{"a context that is not aligned", context};
        save_context();
        const std::uint64_t old = std::exchange(pcbb, context);
        const auto at = [&](std::uint64_t field) { return phys_addr::at(context + field); };
        general.set(r::sp, load_physical<std::uint64_t>(at(context_ksp)));
        user_sp = load_physical<std::uint64_t>(at(context_usp));
        mmu.root_page = load_physical<std::uint64_t>(at(context_ptbr));
        cycle_offset = load_physical<std::uint32_t>(at(context_cycles)) - cycle_counter();
        mmu.space = load_physical<std::uint32_t>(at(context_space));
        unique = load_physical<std::uint64_t>(at(context_unique));
        floating_point = (load_physical<std::uint64_t>(at(context_flags)) & 1) != 0;
        return old;
    }

    void invalidate(std::uint64_t what, std::uint64_t address)
    {
        switch (static_cast<std::int64_t>(what)) {
        case -2: mmu.forget_all(); break;
        case -1: mmu.forget_spaces(); break;
        case 1: mmu.forget_instruction_page(address); break;
        case 2: mmu.forget_data_page(address); break;
        case 3:
            mmu.forget_instruction_page(address);
            mmu.forget_data_page(address);
            break;
        default: throw machine_error{"tbi with an argument that it has not", what};
        }
    }

    void write_entry(std::uint64_t address, std::uint64_t which)
    {
        if (which >= alpha_entries)
            throw machine_error{"wrent of an entry that there is not", which};
        entries[static_cast<std::size_t>(which)] = address & ~std::uint64_t{3};
    }

    /// Six quadwords below what the stack has: status, pc, gp and the arguments' registers.
    void push_frame(std::uint64_t at)
    {
        const std::uint64_t frame[] = {priority, at, general[r::gp], general[r::a0], general[r::a1], general[r::a2]};
        const std::uint64_t sp = general[r::sp] - sizeof frame;
        if (sp % sizeof frame[0] != 0)
            throw machine_error{"a kernel stack that is not aligned", sp};
        try {
            for (std::size_t i = 0; i < std::size(frame); ++i)
                store_virtual(sp + sizeof frame[0] * i, frame[i]);
        } catch (const alpha_exception& e) {
            throw machine_error{"kernel stack not valid", e.a0};
        }
        general.set(r::sp, sp);
    }

    static std::string name_of(alpha_entry e)
    {
        constexpr const char* names[] = {
            "interrupt", "arithmetic", "memory", "instruction", "unaligned", "system call"};
        return names[static_cast<std::size_t>(e)];
    }

    std::uint64_t rubbish_ = 0x0bad;
};

} // namespace lobos::sim
