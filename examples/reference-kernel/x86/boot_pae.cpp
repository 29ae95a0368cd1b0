// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

/// \file
/// The first instructions of the build with PAE paging: 2 MB pages, one page directory for 768 MiB.

#include "boot_32.hpp"

asm(LOBOS_BOOT_32_HEADER R"(
    .section .data
    .balign 4096
)" LOBOS_BOOT_DIRECTORY_2M R"(
    .balign 32
    .set boot_root, boot_pointers
boot_pointers:
    .long boot_directory - kernel_base + 0x1, 0 # where they are, until the jump into the high half
    .quad 0, 0
    .long boot_directory - kernel_base + 0x1, 0

)" LOBOS_BOOT_32_GDT R"(

    .section .bss
)" LOBOS_BOOT_STACK R"(

)" LOBOS_BOOT_32_START R"(
    movl %cr0, %ecx
    testl $0x80000000, %ecx
    jnz paged
    movl %cr4, %ecx
    orl $0x20, %ecx                     # PAE
    movl %ecx, %cr4
)" LOBOS_BOOT_32_PAGED);
