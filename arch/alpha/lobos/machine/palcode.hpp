// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The calls of the PALcode for Unix that a kernel being left makes, one function each, by the manual's names
/// [alpha/arm II-B]. An argument is in a0 and a1, what comes back in v0; t0, t8 to t11 and the arguments are anybody's
/// afterwards. A call is an instruction to everyone else: it needs no stack and changes no other register.

#include <cstdint>

#include <lobos/alpha/hwpcb.hpp>
#include <lobos/core/address.hpp>

namespace lobos::machine {

/// What `wrent` names, in its order.
enum class system_entry : std::uint64_t { interrupt, arithmetic, memory, instruction, unaligned, system_call };

namespace pal {

/// Call `Function` without arguments.
template <unsigned Function> std::uint64_t call()
{
    register std::uint64_t v0 asm("$0");
    asm volatile("call_pal %1" : "=r"(v0) : "i"(Function) : "$1", "$16", "$22", "$23", "$24", "$25", "memory");
    return v0;
}

/// Call `Function` with one argument, or two.
template <unsigned Function> std::uint64_t call(std::uint64_t first, std::uint64_t second = 0)
{
    register std::uint64_t v0 asm("$0");
    register std::uint64_t a0 asm("$16") = first;
    register std::uint64_t a1 asm("$17") = second;
    asm volatile("call_pal %3"
        : "=r"(v0), "+r"(a0), "+r"(a1)
        : "i"(Function)
        : "$1", "$22", "$23", "$24", "$25", "memory");
    return v0;
}

} // namespace pal

/// halt: the console takes over. What it does then, its processor's slot in the HWRPB may say.
[[noreturn]] inline void halt()
{
    for (;;)
        pal::call<0x00>();
}

/// draina: waits until what was begun has either happened or failed.
inline void drain_aborts()
{
    pal::call<0x02>();
}

/// swpipl: the priority of interrupts, of which 7 lets none through. Returns the one until now.
inline std::uint64_t swap_ipl(std::uint64_t level)
{
    return pal::call<0x35>(level);
}

/// rdps: the processor status; its bits 0 to 2 are the priority, bit 3 is set in user mode.
inline std::uint64_t read_status()
{
    return pal::call<0x36>();
}

/// whami: which processor this is.
inline std::uint64_t who_am_i()
{
    return pal::call<0x3c>();
}

/// tbia: forgets all translations, also those that count for every address space.
inline void forget_translations()
{
    pal::call<0x33>(static_cast<std::uint64_t>(-2));
}

/// imb: instructions that were written can be executed.
inline void instruction_barrier()
{
    pal::call<0x86>();
}

/// wrent: where the kernel is entered for one of the reasons.
inline void write_entry(std::uintptr_t at, system_entry which)
{
    pal::call<0x34>(at, static_cast<std::uint64_t>(which));
}

/// wrkgp: the global pointer that the kernel is entered with.
inline void write_global_pointer(std::uint64_t value)
{
    pal::call<0x37>(value);
}

/// wrvptptr: where the PALcode looks for the virtual page table.
inline void write_virtual_page_table(virt_addr base)
{
    pal::call<0x2d>(base.raw());
}

/// swpctx, with the stack that is in use: goes on under the tables that `context` names, which lies at `physical` and
/// becomes the current one. Returns the physical address of the one until now, as whoever made it wrote it: that may be
/// an address in kseg. The running code and stack have to be at the same place in both. Forgets no translation.
inline std::uint64_t swap_context(alpha::hwpcb& context, phys_addr physical)
{
    register std::uint64_t v0 asm("$0");
    register std::uint64_t a0 asm("$16") = physical.raw();
    asm volatile("stq $30, %2\n\tcall_pal 0x30"
        : "=r"(v0), "+r"(a0), "=m"(context.ksp)
        :
        : "$1", "$22", "$23", "$24", "$25", "memory");
    return v0;
}

} // namespace lobos::machine
