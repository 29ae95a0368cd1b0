// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Leaving a 32-bit kernel: from its address space to the identity mapping of the safe pages, and down to the hub. At
/// every instruction there is a stack, a descriptor table and a table of gates that the page tables in force map.

#include <lobos/machine/frame_offsets.hpp>

// Called as depart(middle of the frame), both at the running kernel's addresses, interrupts off. Breakpoints,
// protections and features that the copy would trip over go first; global translations go with CR4.PGE, which a load of
// CR3 alone would keep [intel/vol3 §4.10.4.1].
LOBOS_X86_PIECE(depart, ".code32",
    "endbr32\n\t"
    "cld\n\t"
    "movl 4(%esp), %ebx\n\t"
    "movl lobos_stack_alias(%ebx), %esp\n\t"
    "lgdt lobos_gdt(%ebx)\n\t"
    "lidt lobos_idt(%ebx)\n\t"
    "xorl %eax, %eax\n\t"
    "movl %eax, %dr7\n\t"
    "movl lobos_cr4(%ebx), %eax\n\t"
    "movl %eax, %cr4\n\t"
    "movl lobos_table_root(%ebx), %eax\n\t"
    "movl %eax, %cr3\n\t"
    "jmp *lobos_arrive(%ebx)");

// At the identity address of the code. The copy loop, if that is next, finds its argument and where to return to.
LOBOS_X86_PIECE(arrive, ".code32",
    "movl lobos_self(%ebx), %ebx\n\t"
    "movl lobos_stack_top(%ebx), %esp\n\t"
    "movl lobos_data_selector(%ebx), %eax\n\t"
    "movl %eax, %ds\n\t"
    "movl %eax, %es\n\t"
    "movl %eax, %fs\n\t"
    "movl %eax, %gs\n\t"
    "movl %eax, %ss\n\t"
    "pushl lobos_program_at(%ebx)\n\t"
    "pushl lobos_after_copy(%ebx)\n\t"
    "pushl lobos_code_selector(%ebx)\n\t"
    "pushl lobos_after_arrive(%ebx)\n\t"
    "lretl");

// The gates first: their selector is in both descriptor tables.
LOBOS_X86_PIECE(down, ".code32",
    "lidt lobos_hub_idt(%ebx)\n\t"
    "lgdt lobos_hub_gdt(%ebx)\n\t"
    "jmp *lobos_hub(%ebx)");
