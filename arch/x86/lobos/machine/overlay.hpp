// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The code that lies in safe memory on x86. It is copied piece by piece, so nothing in it may refer to anything but
/// its arguments: no relocation, no call out, no global.
///
/// The way through it: `depart` runs at the page's old virtual address, loads the new table root, and goes on in the
/// page's identity mapping as `arrive`, which takes the overlay's selectors and stack and goes to the copy loop, or
/// first down to the hub where paging is off; from there or directly to the way out that the entry contract asks for.

#include <cstdint>
#include <span>

#include <lobos/machine/copy.hpp>
#include <lobos/machine/guard.hpp>
#include <lobos/machine/hub.hpp>
#include <lobos/x86/overlay_code.hpp>
#if defined(__x86_64__)
#include <lobos/machine/departure_64.hpp>
#else
#include <lobos/machine/departure_32.hpp>
#endif

/// In its own section, small, and untouched by what an embedder's flags would weave into it.
#if defined(__clang__)
#define LOBOS_OVERLAY_CODE                                                                                             \
    gnu::section("lobos_overlay_copy"), gnu::used, gnu::no_instrument_function, gnu::no_stack_protector,               \
        clang::no_sanitize("all"), clang::no_sanitize("coverage"), clang::minsize
#else
#define LOBOS_OVERLAY_CODE                                                                                             \
    gnu::section("lobos_overlay_copy"), gnu::used, gnu::no_instrument_function, gnu::no_stack_protector,               \
        gnu::no_sanitize("all"), gnu::no_sanitize_coverage, gnu::optimize("Os", "no-ivopts", "omit-frame-pointer")
#endif

/// How the overlay moves memory: one of <lobos/machine/copy.hpp>, or the embedder's own. A macro, because GCC does not
/// heed the section of a template.
#ifndef LOBOS_X86_MOVER
#define LOBOS_X86_MOVER lobos::machine::rep_movs
#endif

extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier): the linker's names, of a section whose name is a C identifier.
extern const std::byte __start_lobos_overlay_copy[] __attribute__((visibility("hidden")));
extern const std::byte __stop_lobos_overlay_copy[] __attribute__((visibility("hidden")));
// NOLINTEND(bugprone-reserved-identifier)
}

/// The ends of a piece of assembly.
#define LOBOS_X86_PIECE_ENDS(name)                                                                                     \
    extern const std::byte lobos_x86_##name[] __attribute__((visibility("hidden")));                                   \
    extern const std::byte lobos_x86_##name##_end[] __attribute__((visibility("hidden")))

extern "C" {
LOBOS_X86_PIECE_ENDS(depart);
LOBOS_X86_PIECE_ENDS(arrive);
LOBOS_X86_PIECE_ENDS(down);
LOBOS_X86_PIECE_ENDS(hub);
LOBOS_X86_PIECE_ENDS(leave_flat);
LOBOS_X86_PIECE_ENDS(up);
LOBOS_X86_PIECE_ENDS(enter_long);
LOBOS_X86_PIECE_ENDS(leave_long);
LOBOS_X86_PIECE_ENDS(guard_32);
LOBOS_X86_PIECE_ENDS(guard_64);
#if defined(__x86_64__)
LOBOS_X86_PIECE_ENDS(switch_long);
LOBOS_X86_PIECE_ENDS(copy_32);
#endif
}

namespace lobos::machine {

extern "C" {

/// The copy loop. `program` is the identity address of the overlay_program.
[[LOBOS_OVERLAY_CODE]] inline void lobos_x86_copy(std::uintptr_t program)
{
    identity_memory<LOBOS_X86_MOVER> memory{}; // braces: at -O0 a constructor would be a call
    overlay::run<overlay::skips_in_plan>(memory, program);
}
}

/// All pieces, for the port to choose from.
inline x86::overlay_code overlay_pieces()
{
    const auto between = [](const std::byte* first, const std::byte* end) {
        return std::span{first, static_cast<std::size_t>(end - first)};
    };
    using enum x86::piece;
    x86::overlay_code code{};
    const auto put = [&](x86::piece p, std::span<const std::byte> bytes) {
        code.parts[static_cast<std::size_t>(p)] = bytes;
    };
    // The linker keeps the loop's section for the sake of these two, and the function is all of it.
    put(copy, between(__start_lobos_overlay_copy, __stop_lobos_overlay_copy));
    put(depart, between(lobos_x86_depart, lobos_x86_depart_end));
    put(arrive, between(lobos_x86_arrive, lobos_x86_arrive_end));
    put(down, between(lobos_x86_down, lobos_x86_down_end));
    put(hub, between(lobos_x86_hub, lobos_x86_hub_end));
    put(leave_flat, between(lobos_x86_leave_flat, lobos_x86_leave_flat_end));
    put(up, between(lobos_x86_up, lobos_x86_up_end));
    put(enter_long, between(lobos_x86_enter_long, lobos_x86_enter_long_end));
    put(leave_long, between(lobos_x86_leave_long, lobos_x86_leave_long_end));
    put(guard_32, between(lobos_x86_guard_32, lobos_x86_guard_32_end));
    put(guard_64, between(lobos_x86_guard_64, lobos_x86_guard_64_end));
#if defined(__x86_64__)
    put(switch_long, between(lobos_x86_switch_long, lobos_x86_switch_long_end));
    put(copy_32, between(lobos_x86_copy_32, lobos_x86_copy_32_end));
#else
    put(copy_32, code[copy]);
#endif
    return code;
}

} // namespace lobos::machine
