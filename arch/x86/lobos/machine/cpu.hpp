// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The instructions of an x86 that C++ cannot say, one function each, for 32-bit and 64-bit kernels alike.

#include <cstdint>

#include <lobos/x86/departure.hpp>

namespace lobos::machine {

inline std::uintptr_t read_cr0()
{
    std::uintptr_t value = 0;
    asm volatile("mov %%cr0, %0" : "=r"(value));
    return value;
}
inline void write_cr0(std::uintptr_t value)
{
    asm volatile("mov %0, %%cr0" : : "r"(value) : "memory");
}
inline std::uintptr_t read_cr2()
{
    std::uintptr_t value = 0;
    asm volatile("mov %%cr2, %0" : "=r"(value));
    return value;
}
inline std::uintptr_t read_cr3()
{
    std::uintptr_t value = 0;
    asm volatile("mov %%cr3, %0" : "=r"(value));
    return value;
}
inline void write_cr3(std::uintptr_t value)
{
    asm volatile("mov %0, %%cr3" : : "r"(value) : "memory");
}
inline std::uintptr_t read_cr4()
{
    std::uintptr_t value = 0;
    asm volatile("mov %%cr4, %0" : "=r"(value));
    return value;
}
inline void write_cr4(std::uintptr_t value)
{
    asm volatile("mov %0, %%cr4" : : "r"(value) : "memory");
}

/// A model-specific register, which must exist.
inline std::uint64_t read_msr(std::uint32_t number)
{
    std::uint32_t low = 0;
    std::uint32_t high = 0;
    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
    return (std::uint64_t{high} << 32) | low;
}
inline void write_msr(std::uint32_t number, std::uint64_t value)
{
    asm volatile("wrmsr"
        :
        : "c"(number), "a"(static_cast<std::uint32_t>(value)), "d"(static_cast<std::uint32_t>(value >> 32))
        : "memory");
}

struct cpuid_answer {
    std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};
inline cpuid_answer cpuid(std::uint32_t leaf, std::uint32_t subleaf = 0)
{
    cpuid_answer a{.eax = leaf, .ecx = subleaf};
    asm volatile("cpuid" : "+a"(a.eax), "=b"(a.ebx), "+c"(a.ecx), "=d"(a.edx));
    return a;
}

/// Operand of SGDT as the processor stores it [intel/vol3 §2.4.1].
struct [[gnu::packed]] table_register {
    std::uint16_t limit;
    std::uintptr_t base;
};
inline table_register read_gdtr()
{
    table_register value{};
    asm volatile("sgdt %0" : "=m"(value));
    return value;
}
inline std::uint16_t read_cs()
{
    std::uint16_t value = 0;
    asm volatile("movw %%cs, %0" : "=r"(value));
    return value;
}
inline std::uint16_t read_ss()
{
    std::uint16_t value = 0;
    asm volatile("movw %%ss, %0" : "=r"(value));
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
