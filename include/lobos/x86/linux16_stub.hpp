// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The last steps to real mode, in the first bytes of the real-mode segment: a boot sector's own code, which only says
/// that there is no boot loader. Entered at offset 0 with CS of 64 KB over the segment, in 16-bit protected mode,
/// paging off, interrupts off; ax is the segment's number as real mode has it, and all else that the kernel gets is 0.
///
/// It goes by the manual's list [intel/vol3 §9.9.2]: every segment register takes limit and rights that fit real mode,
/// then the vectors at address 0, CR0.PE, a far jump, and the segment registers anew. Then the kernel's setup code,
/// with what it wants to find [linux/boot.rst "Running the Kernel"]: all segment registers alike, sp at the end of the
/// heap.
///
/// Up to `lidtl` an exception finds the overlay's guard and an NMI returns; from `movl %edx, %cr0` on both are the
/// BIOS's. Between these two the vectors are of one mode and the processor in the other, which no order avoids.
///
/// The comments are what the bytes are assembled from; tests/static/real-mode-stub does that and compares.

#include <array>
#include <cstdint>

#include <lobos/x86/linux16_image.hpp>
#include <lobos/x86/segment_descriptor.hpp>

namespace lobos::linux16 {

// clang-format off
inline constexpr std::array<std::uint8_t, 84> stub{
    0xb9, 0x28, 0x00,                   //     movw $0x28, %cx
    0x8e, 0xd9,                         //     movw %cx, %ds
    0x8e, 0xc1,                         //     movw %cx, %es
    0x8e, 0xe1,                         //     movw %cx, %fs
    0x8e, 0xe9,                         //     movw %cx, %gs
    0x8e, 0xd1,                         //     movw %cx, %ss
    0x66, 0xbc, 0x00, 0xe0, 0x00, 0x00, //     movl $0xe000, %esp
    0x50,                               //     pushw %ax
    0x68, 0x2b, 0x00,                   //     pushw $real
    0x89, 0xe5,                         //     movw %sp, %bp
    0x0f, 0x20, 0xc2,                   //     movl %cr0, %edx
    0x80, 0xe2, 0xfe,                   //     andb $0xfe, %dl
    0x66, 0x0f, 0x01, 0x1e, 0x4e, 0x00, //     lidtl vectors
    0x0f, 0x22, 0xc2,                   //     movl %edx, %cr0
    0xff, 0x6e, 0x00,                   //     ljmpw *(%bp)
                                        // real:
    0x8e, 0xd8,                         //     movw %ax, %ds
    0x8e, 0xc0,                         //     movw %ax, %es
    0x8e, 0xe0,                         //     movw %ax, %fs
    0x8e, 0xe8,                         //     movw %ax, %gs
    0x8e, 0xd0,                         //     movw %ax, %ss
    0x66, 0xbc, 0x00, 0xe0, 0x00, 0x00, //     movl $0xe000, %esp
    0x83, 0xc0, 0x20,                   //     addw $0x20, %ax
    0x50,                               //     pushw %ax
    0x6a, 0x00,                         //     pushw $0
    0x66, 0x31, 0xc0,                   //     xorl %eax, %eax
    0x66, 0x31, 0xc9,                   //     xorl %ecx, %ecx
    0x66, 0x31, 0xd2,                   //     xorl %edx, %edx
    0x66, 0x31, 0xed,                   //     xorl %ebp, %ebp
    0xcb,                               //     lretw
                                        // vectors:
    0xff, 0x03,                         //     .word 0x3ff
    0x00, 0x00, 0x00, 0x00,             //     .long 0
};
// clang-format on

/// Where it lies in the real-mode segment, and the bytes there that are nobody's: up to the setup header.
inline constexpr std::uint16_t stub_offset = 0;
inline constexpr std::size_t stub_room = setup_header::begin - 1;

// Sanity checks
static_assert(stub_offset + stub.size() <= stub_room);
static_assert(stub[1] == x86::real_data_selector && stub[16] == heap_end >> 8 && stub[61] == entry_offset >> 4);

} // namespace lobos::linux16
