// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A Clipper, or another machine with the Tsunami chipset, as far as this kernel has to know it: its pages, the ports
/// of its ISA bus, and how it is ended. The first PCI bus' I/O space lies in the half of kseg that is no memory
/// [qemu/palcode core-typhoon.h].

#include "cpu.hpp"

#include <lobos/alpha/paging_8k.hpp>
#include <lobos/machine/palcode.hpp>

namespace kernel {

inline constexpr lobos::byte_count page_size = lobos::alpha::paging_8k::granule;

inline constexpr std::uint64_t io_space = 0xffff'fd01'fc00'0000;

inline std::uint8_t in_byte(std::uint16_t port)
{
    return load_byte(io_space + port);
}

inline void out_byte(std::uint16_t port, std::uint8_t value)
{
    store_byte(io_space + port, value);
    memory_barrier();
}

/// Ends the machine: QEMU's PALcode turns a halt into a power-off.
[[noreturn]] inline void stop()
{
    for (;;)
        lobos::machine::call_pal<lobos::alpha::pal::halt>();
}

/// Starts the machine anew, by the keyboard controller.
[[noreturn]] inline void reset()
{
    out_byte(0x64, 0xfe);
    for (;;)
        (void)in_byte(0x64);
}

} // namespace kernel
