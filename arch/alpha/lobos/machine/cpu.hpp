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

/// A byte of I/O space, which must be asked for as a byte. Every processor from the 21164A on can (BWX), so every one
/// in a machine that wants it; compilers may think of the older ones.
inline std::uint8_t load_byte(std::uint64_t at)
{
    std::uint64_t value = 0;
    asm volatile(".arch ev56\n\tldbu %0, 0(%1)" : "=r"(value) : "r"(at) : "memory");
    return static_cast<std::uint8_t>(value & 0xff);
}
inline void store_byte(std::uint64_t at, std::uint8_t value)
{
    asm volatile(".arch ev56\n\tstb %1, 0(%0)" : : "r"(at), "r"(std::uint64_t{value}) : "memory");
}

} // namespace lobos::machine
