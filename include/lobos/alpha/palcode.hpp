// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The calls of the PALcode for Unix that lobos and the kernels around it make, and its entries, by the manual's names
/// [alpha/arm II-B]. A call is an instruction to everyone else: it needs no stack. Arguments are in a0 and a1, what
/// comes back is in v0; t0, t8 to t11 and the arguments are anybody's afterwards, all else stays.

#include <cstdint>

namespace lobos::alpha {

enum class pal : unsigned {
    halt = 0x00,     ///< the console takes over; what it does, its processor's slot in the HWRPB may say
    wrvptptr = 0x2d, ///< where the PALcode looks for the virtual page table
    swpctx = 0x30,   ///< on under the context at a physical address; returns that of the one until now
    tbi = 0x33,      ///< forgets translations: all of them, also those of every address space, for `tbi_all`
    wrent = 0x34,    ///< (address, system_entry): where the kernel is entered for a reason
    swpipl = 0x35,   ///< the priority of interrupts, of which 7 lets none through; returns the one until now
    rdps = 0x36,     ///< the processor status
    wrkgp = 0x37,    ///< the global pointer that the kernel is entered with
    whami = 0x3c,    ///< which processor this is
    imb = 0x86,      ///< instructions that were written can be executed
};

inline constexpr std::uint64_t tbi_all = ~std::uint64_t{1}; // -2

/// What `wrent` names, in its order.
enum class system_entry : std::uint64_t { interrupt, arithmetic, memory, instruction, unaligned, system_call };

} // namespace lobos::alpha
