// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The code that lies in safe memory on x86. It is copied piece by piece, so nothing in it may refer to anything but
/// its arguments: no relocation, no call out, no global.
///
/// The way through it: `depart` runs at the page's old virtual address, loads the new table root, and goes on in the
/// page's identity mapping as `arrive`, which takes the overlay's selectors and stack and goes to the copy loop, or
/// first down to the hub where paging is off; from there or directly to the way out that the entry contract asks for.

#include <lobos/machine/copy.hpp>
#include <lobos/machine/guard.hpp>
#include <lobos/machine/hub.hpp>
#include <lobos/x86/overlay_code.hpp>
#if defined(__x86_64__)
#include <lobos/machine/departure_64.hpp>
#else
#include <lobos/machine/departure_32.hpp>
#endif

/// How the overlay moves memory: one of <lobos/machine/copy.hpp>, or the embedder's own. A macro, because GCC does not
/// heed the section of a template.
#ifndef LOBOS_X86_MOVER
#define LOBOS_X86_MOVER lobos::machine::rep_movs
#endif

namespace lobos::machine {

/// The copy loop. `program` is the identity address of the overlay_program.
extern "C" [[LOBOS_OVERLAY_CODE]] inline void lobos_x86_copy(std::uintptr_t program)
{
    identity_memory<LOBOS_X86_MOVER> memory{}; // braces: at -O0 a constructor would be a call
    overlay::run<overlay::skips_in_plan>(memory, program);
}

/// All pieces, for the port to choose from.
inline x86::overlay_code overlay_pieces()
{
    using enum x86::piece;
    x86::overlay_code code{};
    const auto put = [&](x86::piece p, std::span<const std::byte> bytes) {
        code.parts[static_cast<std::size_t>(p)] = bytes;
    };
    put(copy, overlay::copy_loop_bytes());
    put(depart, LOBOS_OVERLAY_BYTES(lobos_x86_depart));
    put(arrive, LOBOS_OVERLAY_BYTES(lobos_x86_arrive));
    put(down, LOBOS_OVERLAY_BYTES(lobos_x86_down));
    put(hub, LOBOS_OVERLAY_BYTES(lobos_x86_hub));
    put(leave_flat, LOBOS_OVERLAY_BYTES(lobos_x86_leave_flat));
    put(up, LOBOS_OVERLAY_BYTES(lobos_x86_up));
    put(enter_long, LOBOS_OVERLAY_BYTES(lobos_x86_enter_long));
    put(leave_long, LOBOS_OVERLAY_BYTES(lobos_x86_leave_long));
    put(guard_32, LOBOS_OVERLAY_BYTES(lobos_x86_guard_32));
    put(guard_64, LOBOS_OVERLAY_BYTES(lobos_x86_guard_64));
#if defined(__x86_64__)
    put(switch_long, LOBOS_OVERLAY_BYTES(lobos_x86_switch_long));
    put(copy_32, LOBOS_OVERLAY_BYTES(lobos_x86_copy_32));
#else
    put(copy_32, code[copy]);
#endif
    return code;
}

} // namespace lobos::machine
