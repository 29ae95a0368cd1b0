// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

/// \file
/// The first instructions of the build with 4 KB pages. The tables for 768 MiB are filled here, which takes paging off
/// or, after a kernel exec that left it on, the addresses of the image itself: ebp is the distance between the two.

#include "boot_32.hpp"

asm(LOBOS_BOOT_32_HEADER R"(
    .set linear_tables, 192             # of 4 MB each: 768 MiB of physical memory at kernel_base

    .section .data
)" LOBOS_BOOT_32_GDT R"(

    .section .bss
    .balign 4096
    .set boot_root, boot_directory
boot_directory:
    .skip 4096
boot_tables:
    .skip linear_tables * 4096
boot_apic_table:
    .skip 4096
)" LOBOS_BOOT_STACK R"(

)" LOBOS_BOOT_32_START R"(
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
)" LOBOS_BOOT_32_PAGED);
