// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The processor that the kernel runs on, as the port wants it.

#include <lobos/alpha/port.hpp>
#include <lobos/machine/overlay.hpp>
#include <lobos/machine/palcode.hpp>

namespace lobos::machine {

class processor {
public:
    /// `told` is what the console says, as alpha::facts_of has it. Precondition: the running tables can be seen at its
    /// VPTB, which tells where their root is; nothing else does.
    explicit processor(const alpha::machine_facts& told) : told_{told} {}

    alpha::machine_facts facts() const
    {
        const auto load = [](virt_addr at) { return *reinterpret_cast<const volatile std::uint64_t*>(at.raw()); };
        return alpha::facts_now(told_, call_pal<alpha::pal::rdps>(), load);
    }
    alpha::overlay_code code() const { return overlay_pieces(); }
    void interrupts_off() noexcept { call_pal<alpha::pal::swpipl>(alpha::status_bit::priority); }

    [[noreturn]] void depart(virt_addr code, virt_addr frame) noexcept
    {
        call_pal<alpha::pal::imb>(); // the code page was written a moment ago
        reinterpret_cast<void (*)(std::uint64_t)>(code.raw())(frame.raw());
        __builtin_unreachable();
    }

private:
    alpha::machine_facts told_;
};

static_assert(alpha::processor<processor>);

} // namespace lobos::machine
