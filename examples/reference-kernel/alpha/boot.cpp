// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

/// \file
/// The first instructions on an Alpha, where a loader of Linux or the kernel before jumps to, in kseg. Nothing is
/// expected of registers: a global pointer and a stack are the first things to get.

asm(R"(
    .section .text.start, "ax"
    .set noat
    .global _start
    .ent _start
_start:
    .frame $31, 0, $26
    .prologue 0
    br $27, 1f
1:  ldgp $29, 0($27)
    lda $16, 7
    call_pal 0x35                       # swpipl: no interrupts
    lda $30, boot_stack_end
    lda $15, 0
    jsr $26, kernel_main
    call_pal 0x00                       # it does not come back
    .end _start

    .section .bss
    .balign 8192
boot_stack:
    .skip 65536
boot_stack_end:
    .text
)");
