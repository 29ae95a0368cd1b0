// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// An IBM PC, as far as this kernel has to know it: its pages, its ports, and how it is ended.

#include <lobos/machine/cpu.hpp>
#include <lobos/x86/page.hpp>

namespace kernel {

using lobos::machine::in_byte;
using lobos::machine::out_byte;

inline std::uint64_t read_ticks()
{
    return lobos::machine::read_clock();
}

inline constexpr lobos::byte_count page_size = lobos::x86::page_size;

/// Ends the machine: status 3 of a QEMU with isa-debug-exit, or a halt.
[[noreturn]] inline void stop()
{
    out_byte(0xf4, 1);
    for (;;)
        asm volatile("cli; hlt");
}

} // namespace kernel
