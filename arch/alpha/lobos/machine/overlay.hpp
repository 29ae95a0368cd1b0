// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The code that lies in safe memory on Alpha. It is copied piece by piece, so nothing in it may refer to anything but
/// its arguments: no relocation, no call out, no global, and no global pointer.
///
/// The way through it: `depart` runs at the page's old virtual address, loads the context of the copy, and goes on in
/// kseg to the copy loop, which returns to `leave`.

#include <lobos/machine/guard.hpp>
#include <lobos/overlay/mapped_memory.hpp>

namespace lobos::machine {

/// Physical memory for the overlay's loop, in kseg. A quadword is what every Alpha loads and stores; a byte is stored
/// by way of its quadword where the processor has no stores of bytes.
struct kseg_memory : overlay::mapped_memory<alpha::kseg_direct.first.raw()> {
    /// Of rpcc's 32 bits, which wrap within some seconds.
    LOBOS_OVERLAY_INLINE static std::uint64_t clock()
    {
        std::uint64_t value = 0;
        asm volatile("rpcc %0" : "=r"(value));
        return value & 0xffff'ffff;
    }
};
static_assert(overlay::loop_memory<kseg_memory> && overlay::word_memory<kseg_memory>);

/// The copy loop. `program` is the physical address of the overlay_program.
extern "C" [[LOBOS_OVERLAY_CODE]] inline void lobos_alpha_copy(std::uint64_t program)
{
    kseg_memory memory{}; // braces: at -O0 a constructor would be a call
    overlay::run<overlay::skips_in_plan>(memory, program);
}

/// All pieces, for the port to put into a page.
inline alpha::overlay_code overlay_pieces()
{
    return {{LOBOS_OVERLAY_BYTES(lobos_alpha_depart), overlay::copy_loop_bytes(),
        LOBOS_OVERLAY_BYTES(lobos_alpha_leave), LOBOS_OVERLAY_BYTES(lobos_alpha_guard)}};
}

} // namespace lobos::machine
