// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The other processors of the machine: stopped before the point of no return, so that none runs in, or waits on,
/// memory that is about to be overwritten. For a glue's before_point_of_no_return():
///
///     lobos::machine::other_processors{lapic}.stop();
///
/// `lapic` is where the kernel has the local APIC's page mapped, uncached; null if it has not, which will do for a
/// machine in x2APIC mode. Where the local APIC is off, or there is none, no other processor was ever started.
/// Preconditions: on the boot processor, which facts() reports; nothing that the others hold is wanted any more.

#include <lobos/machine/cpu.hpp>
#include <lobos/x86/local_apic.hpp>

namespace lobos::machine {

class other_processors {
public:
    explicit other_processors(volatile std::uint32_t* lapic) noexcept : page_{lapic}
    {
        constexpr std::uint32_t has_apic = 1u << 9;
        if ((cpuid(1).edx & has_apic) != 0)
            mode_ = x86::apic_mode_of(read_msr(x86::apic_base::model_register));
    }

    /// All of them come to rest; they wait for a start-up IPI. False when there was no way to tell them.
    bool stop() noexcept { return mode_ == x86::apic_mode::disabled || (reachable() && x86::stop_others(*this)); }

    /// All of them begin in real mode at `page`, which is below 1 MiB.
    bool start(phys_addr page) noexcept { return reachable() && x86::start_others(*this, page); }

    x86::apic_mode mode() const noexcept { return mode_; }

    void send(std::uint32_t command) noexcept
    {
        if (mode_ == x86::apic_mode::x2apic) {
            asm volatile("mfence" : : : "memory"); // a write of this register waits for no store [intel/vol3 §10.12.3]
            write_msr(x86::apic_register::first_x2apic + x86::apic_register::command / 16, command);
        } else {
            page_[x86::apic_register::command / 4] = command;
        }
    }
    bool pending() noexcept
    {
        return mode_ == x86::apic_mode::xapic &&
            (page_[x86::apic_register::command / 4] & x86::apic_command::pending) != 0;
    }
    /// By bus cycles to a port that does nothing, which take a microsecond each, or a little more.
    void wait_microseconds(std::uint32_t n) noexcept
    {
        for (; n != 0; --n)
            (void)in_byte(0x80);
    }

private:
    bool reachable() const noexcept
    {
        return mode_ == x86::apic_mode::x2apic || (mode_ == x86::apic_mode::xapic && page_ != nullptr);
    }

    volatile std::uint32_t* page_;
    x86::apic_mode mode_ = x86::apic_mode::disabled;
};

static_assert(x86::apic_sender<other_processors>);

} // namespace lobos::machine
