// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The local APIC as far as it stops and starts the other processors of a machine [intel/vol3 §10.4, §10.6, §10.12]:
/// its registers, the commands, and how one is given. Registers are reached through a type that the machine supplies: a
/// page of memory (xAPIC), or model-specific registers (x2APIC).
///
/// INIT is what parks a processor for a kernel exec: from then on it waits for a start-up IPI without executing
/// instructions or looking at memory, whatever it did before, and the next kernel starts it as it does after power-on.

#include <concepts>
#include <cstdint>

#include <lobos/core/address.hpp>

namespace lobos::x86 {

/// IA32_APIC_BASE [intel/vol3 §10.4.4].
namespace apic_base {
inline constexpr std::uint32_t model_register = 0x1b;
inline constexpr std::uint64_t boot_processor = 1u << 8;
inline constexpr std::uint64_t x2apic = 1u << 10;
inline constexpr std::uint64_t enabled = 1u << 11;
inline constexpr std::uint64_t address = 0x000f'ffff'ffff'f000;
} // namespace apic_base

/// Registers of the page, by their offset in bytes [intel/vol3 table 10-1]. In x2APIC mode a register is the
/// model-specific one 0x800 + offset / 16, and the command's two halves are one [intel/vol3 table 10-6].
namespace apic_register {
inline constexpr std::uint32_t identity = 0x20;
inline constexpr std::uint32_t spurious = 0xf0;
inline constexpr std::uint32_t command = 0x300;
inline constexpr std::uint32_t command_destination = 0x310;
inline constexpr std::uint32_t first_x2apic = 0x800;
} // namespace apic_register

/// Words for the command register's low half [intel/vol3 fig. 10-12].
namespace apic_command {
inline constexpr std::uint32_t init = 5u << 8;
inline constexpr std::uint32_t start_up = 6u << 8;
inline constexpr std::uint32_t pending = 1u << 12; ///< read: not yet delivered; x2APIC has no such bit
inline constexpr std::uint32_t assert_level = 1u << 14;
inline constexpr std::uint32_t all_others = 3u << 18; ///< every processor but the one that gives the command

inline constexpr std::uint32_t init_others = all_others | assert_level | init;

/// Starts them in real mode, at the beginning of a page. Precondition: `page` is one, below 1 MiB.
constexpr std::uint32_t start_others(phys_addr page)
{
    return all_others | assert_level | start_up | static_cast<std::uint32_t>(page.raw() >> 12);
}
} // namespace apic_command

/// How the mode of the local APIC is told.
enum class apic_mode : std::uint8_t { disabled, xapic, x2apic };
constexpr apic_mode apic_mode_of(std::uint64_t base)
{
    if ((base & apic_base::enabled) == 0)
        return apic_mode::disabled;
    return (base & apic_base::x2apic) != 0 ? apic_mode::x2apic : apic_mode::xapic;
}

/// What gives commands. `pending` is whether the last one is still on its way.
template <class A>
concept apic_sender = requires(A& apic, std::uint32_t command) {
    { apic.send(command) } noexcept;
    { apic.pending() } noexcept -> std::same_as<bool>;
    { apic.wait_microseconds(command) } noexcept;
};

inline constexpr std::uint32_t apic_patience = 10'000; ///< microseconds until a command counts as not delivered

/// Gives a command when the last one is gone, and waits until this one is. False when either takes too long.
template <apic_sender A> constexpr bool deliver(A& apic, std::uint32_t command) noexcept
{
    const auto gone = [&] {
        for (std::uint32_t waited = 0; apic.pending(); ++waited) {
            if (waited == apic_patience)
                return false;
            apic.wait_microseconds(1);
        }
        return true;
    };
    if (!gone())
        return false;
    apic.send(command);
    return gone();
}

/// INIT to all others, and the 10 ms that one may take to come to rest [intel/vol3 §8.4.4.1]. False when it could not
/// be delivered.
template <apic_sender A> constexpr bool stop_others(A& apic) noexcept
{
    const bool delivered = deliver(apic, apic_command::init_others);
    apic.wait_microseconds(10'000);
    return delivered;
}

/// The universal start-up algorithm [intel/vol3 §8.4.4.1]: INIT, 10 ms, start-up, 200 us, and once more for processors
/// that missed the first. Precondition: `page` is one below 1 MiB and holds their first instructions.
template <apic_sender A> constexpr bool start_others(A& apic, phys_addr page) noexcept
{
    bool delivered = stop_others(apic);
    for (int time = 0; time < 2; ++time) {
        delivered = deliver(apic, apic_command::start_others(page)) && delivered;
        apic.wait_microseconds(200);
    }
    return delivered;
}

// Sanity checks
static_assert(apic_command::init_others == 0x000c'4500);
static_assert(apic_command::start_others(phys_addr::at(0x8000)) == 0x000c'4608);
static_assert(apic_register::first_x2apic + apic_register::command / 16 == 0x830);
static_assert(apic_mode_of(0xfee0'0900) == apic_mode::xapic && apic_mode_of(0xfee0'0d00) == apic_mode::x2apic);
static_assert(apic_mode_of(0xfee0'0100) == apic_mode::disabled);

} // namespace lobos::x86
