// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

/// \file
/// A 64-bit kernel linked above 4 GiB, that is entered with paging on and says where it is and what it found: its data,
/// its zeros, the loader's magic number, and whether ebx can hold the address that came in rbx.

#include <cstdint>

asm(R"(
    .text
    .global _start
_start:
    leaq stack_end(%rip), %rsp
    movl %eax, %edi
    movq %rbx, %rsi
    leaq _start(%rip), %rdx
    call told
1:  hlt
    jmp 1b

    .bss
    .balign 16
    .skip 4096
stack_end:
    .text                               # where the compiler believes to be
)");

#include "serial.hpp" // its code lies behind the entry

namespace {

volatile std::uint32_t data[8192] = {1, 2, 3};
volatile std::uint32_t zeros[8192];

bool all_there()
{
    for (std::uint32_t i = 0; i < 8192; ++i)
        if (data[i] != (i < 3 ? i + 1 : 0) || zeros[i] != 0)
            return false;
    data[8191] = zeros[8191] = 1; // it is there to be written, too
    return data[8191] == zeros[8191];
}

} // namespace

extern "C" void told(std::uint32_t magic, std::uint64_t info, std::uint64_t here)
{
    say("above: at ");
    say_number<16>(here);
    say(all_there() ? "\nabove: all there\n" : "\nabove: not all there\n");
    say(magic == 0x2bad'b002 ? "above: loader: yes\n" : "above: loader: no\n");
    say("above: told at ");
    say_number<16>(info);
    say("\nabove: that was all\n");
    power_off();
}
