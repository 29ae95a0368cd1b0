// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The instructions of an Alpha that C++ cannot say, one function each, but for the PALcode's calls that are plain
/// ones.

#include <lobos/alpha/hwpcb.hpp>
#include <lobos/core/address.hpp>

namespace kernel {

/// mb: what was read and written before is read and written before what follows, for others to see.
inline void memory_barrier()
{
    asm volatile("mb" : : : "memory");
}

/// rpcc: the lower half counts cycles, and wraps within a minute.
inline std::uint32_t read_ticks()
{
    std::uint64_t value = 0;
    asm volatile("rpcc %0" : "=r"(value));
    return static_cast<std::uint32_t>(value & 0xffff'ffff);
}

/// Lets the assembler take one instruction that loads or stores a byte. Told of a processor without them, as the 21064
/// that this kernel is compiled for, it makes loads and stores of quadwords from it, which is no way to treat a device.
#define REFERENCE_WITH_BYTES(instruction) ".arch ev56\n\t" instruction "\n\t.arch all"

/// A byte of I/O space, which must be asked for as a byte. Every processor from the 21164A on can (BWX), so every one
/// in a machine that wants it; compilers may think of the older ones.
inline std::uint8_t load_byte(std::uint64_t at)
{
    std::uint64_t value = 0;
    asm volatile(REFERENCE_WITH_BYTES("ldbu %0, 0(%1)") : "=r"(value) : "r"(at) : "memory");
    return static_cast<std::uint8_t>(value & 0xff);
}
inline void store_byte(std::uint64_t at, std::uint8_t value)
{
    asm volatile(REFERENCE_WITH_BYTES("stb %1, 0(%0)") : : "r"(at), "r"(std::uint64_t{value}) : "memory");
}

#undef REFERENCE_WITH_BYTES

/// swpctx, with the stack that is in use: goes on under the tables that `context` names, which lies at `physical` and
/// becomes the current one. The running code and stack have to be at the same place in both. Forgets no translation.
inline void swap_context(lobos::alpha::hwpcb& context, lobos::phys_addr physical)
{
    register std::uint64_t a0 asm("$16") = physical.raw();
    asm volatile("stq $30, %1\n\tcall_pal 0x30"
        : "+r"(a0), "=m"(context.ksp)
        :
        : "$0", "$1", "$22", "$23", "$24", "$25", "memory");
}

} // namespace kernel
