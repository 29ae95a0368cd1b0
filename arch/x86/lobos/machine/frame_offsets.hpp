// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// How the overlay's assembly is written: the frame's offsets as names, and the frame of a piece. A piece is a run of
/// instructions in section lobos_overlay between the symbols lobos_x86_NAME and lobos_x86_NAME_end. Each begins with
/// ebx (rbx) as the frame, unless it says otherwise, and refers to nothing but the frame and itself.

#include <lobos/x86/departure.hpp>

// Numbers, because assembly at file scope has no operands; <lobos/x86/departure.hpp> asserts every one of them.
asm(".set lobos_self, 0\n\t"
    ".set lobos_table_root, 8\n\t"
    ".set lobos_cr4, 16\n\t"
    ".set lobos_stack_alias, 24\n\t"
    ".set lobos_stack_top, 32\n\t"
    ".set lobos_arrive, 40\n\t"
    ".set lobos_gdt, 48\n\t"
    ".set lobos_idt, 64\n\t"
    ".set lobos_after_arrive, 80\n\t"
    ".set lobos_after_copy, 88\n\t"
    ".set lobos_program_at, 96\n\t"
    ".set lobos_code_selector, 104\n\t"
    ".set lobos_data_selector, 112\n\t"
    ".set lobos_hub, 120\n\t"
    ".set lobos_after_hub, 128\n\t"
    ".set lobos_hub_code_selector, 136\n\t"
    ".set lobos_hub_gdt, 144\n\t"
    ".set lobos_hub_idt, 160\n\t"
    ".set lobos_efer_kept, 176\n\t"
    ".set lobos_up_cr4, 184\n\t"
    ".set lobos_up_cr3, 192\n\t"
    ".set lobos_up_efer, 200\n\t"
    ".set lobos_up_cr0, 208\n\t"
    ".set lobos_after_up, 216\n\t"
    ".set lobos_entry_gdt, 224\n\t"
    ".set lobos_entry_idt, 240\n\t"
    ".set lobos_entry, 256\n\t"
    ".set lobos_entry_code_selector, 264\n\t"
    ".set lobos_entry_data_selector, 272\n\t"
    ".set lobos_ax, 280\n\t"
    ".set lobos_bx, 288\n\t"
    ".set lobos_si, 296\n\t"
    ".set lobos_trail, 304\n\t"
    ".set lobos_reset_port, 312\n\t"
    ".set lobos_reset_value, 320\n\t"
    ".set lobos_efer, 0xc0000080\n\t");

#if defined(__x86_64__)
#define LOBOS_X86_NATIVE ".code64"
#else
#define LOBOS_X86_NATIVE ".code32"
#endif

/// A piece of assembly, once in a program however many units include it. `mode` is .code32 or .code64.
#define LOBOS_X86_PIECE(name, mode, body)                                                                              \
    asm(".pushsection lobos_overlay,\"axG\",@progbits,lobos_x86_" name ",comdat\n\t" mode "\n\t.globl lobos_x86_" name \
        "\n\t.globl lobos_x86_" name "_end\n\t.hidden lobos_x86_" name "\n\t.hidden lobos_x86_" name                   \
        "_end\nlobos_x86_" name ":\n\t" body "\nlobos_x86_" name "_end:\n\t" LOBOS_X86_NATIVE "\n\t.popsection")
