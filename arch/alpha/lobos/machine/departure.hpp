// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Leaving an Alpha's kernel: the exception guard takes over, then the context of the copy, in kseg; and when the copy
/// is through, the new kernel is entered. Every call of the PALcode leaves s0 to s5 alone [alpha/arm II-B].

#include <lobos/alpha/departure.hpp>
#include <lobos/overlay/pieces.hpp>

// The frame's fields as offsets, by number, because assembly at file scope has no operands; <lobos/alpha/departure.hpp>
// asserts every one of them.
asm("lobos_at = 0\n\t"
    ".irp field, self, context_physical, guard, copy, leave, program_physical, entry, argument, vptb, trail, "
    "halt_flags, halt_action, halt_mask, reset_at, reset_value\n\t"
    "lobos_\\field = lobos_at\n\t"
    "lobos_at = lobos_at + 8\n\t"
    ".endr");

// At the running kernel's address of the page, with the frame's in a0. The page is there in the new tables too, which
// the verifier has seen; the frame need not be, so what is wanted of it afterwards is read by its address in kseg.
LOBOS_OVERLAY_PIECE(lobos_alpha_depart,
    "ldq $9, lobos_self($16)\n\t"
    "ldq $11, lobos_context_physical($16)\n\t"
    "ldq $10, lobos_guard($16)\n\t"
    ".irp number, 0, 1, 2, 3, 4, 5\n\t"
    "mov $10, $16\n\t"
    "lda $17, \\number($31)\n\t"
    "call_pal 0x34\n\t" // wrent
    "lda $10, 8($10)\n\t"
    ".endr\n\t"
    "mov $11, $16\n\t"
    "call_pal 0x30\n\t" // swpctx: tables and stack of the copy
    "lda $16, -2($31)\n\t"
    "call_pal 0x33\n\t" // tbia, with what counts for every address space
    "ldq $16, lobos_vptb($9)\n\t"
    "call_pal 0x2d\n\t" // wrvptptr
    "ldq $16, lobos_program_physical($9)\n\t"
    "ldq $26, lobos_leave($9)\n\t"
    "ldq $27, lobos_copy($9)\n\t"
    "jmp $31, ($27)");

// Behind the copy loop, which keeps s0 as any function does.
LOBOS_OVERLAY_PIECE(lobos_alpha_leave,
    "call_pal 0x86\n\t" // imb: what was copied can be executed
    "ldq $16, lobos_argument($9)\n\t"
    "ldq $27, lobos_entry($9)\n\t"
    "mov $31, $26\n\t"
    "jmp $31, ($27)");
