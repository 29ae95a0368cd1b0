// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Assembly that the first instructions of the 32-bit builds have in common, as text for an asm declaration. One entry
/// serves both ways in: from a multiboot loader, paging off, at the physical address; and from the kernel before,
/// paging on, at the virtual address [lobos/2000 §3.2.5]. Either way eax is the multiboot magic number and ebx the
/// physical address of the information. Each build has a boot_root, the table that cr3 names; its first word maps the
/// kernel where it is, until the jump into the high half.

#include "boot_pieces.hpp"

/// The headers of both multiboots [multiboot/0.6.96 §3.1], without addresses: the ELF file has them.
#define LOBOS_BOOT_32_HEADER                                                                                           \
    "    .set kernel_base, 0xC0000000\n"                                                                               \
    "    .section .multiboot, \"a\"\n"                                                                                 \
    "    .balign 4\n"                                                                                                  \
    "    .long 0x1BADB002                    # magic\n"                                                                \
    "    .long 0x00000003                    # modules on page boundaries, memory map wanted\n"                        \
    "    .long -(0x1BADB002 + 0x00000003)\n" LOBOS_BOOT_HEADER_2("")

/// The descriptors, for a section of data.
#define LOBOS_BOOT_32_GDT                                                                                              \
    "    .balign 8\n"                                                                                                  \
    "gdt:\n"                                                                                                           \
    "    .quad 0\n"                                                                                                    \
    "    .quad 0x00cf9b000000ffff            # 0x08: flat code\n"                                                      \
    "    .quad 0x00cf93000000ffff            # 0x10: flat data\n"                                                      \
    "gdt_pointer:\n"                                                                                                   \
    "    .word . - gdt - 1\n"                                                                                          \
    "    .long gdt\n"

/// Where both ways come in.
#define LOBOS_BOOT_32_START                                                                                            \
    "    .text\n"                                                                                                      \
    "    .global _start\n"                                                                                             \
    "_start:\n"                                                                                                        \
    "    cli\n"                                                                                                        \
    "    cld\n"

/// Turns paging on; where it is on already, one jumps to `paged`. From there on all is at its virtual address.
#define LOBOS_BOOT_32_PAGED                                                                                            \
    "    movl $(boot_root - kernel_base), %ecx\n"                                                                      \
    "    movl %ecx, %cr3\n"                                                                                            \
    "    movl %cr0, %ecx\n"                                                                                            \
    "    orl $0x80010000, %ecx               # PG, WP\n"                                                               \
    "    movl %ecx, %cr0\n"                                                                                            \
    "    movl $paged, %ecx\n"                                                                                          \
    "    jmp *%ecx\n"                                                                                                  \
    "paged:\n"                                                                                                         \
    "    movl $(boot_root - kernel_base), %ecx\n"                                                                      \
    "    movl %ecx, %cr3\n"                                                                                            \
    "    movl $0, boot_root                  # from here on nothing is mapped low\n"                                   \
    "    movl %ecx, %cr3\n"                                                                                            \
    "    lgdt gdt_pointer\n"                                                                                           \
    "    ljmp $0x08, $1f\n" LOBOS_BOOT_SEGMENTS "    movl $boot_stack, %esp\n"                                         \
    "    xorl %ebp, %ebp\n"                                                                                            \
    "    pushl %ebx\n"                                                                                                 \
    "    pushl %eax\n" LOBOS_BOOT_CALL
