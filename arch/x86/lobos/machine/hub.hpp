// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The hub, flat 32-bit code with paging off, and the ways that lead on from it. The same instructions in a 32-bit and
/// in a 64-bit build: a 64-bit kernel comes here in compatibility mode.

#include <lobos/machine/frame_offsets.hpp>

// Paging off, in an identity-mapped page; then all that was for paging. The gates in force are the hub's from the
// instruction on that turns it off.
LOBOS_X86_PIECE(hub, ".code32",
    "movl $0x11, %eax\n\t" // PE, ET
    "movl %eax, %cr0\n\t"
    "movl lobos_efer_kept(%ebx), %edi\n\t"
    "cmpl $-1, %edi\n\t" // the register need not exist
    "je 1f\n\t"
    "movl $lobos_efer, %ecx\n\t"
    "rdmsr\n\t"
    "andl %edi, %eax\n\t"
    "orl lobos_efer_set(%ebx), %eax\n\t"
    "wrmsr\n"
    "1:\n\t"
    "xorl %eax, %eax\n\t"
    "movl %eax, %cr3\n\t"
    "movl %eax, %cr4\n\t"
    "movl lobos_stack_top(%ebx), %esp\n\t"
    "pushl lobos_program_at(%ebx)\n\t"
    "pushl lobos_after_copy(%ebx)\n\t"
    "jmp *lobos_after_hub(%ebx)");

// The way out of 32-bit code. Whatever the contract does not name is 0 [linux/boot.rst "32-bit Boot Protocol"].
LOBOS_X86_PIECE(leave_flat, ".code32",
    "movl lobos_entry_data_selector(%ebx), %eax\n\t"
    "movl %eax, %ds\n\t"
    "movl %eax, %es\n\t"
    "movl %eax, %fs\n\t"
    "movl %eax, %gs\n\t"
    "movl %eax, %ss\n\t"
    "pushl lobos_entry_code_selector(%ebx)\n\t"
    "pushl lobos_entry(%ebx)\n\t"
    "movl lobos_ax(%ebx), %eax\n\t"
    "movl lobos_si(%ebx), %esi\n\t"
    "movl lobos_bx(%ebx), %ebx\n\t"
    "xorl %ecx, %ecx\n\t"
    "xorl %edx, %edx\n\t"
    "xorl %ebp, %ebp\n\t"
    "xorl %edi, %edi\n\t"
    "lretl");

// Into a mode with paging, on tables of the image's own, from a page that they map one to one. Where that is 64-bit
// mode, the hub has asked for it, CR0.PG grants it, and the far return leaves compatibility mode: the descriptors are
// the image's by then [intel/vol3 §9.8.5].
LOBOS_X86_PIECE(up, ".code32",
    "movl lobos_up_cr4(%ebx), %eax\n\t"
    "movl %eax, %cr4\n\t"
    "movl lobos_up_cr3(%ebx), %eax\n\t"
    "movl %eax, %cr3\n\t"
    "movl lobos_up_cr0(%ebx), %eax\n\t"
    "movl %eax, %cr0\n\t"
    "pushl lobos_entry_code_selector(%ebx)\n\t"
    "pushl lobos_after_up(%ebx)\n\t"
    "lretl");

// The first of 64-bit code: what 32-bit code leaves in upper halves is not defined [intel/vol1 §3.4.1.1].
LOBOS_X86_PIECE(enter_long, ".code64",
    "movl %ebx, %ebx\n\t"
    "movl %esp, %esp"); // leave_long lies behind it

// The way out of 64-bit code. Whatever the contract does not name is 0.
LOBOS_X86_PIECE(leave_long, ".code64",
    "movl lobos_entry_data_selector(%rbx), %eax\n\t"
    "movl %eax, %ds\n\t"
    "movl %eax, %es\n\t"
    "movl %eax, %fs\n\t"
    "movl %eax, %gs\n\t"
    "movl %eax, %ss\n\t"
    "pushq lobos_entry(%rbx)\n\t"
    "movq lobos_ax(%rbx), %rax\n\t"
    "movq lobos_si(%rbx), %rsi\n\t"
    "movq lobos_bx(%rbx), %rbx\n\t"
    "xorl %ecx, %ecx\n\t"
    "xorl %edx, %edx\n\t"
    "xorl %ebp, %ebp\n\t"
    "xorl %edi, %edi\n\t"
    "xorl %r8d, %r8d\n\t"
    "xorl %r9d, %r9d\n\t"
    "xorl %r10d, %r10d\n\t"
    "xorl %r11d, %r11d\n\t"
    "xorl %r12d, %r12d\n\t"
    "xorl %r13d, %r13d\n\t"
    "xorl %r14d, %r14d\n\t"
    "xorl %r15d, %r15d\n\t"
    "retq");
