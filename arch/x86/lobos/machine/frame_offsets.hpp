// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// How the overlay's assembly is written: the frame's offsets as names, and the frame of a piece. A piece is a run of
/// instructions in section lobos_overlay between the symbols lobos_x86_NAME and lobos_x86_NAME_end. Each begins with
/// ebx (rbx) as the middle of the frame, unless it says otherwise, and refers to nothing but the frame and itself.

#include <lobos/overlay/pieces.hpp>
#include <lobos/x86/departure.hpp>

// Numbers, because assembly at file scope has no operands; <lobos/x86/departure.hpp> asserts every one of them.
asm(".set lobos_middle, 128\n\t"
    ".set lobos_self, 0 - lobos_middle\n\t"
    ".set lobos_table_root, 8 - lobos_middle\n\t"
    ".set lobos_cr4, 16 - lobos_middle\n\t"
    ".set lobos_stack_alias, 24 - lobos_middle\n\t"
    ".set lobos_stack_top, 32 - lobos_middle\n\t"
    ".set lobos_arrive, 40 - lobos_middle\n\t"
    ".set lobos_gdt, 48 - lobos_middle\n\t"
    ".set lobos_idt, 64 - lobos_middle\n\t"
    ".set lobos_after_arrive, 80 - lobos_middle\n\t"
    ".set lobos_after_copy, 88 - lobos_middle\n\t"
    ".set lobos_program_at, 96 - lobos_middle\n\t"
    ".set lobos_code_selector, 104 - lobos_middle\n\t"
    ".set lobos_data_selector, 112 - lobos_middle\n\t"
    ".set lobos_hub, 120 - lobos_middle\n\t"
    ".set lobos_after_hub, 128 - lobos_middle\n\t"
    ".set lobos_hub_gdt, 136 - lobos_middle\n\t"
    ".set lobos_hub_idt, 152 - lobos_middle\n\t"
    ".set lobos_efer_kept, 168 - lobos_middle\n\t"
    ".set lobos_efer_set, 176 - lobos_middle\n\t"
    ".set lobos_up_cr4, 184 - lobos_middle\n\t"
    ".set lobos_up_cr3, 192 - lobos_middle\n\t"
    ".set lobos_up_cr0, 200 - lobos_middle\n\t"
    ".set lobos_after_up, 208 - lobos_middle\n\t"
    ".set lobos_entry, 216 - lobos_middle\n\t"
    ".set lobos_entry_code_selector, 224 - lobos_middle\n\t"
    ".set lobos_entry_data_selector, 232 - lobos_middle\n\t"
    ".set lobos_ax, 240 - lobos_middle\n\t"
    ".set lobos_bx, 248 - lobos_middle\n\t"
    ".set lobos_si, 256 - lobos_middle\n\t"
    ".set lobos_hub_code_selector, 264 - lobos_middle\n\t"
    ".set lobos_entry_gdt, 272 - lobos_middle\n\t"
    ".set lobos_entry_idt, 288 - lobos_middle\n\t"
    ".set lobos_trail, 304 - lobos_middle\n\t"
    ".set lobos_reset_port, 312 - lobos_middle\n\t"
    ".set lobos_reset_value, 320 - lobos_middle\n\t"
    ".set lobos_efer, 0xc0000080\n\t");

#if defined(__x86_64__)
#define LOBOS_X86_NATIVE ".code64"
#else
#define LOBOS_X86_NATIVE ".code32"
#endif

/// Piece lobos_x86_NAME, in `mode`, which is .code32 or .code64.
#define LOBOS_X86_PIECE(name, mode, body)                                                                              \
    LOBOS_OVERLAY_PIECE(lobos_x86_##name, mode "\n\t" body "\n\t" LOBOS_X86_NATIVE)
