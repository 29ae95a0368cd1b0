// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The instructions of an Alpha that C++ cannot say and that are not the PALcode's, one function each.

#include <cstdint>

namespace lobos::machine {

/// mb: what was read and written before is read and written before what follows, for others to see.
inline void memory_barrier()
{
    asm volatile("mb" : : : "memory");
}

/// rpcc: the lower half counts cycles, and wraps within a minute.
inline std::uint32_t read_cycles()
{
    std::uint64_t value = 0;
    asm volatile("rpcc %0" : "=r"(value));
    return static_cast<std::uint32_t>(value & 0xffff'ffff);
}

/// Lets the assembler take one instruction that loads or stores a byte. Told of a processor without them it makes loads
/// and stores of quadwords from it, which is no way to treat a device; and what it is told counts for the rest of the
/// file, with no way to ask what counted before. So it is told only where the compiler has none (BWX), and then told
/// again what the compiler had said: `.arch ev5`, or nothing.
#if defined(__alpha_bwx__)
#define LOBOS_WITH_BYTES(instruction) instruction
#elif defined(__alpha_ev5__)
#define LOBOS_WITH_BYTES(instruction) ".arch ev56\n\t" instruction "\n\t.arch ev5"
#else
#define LOBOS_WITH_BYTES(instruction) ".arch ev56\n\t" instruction "\n\t.arch all"
#endif

/// A byte of I/O space, which must be asked for as a byte. Every processor from the 21164A on can (BWX), so every one
/// in a machine that wants it; compilers may think of the older ones.
inline std::uint8_t load_byte(std::uint64_t at)
{
    std::uint64_t value = 0;
    asm volatile(LOBOS_WITH_BYTES("ldbu %0, 0(%1)") : "=r"(value) : "r"(at) : "memory");
    return static_cast<std::uint8_t>(value & 0xff);
}
inline void store_byte(std::uint64_t at, std::uint8_t value)
{
    asm volatile(LOBOS_WITH_BYTES("stb %1, 0(%0)") : : "r"(at), "r"(std::uint64_t{value}) : "memory");
}

#undef LOBOS_WITH_BYTES

} // namespace lobos::machine
