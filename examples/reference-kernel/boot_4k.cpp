// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

/// \file
/// The first instructions of the build with 4 KB pages. The tables for 768 MiB are filled here, which takes paging off
/// or, after a kernel exec that left it on, the addresses of the image itself: ebp is the distance between the two.

asm(R"(
    .set kernel_base, 0xC0000000
    .set linear_tables, 192             # of 4 MB each: 768 MiB of physical memory at kernel_base

    .section .multiboot, "a"
    .balign 4
    .long 0x1BADB002                    # magic
    .long 0x00000003                    # modules on page boundaries, memory map wanted
    .long -(0x1BADB002 + 0x00000003)

    .section .data
    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff            # 0x08: flat code
    .quad 0x00cf93000000ffff            # 0x10: flat data
gdt_pointer:
    .word . - gdt - 1
    .long gdt

    .section .bss
    .balign 4096
boot_directory:
    .skip 4096
boot_tables:
    .skip linear_tables * 4096
boot_apic_table:
    .skip 4096
    .balign 16
    .skip 65536
boot_stack:

    .text
    .global _start
_start:
    cli
    cld
    xorl %ebp, %ebp
    movl %eax, %edx
    movl %cr0, %ecx
    testl $0x80000000, %ecx
    jnz 1f
    subl $kernel_base, %ebp
1:  leal boot_tables(%ebp), %edi
    movl $0x103, %eax                   # present, writable, global
    movl $(linear_tables * 1024), %ecx
2:  movl %eax, (%edi)
    addl $4, %edi
    addl $4096, %eax
    loop 2b
    leal boot_directory(%ebp), %edi
    movl $(boot_tables - kernel_base + 0x3), %eax
    movl %eax, (%edi)                   # the first 4 MB where they are, until the jump into the high half
    movl $linear_tables, %ecx
3:  movl %eax, (kernel_base >> 20)(%edi)
    addl $4, %edi
    addl $4096, %eax
    loop 3b
    leal boot_directory(%ebp), %edi
    movl $(boot_apic_table - kernel_base + 0x3), 4 * 1019(%edi)
    leal boot_apic_table(%ebp), %edi
    movl $0xfee0001b, 4 * 512(%edi)     # the local APIC at 0xfee00000, where it is, uncached
    movl %edx, %eax
    testl %ebp, %ebp
    jz paged
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
    movl $0, boot_directory            # from here on nothing is mapped low
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
