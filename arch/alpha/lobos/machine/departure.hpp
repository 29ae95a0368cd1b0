// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Leaving an Alpha's kernel: the exception guard takes over, then the context of the copy, in kseg; and when the copy
/// is through, the new kernel is entered. Every call of the PALcode leaves s0 to s5 alone [alpha/arm II-B].

#include <lobos/alpha/departure.hpp>

// Numbers, because assembly at file scope has no operands; <lobos/alpha/departure.hpp> asserts every one of them.
asm("lobos_self = 0\n\t"
    "lobos_context_physical = 8\n\t"
    "lobos_guard = 16\n\t"
    "lobos_copy = 24\n\t"
    "lobos_leave = 32\n\t"
    "lobos_program_physical = 40\n\t"
    "lobos_entry = 48\n\t"
    "lobos_argument = 56\n\t"
    "lobos_vptb = 64\n\t"
    "lobos_trail = 72\n\t"
    "lobos_halt_flags = 80\n\t"
    "lobos_halt_action = 88\n\t"
    "lobos_halt_mask = 96\n\t"
    "lobos_reset_at = 104\n\t"
    "lobos_reset_value = 112");

/// A piece of assembly, once in a program however many units include it.
#define LOBOS_ALPHA_PIECE(name, body)                                                                                  \
    asm(".pushsection lobos_overlay,\"axG\",@progbits,lobos_alpha_" name ",comdat\n\t.globl lobos_alpha_" name         \
        "\n\t.globl lobos_alpha_" name "_end\n\t.hidden lobos_alpha_" name "\n\t.hidden lobos_alpha_" name             \
        "_end\nlobos_alpha_" name ":\n\t" body "\nlobos_alpha_" name "_end:\n\t.popsection")

/// wrent: the guard's entry at s1, and the next one.
#define LOBOS_ALPHA_ENTRY(number)                                                                                      \
    "mov $10, $16\n\t"                                                                                                 \
    "lda $17, " number "($31)\n\t"                                                                                     \
    "call_pal 0x34\n\t"                                                                                                \
    "lda $10, 8($10)\n\t"

// At the running kernel's address of the page, with the frame's in a0. The page is there in the new tables too, which
// the verifier has seen; the frame need not be, so what is wanted of it afterwards is read by its address in kseg.
LOBOS_ALPHA_PIECE("depart",
    "ldq $9, lobos_self($16)\n\t"
    "ldq $11, lobos_context_physical($16)\n\t"
    "ldq $10, lobos_guard($16)\n\t" // clang-format off
    LOBOS_ALPHA_ENTRY("0") LOBOS_ALPHA_ENTRY("1") LOBOS_ALPHA_ENTRY("2")
    LOBOS_ALPHA_ENTRY("3") LOBOS_ALPHA_ENTRY("4") LOBOS_ALPHA_ENTRY("5") // clang-format on
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
LOBOS_ALPHA_PIECE("leave",
    "call_pal 0x86\n\t" // imb: what was copied can be executed
    "ldq $16, lobos_argument($9)\n\t"
    "ldq $27, lobos_entry($9)\n\t"
    "mov $31, $26\n\t"
    "jmp $31, ($27)");

#undef LOBOS_ALPHA_ENTRY
