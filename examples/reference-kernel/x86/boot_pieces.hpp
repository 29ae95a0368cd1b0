// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Assembly that the first instructions of 32-bit and of 64-bit builds have in common, as text for an asm declaration.

/// The header of multiboot 2 [multiboot2/2.0 §3.1], for those loaders that tell of EFI firmware too; `entry` is a tag,
/// or nothing where the ELF file's entry is right.
#define LOBOS_BOOT_HEADER_2(entry)                                                                                     \
    "    .balign 8\n"                                                                                                  \
    "header_2:\n"                                                                                                      \
    "    .long 0xe85250d6                    # magic\n"                                                                \
    "    .long 0                             # 32-bit protected mode\n"                                                \
    "    .long header_2_end - header_2\n"                                                                              \
    "    .long -(0xe85250d6 + (header_2_end - header_2))\n" entry "    .balign 8\n"                                    \
    "    .word 1, 0                          # the memory map is wanted\n"                                             \
    "    .long 12, 6\n"                                                                                                \
    "    .balign 8\n"                                                                                                  \
    "    .word 1, 1                          # of EFI system table and memory map, and ACPI, what there is\n"          \
    "    .long 28, 11, 12, 14, 15, 17\n"                                                                               \
    "    .balign 8\n"                                                                                                  \
    "    .word 6, 0                          # modules on page boundaries\n"                                           \
    "    .long 8\n"                                                                                                    \
    "    .word 0, 0                          # the end\n"                                                              \
    "    .long 8\n"                                                                                                    \
    "header_2_end:\n"

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
