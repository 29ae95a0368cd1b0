// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The exception guard: what is left in safe memory to handle an exception between the point of no return and the new
/// kernel's first instruction. It notes in the surviving log what happened where, and has the machine start anew: by
/// a device's reset, if one is known; or it asks the console for it, if it is known where, and halts.
///
/// The PALcode enters at one of six places, in `wrent`'s order, with the old PS and PC at the stack's end and what it
/// knows in a0 to a2 [alpha/arm II-B, exceptions]. What the guard has to know stands at the beginning of its page.

#include <lobos/machine/departure.hpp>

// Offsets 32, 36, 40 and 48 are a breadcrumb's exception, error, at and touched.
LOBOS_OVERLAY_PIECE(lobos_alpha_guard,
    ".irp number, 1, 2, 3, 4, 5, 6\n\t" // an entry is two instructions
    "lda $1, \\number($31)\n\t"
    "br $31, 1f\n\t"
    ".endr\n"
    "1:\n\t"
    "cmpeq $1, 4, $2\n\t" // of an instruction fault a0 alone says something
    "cmovne $2, $16, $17\n\t"
    "br $27, 2f\n"
    "2:\n\t"
    "srl $27, 13, $27\n\t"
    "sll $27, 13, $27\n\t"
    "ldq $9, 8($27)\n\t" // code_page_head::frame
    "ldq $2, lobos_trail($9)\n\t"
    "ldq $3, 8($30)\n\t" // the old PC
    "stl $17, 36($2)\n\t"
    "stq $3, 40($2)\n\t"
    "stq $16, 48($2)\n\t"
    "mb\n\t"
    "stl $1, 32($2)\n\t" // last: now it counts
    "ldq $2, lobos_halt_flags($9)\n\t"
    "beq $2, 3f\n\t"
    "ldq $3, 0($2)\n\t"
    "ldq $4, lobos_halt_mask($9)\n\t"
    "ldq $5, lobos_halt_action($9)\n\t"
    "and $3, $4, $3\n\t"
    "bis $3, $5, $3\n\t"
    "stq $3, 0($2)\n"
    "3:\n\t"
    "ldq $2, lobos_reset_at($9)\n\t"
    "ldq $3, lobos_reset_value($9)\n\t"
    "mb\n\t"
    "beq $2, 4f\n\t"
    ".long 0x38620000\n\t" // stb $3, 0($2), of which assemblers for an EV4 make loads and stores of quadwords
    "mb\n\t"
    "lda $3, 16384($31)\n" // some time for it
    "5:\n\t"
    "lda $3, -1($3)\n\t"
    "mb\n\t"
    "bne $3, 5b\n"
    "4:\n\t"
    "call_pal 0x00\n\t" // halt
    "br $31, 4b");
