// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What the code in the safe page is told when a 32-bit x86 kernel leaves: one page, the *frame*, that holds the
/// descriptor table, the overlay's program and the registers of the way out. Offsets are part of the assembly in
/// arch/x86; the assertions below keep the two together.

#include <cstddef>
#include <cstdint>

#include <lobos/plan/program.hpp>

namespace lobos::x86 {

/// Operand of LGDT [intel/vol3 §2.4.1].
struct [[gnu::packed]] pseudo_descriptor {
    std::uint16_t limit;
    std::uint32_t base;
};

/// The frame. Addresses are of the identity mapping, that is: physical.
struct departure_frame {
    std::uint32_t table_root;    ///< for CR3
    std::uint32_t self;          ///< of this frame
    std::uint32_t stack_top;     ///< one past the safe stack
    std::uint32_t arrive;        ///< where to go on after the switch
    std::uint32_t copy;          ///< the copy loop
    std::uint32_t leave;         ///< the way out
    std::uint32_t code_selector; ///< in the new table
    std::uint32_t data_selector;
    pseudo_descriptor gdt;
    std::uint16_t unused;

    /// What the way out finds in the registers, and where it goes.
    std::uint32_t entry;
    std::uint32_t eax;
    std::uint32_t ebx;
    std::uint32_t esi;

    std::uint32_t program_at; ///< of `program`
    std::uint32_t unused_too;
    overlay_program program;

    /// The safe descriptor table; as many entries as the page has room for.
    static constexpr std::size_t descriptor_capacity = 256;
    std::uint64_t descriptors[descriptor_capacity];
};

// Sanity checks
static_assert(sizeof(departure_frame) <= page_size.raw());
static_assert(offsetof(departure_frame, gdt) == 32 && offsetof(departure_frame, entry) == 40 &&
    offsetof(departure_frame, program_at) == 56);
static_assert(offsetof(departure_frame, program) % 8 == 0 && offsetof(departure_frame, descriptors) % 8 == 0);

} // namespace lobos::x86
