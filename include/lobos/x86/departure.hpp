// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What the code in the safe page is told when an x86 kernel leaves. One page, the *frame*, holds everything: addresses
/// of the next piece of code, register values, the overlay's program, a descriptor table and interrupt gates. Where the
/// way leads through another mode of the processor, a second page (and a third) holds that mode's tables, at the same
/// offsets. Offsets are part of the assembly in arch/x86; the assertions below keep the two together.
///
/// A field is 64 bits wide on every machine; 32-bit code reads its low half. Addresses are physical, which is where the
/// identity mapping has them, unless a name says that they are the running kernel's.

#include <cstddef>
#include <cstdint>

#include <lobos/plan/program.hpp>
#include <lobos/x86/page.hpp>

namespace lobos::x86 {

/// Operand of LGDT and LIDT [intel/vol3 §2.4.1]; 32-bit code reads the low half of the base.
struct [[gnu::packed]] pseudo_descriptor {
    std::uint16_t limit;
    std::uint64_t base;
    std::uint16_t unused[3];
};
static_assert(sizeof(pseudo_descriptor) == 16);

/// How a machine is reset by the firmware's own word: the reset register of the FADT, if it is an I/O port
/// [acpi/6.5 §4.8.3.6]. Port 0: none.
struct reset_register {
    std::uint16_t port = 0;
    std::uint8_t value = 0;
    friend constexpr bool operator==(const reset_register&, const reset_register&) = default;
};

struct departure_frame {
    std::uint64_t self;        ///< of this frame's middle
    std::uint64_t table_root;  ///< CR3 of the copy
    std::uint64_t cr4;         ///< of the copy: nothing in it that old mappings or old protections could answer to
    std::uint64_t stack_alias; ///< one past the safe stack, the running kernel's address
    std::uint64_t stack_top;   ///< one past the safe stack
    std::uint64_t arrive;      ///< where to go on after the switch of tables
    pseudo_descriptor gdt;     ///< of the copy; base and gates are the running kernel's addresses
    pseudo_descriptor idt;

    std::uint64_t after_arrive;  ///< the copy loop, or the way down when the copy is unpaged
    std::uint64_t after_copy;    ///< the way down, or the way out
    std::uint64_t program_at;    ///< of `program`
    std::uint64_t code_selector; ///< during the copy
    std::uint64_t data_selector;

    /// The way down to flat 32-bit code with paging off, the *hub*, through which everything goes that does not stay in
    /// the running kernel's mode.
    std::uint64_t hub;
    std::uint64_t after_hub; ///< the copy loop when it is unpaged, or the way out
    pseudo_descriptor hub_gdt;
    pseudo_descriptor hub_idt;
    std::uint64_t efer_kept; ///< mask for the low half of IA32_EFER on the hub; all ones: the register is left alone
    std::uint64_t efer_set;  ///< bits that are set there then: long mode, if the way leads up into it

    /// The way up from the hub into a mode with paging.
    std::uint64_t up_cr4;
    std::uint64_t up_cr3;
    std::uint64_t up_cr0;
    std::uint64_t after_up; ///< in the code segment that the image is entered in

    /// What the image's first instruction finds.
    std::uint64_t entry;
    std::uint64_t entry_code_selector;
    std::uint64_t entry_data_selector;
    std::uint64_t ax, bx, si;

    std::uint64_t hub_code_selector; ///< for code that comes there in a 64-bit kernel's segment
    pseudo_descriptor entry_gdt;     ///< where the image finds others than the copy's
    pseudo_descriptor entry_idt;

    std::uint64_t trail; ///< of the breadcrumb, for the exception guard; overlay_program::no_trail for none
    std::uint64_t reset_port;
    std::uint64_t reset_value;
    overlay_program program;

    /// Code addresses the frame by a register that points here: a byte then reaches as far to either side as the fields
    /// of most ways lie.
    static constexpr std::size_t middle = 128;

    static constexpr std::size_t tables_offset = 1024;
    static constexpr std::size_t descriptor_capacity = 256;
    static constexpr std::size_t gate_words = 64; ///< 32 gates of 64-bit mode
};

/// A page of tables, at the same offsets in every page of an exec.
struct table_page {
    std::byte fields[departure_frame::tables_offset];
    std::uint64_t descriptors[departure_frame::descriptor_capacity];
    std::uint64_t gates[departure_frame::gate_words];
    std::byte unused[512];
};

/// What stands at the beginning of the code page, for the exception guard, which finds it from its own address.
struct code_page_head {
    std::uint64_t self;       ///< of the code page
    std::uint64_t frame;      ///< of the frame's middle
    std::uint64_t table_root; ///< as in the frame, which cannot be seen before these tables are on
    std::uint64_t cr4;
};

// Sanity checks: the assembly's numbers.
static_assert(sizeof(table_page) == page_size.raw() && sizeof(departure_frame) <= departure_frame::tables_offset);
static_assert(offsetof(table_page, gates) == 3072);
static_assert(departure_frame::middle == 128);
static_assert(offsetof(departure_frame, self) == 0 && offsetof(departure_frame, table_root) == 8);
static_assert(offsetof(departure_frame, cr4) == 16 && offsetof(departure_frame, stack_alias) == 24);
static_assert(offsetof(departure_frame, stack_top) == 32 && offsetof(departure_frame, arrive) == 40);
static_assert(offsetof(departure_frame, gdt) == 48 && offsetof(departure_frame, idt) == 64);
static_assert(offsetof(departure_frame, after_arrive) == 80 && offsetof(departure_frame, after_copy) == 88);
static_assert(offsetof(departure_frame, program_at) == 96 && offsetof(departure_frame, code_selector) == 104);
static_assert(offsetof(departure_frame, data_selector) == 112 && offsetof(departure_frame, hub) == 120);
static_assert(offsetof(departure_frame, after_hub) == 128 && offsetof(departure_frame, hub_gdt) == 136);
static_assert(offsetof(departure_frame, hub_idt) == 152 && offsetof(departure_frame, efer_kept) == 168);
static_assert(offsetof(departure_frame, efer_set) == 176 && offsetof(departure_frame, up_cr4) == 184);
static_assert(offsetof(departure_frame, up_cr3) == 192 && offsetof(departure_frame, up_cr0) == 200);
static_assert(offsetof(departure_frame, after_up) == 208 && offsetof(departure_frame, entry) == 216);
static_assert(
    offsetof(departure_frame, entry_code_selector) == 224 && offsetof(departure_frame, entry_data_selector) == 232);
static_assert(offsetof(departure_frame, ax) == 240 && offsetof(departure_frame, bx) == 248);
static_assert(offsetof(departure_frame, si) == 256 && offsetof(departure_frame, hub_code_selector) == 264);
static_assert(offsetof(departure_frame, entry_gdt) == 272 && offsetof(departure_frame, entry_idt) == 288);
static_assert(offsetof(departure_frame, trail) == 304 && offsetof(departure_frame, reset_port) == 312);
static_assert(offsetof(departure_frame, reset_value) == 320 && offsetof(departure_frame, program) % 8 == 0);

} // namespace lobos::x86
