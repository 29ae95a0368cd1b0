// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The code that lies in safe memory on 32-bit x86. Everything in section `lobos_overlay` is copied as one block, so
/// nothing in it may refer to anything but its arguments: no relocation, no call out, no global. The linker itself
/// provides the section's ends, because its name is a C identifier.
///
/// The way through it: `depart` runs at the page's old virtual address, loads the new table root, and goes on in the
/// page's identity mapping as `arrive`, which takes the new descriptor table and stack, runs the copy loop and jumps
/// to the way out that the entry contract asks for.

#include <cstdint>

#include <lobos/machine/copy.hpp>
#include <lobos/x86/departure.hpp>

/// In its own section, small, and untouched by what an embedder's flags would weave into it.
#if defined(__clang__)
#define LOBOS_OVERLAY_CODE                                                                                             \
    gnu::section("lobos_overlay"), gnu::used, gnu::no_instrument_function, gnu::no_stack_protector,                    \
        clang::no_sanitize("all"), clang::no_sanitize("coverage"), clang::minsize
#else
#define LOBOS_OVERLAY_CODE                                                                                             \
    gnu::section("lobos_overlay"), gnu::used, gnu::no_instrument_function, gnu::no_stack_protector,                    \
        gnu::no_sanitize("all"), gnu::no_sanitize_coverage, gnu::optimize("Os", "no-ivopts")
#endif

/// How the overlay moves memory: one of <lobos/machine/copy.hpp>, or the embedder's own. A macro, because GCC does not
/// heed the section of a template.
#ifndef LOBOS_X86_MOVER
#define LOBOS_X86_MOVER lobos::machine::rep_movs
#endif

extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier): the linker's names.
extern const std::byte __start_lobos_overlay[] __attribute__((visibility("hidden")));
extern const std::byte __stop_lobos_overlay[] __attribute__((visibility("hidden")));
// NOLINTEND(bugprone-reserved-identifier)
}

namespace lobos::machine {

extern "C" {

/// The copy loop. `program` is the identity address of the overlay_program.
[[LOBOS_OVERLAY_CODE, gnu::cdecl]] inline void lobos_x86_copy(std::uint32_t program)
{
    identity_memory<LOBOS_X86_MOVER> memory{}; // braces: at -O0 a constructor would be a call
    overlay::run(memory, program);
}

/// Leaves the old address space. Runs at the virtual address that the running kernel has for the safe page, which is
/// mapped alike in the new tables; interrupts are off. `frame` is the frame's old virtual address.
///
/// Clearing CR4.PGE discards global translations too, which a load of CR3 alone would keep [intel/vol3 §4.10.4.1].
[[LOBOS_OVERLAY_CODE, gnu::naked, gnu::cdecl, noreturn]] inline void lobos_x86_depart(
    [[maybe_unused]] const x86::departure_frame* frame)
{
    asm("cld\n\t"
        "movl 4(%esp), %eax\n\t"
        "movl 0(%eax), %ecx\n\t"  // table_root
        "movl 4(%eax), %ebx\n\t"  // self
        "movl 12(%eax), %edx\n\t" // arrive
        "movl %cr4, %eax\n\t"
        "andl $~0x80, %eax\n\t" // PGE
        "movl %eax, %cr4\n\t"
        "movl %ecx, %cr3\n\t"
        "jmp *%edx");
}

/// Goes on in the identity mapping: the new descriptor table, the safe stack, the copy, and the way out. `ebx` is the
/// frame from here on.
[[LOBOS_OVERLAY_CODE, gnu::naked, noreturn]] inline void lobos_x86_arrive()
{
    asm("lgdt 32(%ebx)\n\t"
        "movl 8(%ebx), %esp\n\t"  // stack_top
        "movl 28(%ebx), %eax\n\t" // data_selector
        "movl %eax, %ds\n\t"
        "movl %eax, %es\n\t"
        "movl %eax, %fs\n\t"
        "movl %eax, %gs\n\t"
        "movl %eax, %ss\n\t"
        "pushl 56(%ebx)\n\t" // program: the argument of the copy loop
        "pushl 20(%ebx)\n\t" // leave: where the copy loop returns to
        "pushl 24(%ebx)\n\t" // code_selector
        "pushl 16(%ebx)\n\t" // copy
        "lretl");
}

/// The way out to the 32-bit Linux entry [linux/boot.rst, 32-bit boot protocol]: paging off, from this identity-mapped
/// page; flat segments are loaded already; esi is the boot parameters, ebp, edi and ebx are 0.
[[LOBOS_OVERLAY_CODE, gnu::naked, noreturn]] inline void lobos_x86_leave_unpaged()
{
    asm("movl %cr0, %eax\n\t"
        "andl $0x7fffffff, %eax\n\t" // PG
        "movl %eax, %cr0\n\t"
        "xorl %eax, %eax\n\t"
        "movl %eax, %cr3\n\t"
        "movl %eax, %cr4\n\t"
        "movl 40(%ebx), %ecx\n\t" // entry
        "movl 44(%ebx), %eax\n\t"
        "movl 52(%ebx), %esi\n\t"
        "movl 48(%ebx), %ebx\n\t"
        "xorl %ebp, %ebp\n\t"
        "xorl %edi, %edi\n\t"
        "jmp *%ecx");
}

/// The way out of the paper: paging stays on, the new kernel is entered at its virtual address.
[[LOBOS_OVERLAY_CODE, gnu::naked, noreturn]] inline void lobos_x86_leave_paged()
{
    asm("movl 40(%ebx), %ecx\n\t" // entry
        "movl 44(%ebx), %eax\n\t"
        "movl 52(%ebx), %esi\n\t"
        "movl 48(%ebx), %ebx\n\t"
        "xorl %ebp, %ebp\n\t"
        "xorl %edi, %edi\n\t"
        "jmp *%ecx");
}
}

} // namespace lobos::machine
