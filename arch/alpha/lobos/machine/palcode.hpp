// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Calls of the PALcode.

#include <lobos/alpha/palcode.hpp>

namespace lobos::machine {

/// Makes the call with up to two arguments. Returns what it leaves in v0, which means nothing for some. Not for calls
/// after which the stack is another.
template <alpha::pal Call> std::uint64_t call_pal(std::uint64_t first = 0, std::uint64_t second = 0)
{
    register std::uint64_t v0 asm("$0");
    register std::uint64_t a0 asm("$16") = first;
    register std::uint64_t a1 asm("$17") = second;
    asm volatile("call_pal %3" : "=r"(v0), "+r"(a0), "+r"(a1) : "i"(Call) : "$1", "$22", "$23", "$24", "$25", "memory");
    return v0;
}

} // namespace lobos::machine
