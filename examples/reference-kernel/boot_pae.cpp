// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

/// \file
/// The first instructions of the build with PAE paging: 2 MB pages, one page directory for 768 MiB.

asm(R"(
    .set kernel_base, 0xC0000000
    .set linear_pages, 384              # 2 MB pages: 768 MiB of physical memory at kernel_base

    .section .multiboot, "a"
    .balign 4
    .long 0x1BADB002                    # magic
    .long 0x00000003                    # modules on page boundaries, memory map wanted
    .long -(0x1BADB002 + 0x00000003)

    .section .data
    .balign 4096
boot_directory:
    .set page, 0
    .rept linear_pages
    .quad (page << 21) | 0x183          # present, writable, 2 MB, global
    .set page, page + 1
    .endr
    .fill 503 - linear_pages, 8, 0
    .quad 0xfee0009b                    # the local APIC, uncached
    .fill 8, 8, 0
    .balign 32
boot_pointers:
    .long boot_directory - kernel_base + 0x1, 0 # where they are, until the jump into the high half
    .quad 0, 0
    .long boot_directory - kernel_base + 0x1, 0

    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff            # 0x08: flat code
    .quad 0x00cf93000000ffff            # 0x10: flat data
gdt_pointer:
    .word . - gdt - 1
    .long gdt

    .section .bss
    .balign 16
    .skip 65536
boot_stack:

    .text
    .global _start
_start:
    cli
    cld
    movl %cr0, %ecx
    testl $0x80000000, %ecx
    jnz paged
    movl %cr4, %ecx
    orl $0x20, %ecx                     # PAE
    movl %ecx, %cr4
    movl $(boot_pointers - kernel_base), %ecx
    movl %ecx, %cr3
    movl %cr0, %ecx
    orl $0x80010000, %ecx               # PG, WP
    movl %ecx, %cr0
    movl $paged, %ecx
    jmp *%ecx
paged:
    movl $(boot_pointers - kernel_base), %ecx
    movl %ecx, %cr3
    movl $0, boot_pointers            # from here on nothing is mapped low
    movl %ecx, %cr3
    lgdt gdt_pointer
    ljmp $0x08, $1f
1:  movl $0x10, %ecx
    movl %ecx, %ds
    movl %ecx, %es
    movl %ecx, %fs
    movl %ecx, %gs
    movl %ecx, %ss
    movl $boot_stack, %esp
    xorl %ebp, %ebp
    pushl %ebx
    pushl %eax
    call kernel_main
2:  cli
    hlt
    jmp 2b
)");
