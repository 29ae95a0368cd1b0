// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What the code in the safe page is told when an Alpha's kernel leaves. One page, the *frame*, holds everything: where
/// the pieces of code are, the context that the copy runs in, the overlay's program, and what the exception guard has
/// to know. Offsets are part of the assembly in arch/alpha; the assertions below keep the two together.
///
/// Addresses are in kseg, which is there under all tables, unless a name says otherwise.

#include <cstddef>
#include <cstdint>
#include <span>

#include <lobos/alpha/hwpcb.hpp>
#include <lobos/plan/program.hpp>

namespace lobos::alpha {

struct departure_frame {
    std::uint64_t self;             ///< this frame
    std::uint64_t context_physical; ///< of `context`
    std::uint64_t guard;            ///< the first of its entries
    std::uint64_t copy;             ///< the copy loop
    std::uint64_t leave;            ///< the way out, to which the copy loop returns
    std::uint64_t program_physical; ///< of `program`: the copy loop's argument
    std::uint64_t entry;            ///< the image's first instruction, virtual
    std::uint64_t argument;         ///< what it finds in a0

    std::uint64_t vptb;        ///< virtual page table base
    std::uint64_t trail;       ///< of the breadcrumb; the program's own where the log has none
    std::uint64_t halt_flags;  ///< of the word in which the console finds what a halt is to lead to; 0: none
    std::uint64_t halt_action; ///< the bits that it is to have then
    std::uint64_t halt_mask;   ///< those of its other bits that stay
    std::uint64_t reset_at;    ///< of the byte by which a device resets the machine; 0: none
    std::uint64_t reset_value; ///< what is to be stored there
    std::uint64_t unused;

    hwpcb context; ///< what the copy runs in, and the image is entered in

    overlay_program program;
};

/// What stands at the beginning of the code page, for the exception guard, which finds it from its own address.
struct code_page_head {
    std::uint64_t self;  ///< of the code page
    std::uint64_t frame; ///< of the frame
};

/// The pieces of code in the safe page, in the order in which they lie there. None of them refers to anything but its
/// arguments, so each works wherever it lies, on a multiple of 16.
enum class piece : std::uint8_t {
    depart, ///< at the running kernel's address, with the frame's in a0: guard, context, and on to the copy loop
    copy,   ///< the copy loop: the program's physical address in a0, where it returns to in ra
    leave,  ///< makes what was copied executable, and enters the image; behind a loop that kept s0, the frame
    guard,  ///< six entries of `guard_entry_size`, in the order of `wrent`'s numbers, and what they come to
};
inline constexpr std::size_t pieces = 4;
inline constexpr byte_count piece_alignment = byte_count::of(16);
inline constexpr std::size_t guard_entries = 6;
inline constexpr std::size_t guard_entry_size = 8;

/// The bytes of all pieces. They outlive the exec's preparation.
struct overlay_code {
    std::span<const std::byte> parts[pieces] = {};

    constexpr std::span<const std::byte> operator[](piece p) const { return parts[static_cast<std::size_t>(p)]; }
    /// Where piece `p` lies when all are put on multiples of `piece_alignment` from `first` on; behind the last one,
    /// for `pieces`.
    constexpr byte_count place(std::size_t p, byte_count first) const
    {
        constexpr std::uint64_t within = piece_alignment.raw() - 1;
        std::uint64_t at = (first.raw() + within) & ~within;
        for (std::size_t i = 0; i < p; ++i)
            at = (at + parts[i].size() + within) & ~within;
        return byte_count::of(at);
    }
};

// Sanity checks: the assembly's numbers.
static_assert(offsetof(departure_frame, self) == 0 && offsetof(departure_frame, context_physical) == 8);
static_assert(offsetof(departure_frame, guard) == 16 && offsetof(departure_frame, copy) == 24);
static_assert(offsetof(departure_frame, leave) == 32 && offsetof(departure_frame, program_physical) == 40);
static_assert(offsetof(departure_frame, entry) == 48 && offsetof(departure_frame, argument) == 56);
static_assert(offsetof(departure_frame, vptb) == 64 && offsetof(departure_frame, trail) == 72);
static_assert(offsetof(departure_frame, halt_flags) == 80 && offsetof(departure_frame, halt_action) == 88);
static_assert(offsetof(departure_frame, halt_mask) == 96 && offsetof(departure_frame, reset_at) == 104);
static_assert(offsetof(departure_frame, reset_value) == 112);
static_assert(offsetof(departure_frame, context) == hwpcb::alignment.raw());
static_assert(offsetof(departure_frame, program) == 256 && sizeof(departure_frame) <= paging_8k::granule.raw());
static_assert(sizeof(code_page_head) == 16 && offsetof(code_page_head, frame) == 8);

} // namespace lobos::alpha
