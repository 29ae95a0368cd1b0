// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Leaving a 64-bit kernel: from its address space to the identity mapping of the safe pages, down to the hub, or over
/// to the descriptors of a 64-bit image. At every instruction there is a stack, a descriptor table and a table of gates
/// that the page tables in force map.

#include <lobos/machine/copy_loop_32.hpp>
#include <lobos/machine/frame_offsets.hpp>

// Called as depart(middle of the frame), both at the running kernel's addresses, interrupts off. Shadow stacks and
// branch tracking end with CR4.CET, before CR0.WP may; PCIDE has to be off before paging may be.
LOBOS_X86_PIECE(depart, ".code64",
    "endbr64\n\t"
    "cld\n\t"
    "movq %rdi, %rbx\n\t"
    "movq lobos_stack_alias(%rbx), %rsp\n\t"
    "lgdt lobos_gdt(%rbx)\n\t"
    "lidt lobos_idt(%rbx)\n\t"
    "xorl %eax, %eax\n\t"
    "movq %rax, %dr7\n\t"
    "movq lobos_cr4(%rbx), %rax\n\t"
    "movq %rax, %cr4\n\t"
    "movq lobos_table_root(%rbx), %rax\n\t"
    "movq %rax, %cr3\n\t"
    "jmp *lobos_arrive(%rbx)");

// At the identity address of the code. The copy loop, if that is next, finds its argument and where to return to.
LOBOS_X86_PIECE(arrive, ".code64",
    "movq lobos_self(%rbx), %rbx\n\t"
    "movq lobos_stack_top(%rbx), %rsp\n\t"
    "movl lobos_data_selector(%rbx), %eax\n\t"
    "movl %eax, %ds\n\t"
    "movl %eax, %es\n\t"
    "movl %eax, %fs\n\t"
    "movl %eax, %gs\n\t"
    "movl %eax, %ss\n\t"
    "movq lobos_program_at(%rbx), %rdi\n\t"
    "pushq lobos_after_copy(%rbx)\n\t"
    "pushq lobos_code_selector(%rbx)\n\t"
    "pushq lobos_after_arrive(%rbx)\n\t"
    "lretq");

// The hub's tables are at an address that the page tables in force map to this mode's, so the registers can be loaded
// beforehand, and what they name changes with CR0.PG.
LOBOS_X86_PIECE(down, ".code64",
    "lidt lobos_hub_idt(%rbx)\n\t"
    "lgdt lobos_hub_gdt(%rbx)\n\t"
    "pushq lobos_hub_code_selector(%rbx)\n\t"
    "pushq lobos_hub(%rbx)\n\t"
    "lretq");

// To a 64-bit image in the running kernel's mode: only the descriptors change. The gates first: their selector is in
// both tables.
LOBOS_X86_PIECE(switch_long, ".code64",
    "lidt lobos_entry_idt(%rbx)\n\t"
    "lgdt lobos_entry_gdt(%rbx)\n\t"
    "pushq lobos_entry_code_selector(%rbx)\n\t"
    "leaq 1f(%rip), %rax\n\t"
    "pushq %rax\n\t"
    "lretq\n"
    "1:"); // leave_long lies behind it

// The copy loop for the hub.
LOBOS_X86_PIECE(copy_32, ".code32", LOBOS_COPY_LOOP_32_BYTES);
