// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The first instructions of the other processors: from real mode, where a start-up IPI lets them begin, into this
/// kernel's mode of paging. They lie in a page below 1 MiB together with what they have to know, and run all at once:
/// each draws a number, which tells it its tables and its stack.

#include <lobos/core/address.hpp>

#include <cstddef>
#include <cstdint>

extern "C" {
extern const std::byte trampoline_begin[];
extern const std::byte trampoline_end[];
}

namespace kernel {

using namespace lobos::literals;

/// What lies in the page behind the instructions.
struct trampoline_page {
    static constexpr auto at = 0x8000_pa;
    static constexpr std::size_t fields_offset = 0x700;
    static constexpr std::size_t most = 64;

    struct place {
        std::uint64_t root;  ///< CR3
        std::uint64_t stack; ///< one past its end, the kernel's address
    };

    std::uint32_t drawn; ///< numbers given out
    std::uint32_t count; ///< of the places
    std::uint64_t cr4;
    std::uint64_t efer; ///< bits to set; 0: the register is left alone
    std::uint64_t cr0;
    std::uint64_t entry; ///< called with the number
    std::uint16_t gdt_limit;
    std::uint16_t gdt_base[5];
    std::uint32_t unused;
    place places[most];
};
static_assert(offsetof(trampoline_page, gdt_limit) == 40 && offsetof(trampoline_page, places) == 56);
static_assert(trampoline_page::fields_offset + sizeof(trampoline_page) <= 4096);

} // namespace kernel

asm(R"(
    .pushsection .rodata
    .set at, 0x8000
    .set fields, at + 0x700
    .global trampoline_begin, trampoline_end
    .balign 8
trampoline_begin:
    .code16
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    lgdtl 8f - trampoline_begin
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $0x08, $(at + 1f - trampoline_begin)
    .code32
1:  movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $1, %ebx
    lock xaddl %ebx, fields
    cmpl fields + 4, %ebx
    jae 9f
    movl %ebx, %esi
    shll $4, %esi
    addl $(fields + 56), %esi
    movl fields + 8, %eax
    movl %eax, %cr4
    movl (%esi), %eax
    movl %eax, %cr3
    movl fields + 16, %edi
    testl %edi, %edi
    jz 2f
    movl $0xc0000080, %ecx
    rdmsr
    orl %edi, %eax
    wrmsr
2:  movl fields + 24, %eax
    movl %eax, %cr0                     # paging on, in a page that is mapped where it is
)"
#if defined(__x86_64__)
    R"(
    ljmp $0x18, $(at + 3f - trampoline_begin)
    .code64
3:  lgdt fields + 40
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movl %eax, %ss
    movq 8(%rsi), %rsp
    movl %ebx, %edi
    xorl %ebp, %ebp
    pushq $0
    pushq $0x08
    pushq fields + 32
    lretq
    .code32
)"
#else
    R"(
    lgdt fields + 40
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movl %eax, %ss
    movl 8(%esi), %esp
    subl $12, %esp
    xorl %ebp, %ebp
    pushl %ebx
    pushl $0
    pushl $0x08
    pushl fields + 32
    lretl
)"
#endif
    R"(
9:  hlt                                 # nobody reckoned with this one
    jmp 9b
    .balign 8
7:  .quad 0
    .quad 0x00cf9b000000ffff            # 0x08: flat code
    .quad 0x00cf93000000ffff            # 0x10: flat data
    .quad 0x00af9b000000ffff            # 0x18: 64-bit code
8:  .word 8b - 7b - 1
    .long at + 7b - trampoline_begin
trampoline_end:
)"
#if defined(__x86_64__)
    ".code64\n"
#else
    ".code32\n"
#endif
    ".popsection");
