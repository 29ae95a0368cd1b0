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
        alpha::machine_facts now = told_;
        now.status = read_status();
        if (const auto table = alpha::virtual_page_table::at(told_.vptb)) {
            using root_entry = alpha::paging_8k::entry<2>;
            const auto* self = reinterpret_cast<const volatile std::uint64_t*>(table->self().raw());
            now.table_root = root_entry{*self}.target();
        }
        return now;
    }

    alpha::overlay_code code() const { return overlay_pieces(); }

    void interrupts_off() noexcept { swap_ipl(alpha::status_bit::priority); }

    [[noreturn]] void depart(virt_addr code, virt_addr frame) noexcept
    {
        instruction_barrier(); // the code page was written a moment ago
        // By the register that calls go by, and with nothing that a call would need besides.
        asm volatile("mov %1, $16\n\tmov %0, $27\n\tjmp $31, ($27)"
            :
            : "r"(code.raw()), "r"(frame.raw())
            : "$16", "$27");
        __builtin_unreachable();
    }

private:
    alpha::machine_facts told_;
};

static_assert(alpha::processor<processor>);

} // namespace lobos::machine
