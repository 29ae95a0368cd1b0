// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

/// \file
/// The first instructions of the build with 4 MB pages.

#include "boot_32.hpp"

asm(LOBOS_BOOT_32_HEADER R"(
    .set linear_pages, 192              # 4 MB pages: 768 MiB of physical memory at kernel_base

    .section .data
    .balign 4096
    .global boot_directory
    .set boot_root, boot_directory
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

)" LOBOS_BOOT_32_GDT R"(

    .section .bss
)" LOBOS_BOOT_STACK R"(

)" LOBOS_BOOT_32_START R"(
    movl %cr0, %ecx
    testl $0x80000000, %ecx
    jnz paged
    movl %cr4, %ecx
    orl $0x10, %ecx                     # PSE
    movl %ecx, %cr4
)" LOBOS_BOOT_32_PAGED);
