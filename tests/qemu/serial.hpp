// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What small kernels of the tests speak with: a PC's first serial line.

#include <cstdint>

namespace {

inline void out(std::uint16_t port, std::uint8_t value)
{
    asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

inline std::uint8_t in(std::uint16_t port)
{
    std::uint8_t value;
    asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

inline void say(const char* text)
{
    constexpr std::uint16_t serial = 0x3f8;
    for (; *text != 0; ++text) {
        while ((in(serial + 5) & 0x20) == 0) {
        }
        out(serial, static_cast<std::uint8_t>(*text));
    }
}

/// `Number` has no more bits than a register: without a library nobody divides more.
template <unsigned Base, class Number> void say_number(Number number)
{
    char digits[24];
    char* at = digits + sizeof digits;
    *--at = 0;
    do
        *--at = "0123456789abcdef"[number % Base];
    while ((number /= Base) != 0);
    say(at);
}

/// QEMU's isa-debug-exit ends the machine.
inline void power_off()
{
    out(0xf4, 1);
}

} // namespace
