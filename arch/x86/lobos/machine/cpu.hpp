// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The instructions of a 32-bit x86 that C++ cannot say, one function each.

#include <cstdint>

#include <lobos/x86/departure.hpp>

namespace lobos::machine {

inline std::uint32_t read_cr0()
{
    std::uint32_t value = 0;
    asm volatile("movl %%cr0, %0" : "=r"(value));
    return value;
}
inline std::uint32_t read_cr3()
{
    std::uint32_t value = 0;
    asm volatile("movl %%cr3, %0" : "=r"(value));
    return value;
}
inline void write_cr3(std::uint32_t value)
{
    asm volatile("movl %0, %%cr3" : : "r"(value) : "memory");
}
inline std::uint32_t read_cr4()
{
    std::uint32_t value = 0;
    asm volatile("movl %%cr4, %0" : "=r"(value));
    return value;
}
inline x86::pseudo_descriptor read_gdtr()
{
    x86::pseudo_descriptor value{};
    asm volatile("sgdt %0" : "=m"(value));
    return value;
}
inline std::uint16_t read_cs()
{
    std::uint16_t value = 0;
    asm volatile("movw %%cs, %0" : "=r"(value));
    return value;
}
inline std::uint16_t read_ds()
{
    std::uint16_t value = 0;
    asm volatile("movw %%ds, %0" : "=r"(value));
    return value;
}
inline void interrupts_off()
{
    asm volatile("cli" : : : "memory");
}
inline std::uint64_t read_clock()
{
    std::uint32_t low = 0;
    std::uint32_t high = 0;
    asm volatile("rdtsc" : "=a"(low), "=d"(high));
    return (std::uint64_t{high} << 32) | low;
}
inline void out_byte(std::uint16_t port, std::uint8_t value)
{
    asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}
inline std::uint8_t in_byte(std::uint16_t port)
{
    std::uint8_t value = 0;
    asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

} // namespace lobos::machine
