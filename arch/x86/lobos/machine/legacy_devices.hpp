// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The devices of the IBM PC that a BIOS relies on and a kernel makes its own: for an image that is entered in real
/// mode and calls the BIOS. To be used with interrupts off, by a kernel that has itself no more use for them; a local
/// or I/O APIC that it has taken interrupts by is its own to put back to virtual wire mode [intel/multiprocessor §3.6].

#include <lobos/machine/cpu.hpp>

namespace lobos::machine {

/// Which requests the two interrupt controllers hold back, a bit for each.
struct interrupt_masks {
    std::uint8_t first = 0xb8;  ///< a PC's as its BIOS leaves them: timer, keyboard, the second controller, diskette
    std::uint8_t second = 0x8f; ///< pointing device, coprocessor, first disk
    friend constexpr bool operator==(interrupt_masks, interrupt_masks) = default;
};

/// Where the controllers' registers are, and the vectors that the BIOS has them send [intel/8259a].
namespace interrupt_controller {
inline constexpr std::uint16_t first_command = 0x20, first_data = 0x21;
inline constexpr std::uint16_t second_command = 0xa0, second_data = 0xa1;
inline constexpr std::uint8_t first_vector = 0x08;  // IRQ 0 to 7
inline constexpr std::uint8_t second_vector = 0x70; // IRQ 8 to 15
} // namespace interrupt_controller

/// The machine's I/O ports; a test has others.
struct io_ports {
    static void out(std::uint16_t port, std::uint8_t value) { out_byte(port, value); }
    static std::uint8_t in(std::uint16_t port) { return in_byte(port); }
};

/// For a kernel to take before it touches them, which knows best what its BIOS wants.
template <class Ports = io_ports> interrupt_masks read_interrupt_masks(Ports ports = {})
{
    return {ports.in(interrupt_controller::first_data), ports.in(interrupt_controller::second_data)};
}

/// Both controllers as a BIOS initialises them: its vectors, nothing in service, a normal end of interrupt; and
/// `masks`.
template <class Ports = io_ports> void restore_interrupt_controllers(interrupt_masks masks = {}, Ports ports = {})
{
    using namespace interrupt_controller;
    constexpr std::uint8_t nothing = 0xff;
    const auto put = [&](std::uint16_t port, std::uint8_t value) {
        ports.out(port, value);
        ports.out(0x80, 0); // old controllers want a moment, as long as a bus cycle
    };
    put(first_data, nothing);
    put(second_data, nothing);
    put(first_command, 0x11); // ICW1: edges, cascaded, ICW4 follows
    put(second_command, 0x11);
    put(first_data, first_vector); // ICW2
    put(second_data, second_vector);
    put(first_data, 0x04); // ICW3: the second is at IRQ 2
    put(second_data, 0x02);
    put(first_data, 0x01); // ICW4: 8086
    put(second_data, 0x01);
    put(first_data, masks.first);
    put(second_data, masks.second);
}

/// The interval timer's channel 0 at 18.2 Hz, by which the BIOS counts its time of day [intel/8254].
template <class Ports = io_ports> void restore_interval_timer(Ports ports = {})
{
    ports.out(0x43, 0x36); // both bytes, square wave, binary
    ports.out(0x40, 0);    // 65536
    ports.out(0x40, 0);
}

/// All of it.
template <class Ports = io_ports> void restore_bios_devices(interrupt_masks masks = {}, Ports ports = {})
{
    restore_interrupt_controllers(masks, ports);
    restore_interval_timer(ports);
}

} // namespace lobos::machine
