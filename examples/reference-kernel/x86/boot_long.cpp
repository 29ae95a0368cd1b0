// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

/// \file
/// The first instructions of the 64-bit builds. There are two ways in: from a multiboot loader, in flat 32-bit code
/// with paging off, at the address that the multiboot header names; and from the kernel before, in 64-bit code with
/// paging on, at the ELF file's entry [lobos/2000 §3.2.5]. Either way eax is the multiboot magic number and ebx the
/// physical address of the information. 5-level paging is one table more at the top. The directories of the linear map
/// are filled here: they are not worth their room in the file.

#include "boot_pieces.hpp"

#define LOBOS_TEXT_OF(x) LOBOS_TEXT_OF_(x)
#define LOBOS_TEXT_OF_(x) #x

asm(R"(
    .set kernel_base, 0xffffffff80000000
    .set five_levels, )" LOBOS_TEXT_OF(REFERENCE_FIVE_LEVELS) R"(
    .set linear_gigabytes, )" LOBOS_TEXT_OF(REFERENCE_LINEAR_MIB) R"( / 1024

    .section .multiboot, "a"
    .balign 4
header:
    .long 0x1BADB002                    # magic
    .long 0x00010003                    # modules on page boundaries, memory map wanted, addresses follow
    .long -(0x1BADB002 + 0x00010003)
    .long header - kernel_base
    .long image_begin - kernel_base
    .long data_end - kernel_base
    .long image_end - kernel_base
    .long start_32 - kernel_base
)" LOBOS_BOOT_HEADER_2("    .word 3, 0                          # the entry\n"
                       "    .long 12, start_32 - kernel_base\n") R"(

    .section .data
    .balign 4096
)" LOBOS_BOOT_DIRECTORY_2M R"(
boot_pointers:
    .quad boot_directory - kernel_base + 0x3
    .fill 509, 8, 0
    .quad boot_directory - kernel_base + 0x3
    .quad 0
boot_pml4:
    .quad boot_pointers - kernel_base + 0x3 # where they are, until the jump into the high half
    .fill 255, 8, 0
    .quad boot_linear_pointers - kernel_base + 0x3 # at the beginning of the higher half, of four levels and of five
    .fill 254, 8, 0
    .quad boot_pointers - kernel_base + 0x3
boot_linear_pointers:
    .set table, 0
    .rept linear_gigabytes
    .quad boot_linear_directories - kernel_base + (table << 12) + 0x3
    .set table, table + 1
    .endr
    .fill 512 - linear_gigabytes, 8, 0
    .if five_levels
boot_pml5:
    .quad boot_pml4 - kernel_base + 0x3
    .fill 510, 8, 0
    .quad boot_pml4 - kernel_base + 0x3
    .set boot_root, boot_pml5
    .else
    .set boot_root, boot_pml4
    .endif

    .balign 8
gdt:
    .quad 0
    .quad 0x00af9b000000ffff            # 0x08: 64-bit code
    .quad 0x00cf93000000ffff            # 0x10: flat data
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .quad gdt
gdt_pointer_32:
    .word gdt_end - gdt - 1
    .long gdt - kernel_base

    .section .bss
    .balign 4096
boot_linear_directories:
    .skip linear_gigabytes * 4096
)" LOBOS_BOOT_STACK R"(

    .text
    .code32
start_32:
    cli
    cld
    movl %eax, %edi
    lgdt gdt_pointer_32 - kernel_base
    movl %cr4, %ecx
    orl $(0x20 | five_levels << 12), %ecx # PAE, LA57
    movl %ecx, %cr4
    movl $(boot_root - kernel_base), %ecx
    movl %ecx, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x900, %eax                    # LME, NXE
    wrmsr
    movl %cr0, %ecx
    orl $0x80010000, %ecx               # PG, WP
    movl %ecx, %cr0
    movl %edi, %eax
    ljmp $0x08, $(start_64 - kernel_base)
    .code64
start_64:
    movq $_start, %rcx
    jmp *%rcx
    .global _start
_start:
    cli
    cld
    movl %eax, %edi
    movl %ebx, %esi
    movq $(boot_root - kernel_base), %rcx
    movq %rcx, %cr3
    movq $0, boot_pml4                  # from here on nothing is mapped low
    movq %rcx, %cr3
    lgdt gdt_pointer
    movq $boot_stack, %rsp
    pushq $0x08
    pushq $1f
    lretq
)" LOBOS_BOOT_SEGMENTS R"(
    movq $boot_linear_directories, %rdx
    movl $0x183, %eax                   # present, writable, 2 MB, global
    movl $(linear_gigabytes * 512), %ecx
2:  movq %rax, (%rdx)
    addq $8, %rdx
    addq $0x200000, %rax
    loop 2b
    xorl %ebp, %ebp
)" LOBOS_BOOT_CALL);
