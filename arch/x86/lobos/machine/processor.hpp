// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The processor that the kernel runs on, as the port wants it.

#include <lobos/machine/cpu.hpp>
#include <lobos/machine/overlay.hpp>
#include <lobos/x86/protected_mode.hpp>

namespace lobos::machine {

class processor {
public:
    x86::machine_facts facts() const
    {
        const auto gdtr = read_gdtr();
        return {
            .table_root = phys_addr::at(read_cr3() & ~0xfffu),
            .descriptors = {virt_addr::at(gdtr.base), gdtr.limit},
            .cr0 = read_cr0(),
            .cr4 = read_cr4(),
            .code_selector = read_cs(),
            .data_selector = read_ds(),
        };
    }

    x86::overlay_code code() const
    {
        const auto size = static_cast<std::size_t>(__stop_lobos_overlay - __start_lobos_overlay);
        return {
            .bytes = {__start_lobos_overlay, size},
            .depart = offset(reinterpret_cast<const void*>(&lobos_x86_depart)),
            .arrive = offset(reinterpret_cast<const void*>(&lobos_x86_arrive)),
            .copy = offset(reinterpret_cast<const void*>(&lobos_x86_copy)),
            .leave_unpaged = offset(reinterpret_cast<const void*>(&lobos_x86_leave_unpaged)),
            .leave_paged = offset(reinterpret_cast<const void*>(&lobos_x86_leave_paged)),
        };
    }

    void interrupts_off() noexcept { machine::interrupts_off(); }

    [[noreturn]] void depart(virt_addr code, virt_addr frame) noexcept
    {
        using function = void (*)(const x86::departure_frame*);
        const auto go = reinterpret_cast<function>(static_cast<std::uintptr_t>(code.raw()));
        go(reinterpret_cast<const x86::departure_frame*>(static_cast<std::uintptr_t>(frame.raw())));
        __builtin_unreachable();
    }

private:
    static std::uint32_t offset(const void* function)
    {
        return static_cast<std::uint32_t>(static_cast<const std::byte*>(function) - __start_lobos_overlay);
    }
};

static_assert(x86::processor<processor>);

} // namespace lobos::machine
