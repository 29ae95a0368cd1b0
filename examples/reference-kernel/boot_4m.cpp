// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

/// \file
/// The first instructions of the build with 4 MB pages. One entry serves both ways in: from a multiboot loader, paging
/// off, at the physical address; and from the kernel before, paging on, at the virtual address [lobos/2000 §3.2.5].
/// Either way eax is the multiboot magic number and ebx the physical address of the information.

asm(R"(
    .set kernel_base, 0xC0000000
    .set linear_pages, 192              # 4 MB pages: 768 MiB of physical memory at kernel_base

    .section .multiboot, "a"
    .balign 4
    .long 0x1BADB002                    # magic
    .long 0x00000003                    # modules on page boundaries, memory map wanted
    .long -(0x1BADB002 + 0x00000003)

    .section .data
    .balign 4096
    .global boot_directory
boot_directory:
    .long 0x00000083                    # the first 4 MB where they are, until the jump into the high half
    .fill 767, 4, 0
    .set page, 0
    .rept linear_pages
    .long (page << 22) | 0x183          # present, writable, 4 MB, global
    .set page, page + 1
    .endr
    .fill 1019 - 768 - linear_pages, 4, 0
    .long 0xfec0009b                    # the local APIC at 0xfee00000, where it is, uncached
    .fill 4, 4, 0

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
    orl $0x10, %ecx                     # PSE
    movl %ecx, %cr4
    movl $(boot_directory - kernel_base), %ecx
    movl %ecx, %cr3
    movl %cr0, %ecx
    orl $0x80010000, %ecx               # PG, WP
    movl %ecx, %cr0
    movl $paged, %ecx
    jmp *%ecx
paged:
    movl $(boot_directory - kernel_base), %ecx
    movl %ecx, %cr3
    movl $0, boot_directory             # from here on nothing is mapped low
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
