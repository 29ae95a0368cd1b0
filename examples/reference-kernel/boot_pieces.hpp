// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Assembly that the first instructions of 32-bit and of 64-bit builds have in common, as text for an asm declaration.

/// boot_directory, of 2 MB pages: for the gigabyte that begins at kernel_base and has the local APIC near its end.
#define LOBOS_BOOT_DIRECTORY_2M                                                                                        \
    "    .set linear_pages, 384              # 768 MiB of physical memory\n"                                           \
    "boot_directory:\n"                                                                                                \
    "    .set page, 0\n"                                                                                               \
    "    .rept linear_pages\n"                                                                                         \
    "    .quad (page << 21) | 0x183          # present, writable, 2 MB, global\n"                                      \
    "    .set page, page + 1\n"                                                                                        \
    "    .endr\n"                                                                                                      \
    "    .fill 503 - linear_pages, 8, 0\n"                                                                             \
    "    .quad 0xfee0009b                    # the local APIC, uncached\n"                                             \
    "    .fill 8, 8, 0\n"

/// boot_stack, the end of the stack, for a section of zeros.
#define LOBOS_BOOT_STACK                                                                                               \
    "    .balign 16\n"                                                                                                 \
    "    .skip 65536\n"                                                                                                \
    "boot_stack:\n"

/// Flat data in every segment register; the far jump before goes to 1.
#define LOBOS_BOOT_SEGMENTS                                                                                            \
    "1:  movl $0x10, %ecx\n"                                                                                           \
    "    movl %ecx, %ds\n"                                                                                             \
    "    movl %ecx, %es\n"                                                                                             \
    "    movl %ecx, %fs\n"                                                                                             \
    "    movl %ecx, %gs\n"                                                                                             \
    "    movl %ecx, %ss\n"

/// On to the kernel, which does not come back.
#define LOBOS_BOOT_CALL                                                                                                \
    "    call kernel_main\n"                                                                                           \
    "2:  cli\n"                                                                                                        \
    "    hlt\n"                                                                                                        \
    "    jmp 2b\n"
