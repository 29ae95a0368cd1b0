// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Exceptions of this kernel, which expects none: what happened is said, and the machine reset. The PALcode enters at
/// one of six places with the old PS, PC, gp and arguments on the stack, and what it knows in a0 to a2
/// [alpha/arm II-B, exceptions and interrupts].

#include "../console.hpp"

#include <lobos/alpha/exceptions.hpp>
#include <lobos/machine/palcode.hpp>

extern "C" const std::byte exception_entries[]; // of 16 bytes each

asm(R"(
    .pushsection .text
    .set noat
    .global exception_entries
    .balign 16
exception_entries:
    which = 0
    .rept 6
    .balign 16
    lda $19, which($31)
    br $31, 1f
    which = which + 1
    .endr
    .balign 16
1:  br $27, 2f
2:  ldgp $29, 0($27)
    mov $30, $20                        # where the PALcode has saved things
    lda $1, 15($31)
    bic $30, $1, $30
    jsr $26, kernel_exception
    call_pal 0x00
    .popsection
)");

namespace kernel {

/// What the PALcode leaves on the stack.
struct exception_frame {
    std::uint64_t status, at, global_pointer, a0, a1, a2;
};

inline void catch_exceptions()
{
    using lobos::alpha::pal;
    using lobos::alpha::system_entry;
    std::uint64_t global_pointer = 0;
    asm("mov $29, %0" : "=r"(global_pointer));
    lobos::machine::call_pal<pal::wrkgp>(global_pointer);
    auto at = reinterpret_cast<std::uintptr_t>(exception_entries);
    for (const auto which : {system_entry::interrupt, system_entry::arithmetic, system_entry::memory,
             system_entry::instruction, system_entry::unaligned, system_entry::system_call}) {
        lobos::machine::call_pal<pal::wrent>(at, static_cast<std::uint64_t>(which));
        at += 16;
    }
}

} // namespace kernel

/// Of a memory management fault, `first` is the address, `second` says why and `third` is 1 for a write.
extern "C" [[noreturn]] inline __attribute__((used)) void kernel_exception(std::uint64_t first, std::uint64_t second,
    std::uint64_t third, std::uint64_t entry, const kernel::exception_frame* frame)
{
    using lobos::text_line;
    kernel::out.show(text_line{"stopped: "}
            .add(lobos::alpha::exceptions::name(static_cast<std::uint32_t>(entry)))
            .add(" at ")
            .add_hex(frame->at, 16)
            .add(", ")
            .add_hex(first, 16)
            .add(" ")
            .add_hex(second)
            .add(" ")
            .add_hex(third)
            .add(", resetting"));
    kernel::reset();
}
