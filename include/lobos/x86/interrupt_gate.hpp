// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Interrupt gates [intel/vol3 §6.11, §6.14.1], for the exception guard. A gate is one word of a table in 32-bit mode
/// and two in 64-bit mode, where the first has the same layout.

#include <array>
#include <cstddef>
#include <cstdint>

namespace lobos::x86 {

/// The vectors that exceptions have; the guard has a gate for each.
inline constexpr std::size_t exception_vectors = 32;
inline constexpr std::uint8_t nmi_vector = 2;

/// An interrupt gate of privilege 0, present: interrupts stay off in the handler.
constexpr std::uint64_t gate_32(std::uint16_t code_selector, std::uint32_t handler)
{
    return (handler & 0xffffu) | (std::uint64_t{code_selector} << 16) | (std::uint64_t{0x8e} << 40) |
        (std::uint64_t{handler & 0xffff'0000u} << 32);
}

/// The same in 64-bit mode; no stack of its own (IST 0).
constexpr std::array<std::uint64_t, 2> gate_64(std::uint16_t code_selector, std::uint64_t handler)
{
    return {gate_32(code_selector, static_cast<std::uint32_t>(handler)), handler >> 32};
}

// Sanity checks
static_assert(gate_32(0x10, 0x0012'3456) == 0x0012'8e00'0010'3456);
static_assert(gate_64(0x10, 0xffff'8000'0012'3456)[1] == 0xffff'8000);

} // namespace lobos::x86
