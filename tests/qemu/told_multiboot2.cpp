// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

/// \file
/// A kernel that a multiboot 2 loader starts, and that says on the serial line what it was told. It shares no code with
/// lobos: a second reading of the manual [multiboot2/2.0 §3.6].

#include <cstdint>

asm(R"(
    .text
    .balign 8
header:
    .long 0xe85250d6                    # magic
    .long 0                             # 32-bit protected mode
    .long header_end - header
    .long -(0xe85250d6 + (header_end - header))
    .word 6, 0                          # modules on page boundaries
    .long 8
    .word 0, 0
    .long 8
header_end:

    .global _start
_start:
    movl $stack_end, %esp
    pushl $0
    popfl
    pushl %ebx
    pushl %eax
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

struct tag {
    std::uint32_t type, size;
    const char* bytes(std::uint32_t offset) const { return reinterpret_cast<const char*>(this) + offset; }
    std::uint32_t word(std::uint32_t offset) const { return *reinterpret_cast<const std::uint32_t*>(bytes(offset)); }
};

std::uint32_t usable_mebibytes(const tag& map)
{
    std::uint64_t bytes = 0;
    for (std::uint32_t at = 16; at + 24 <= map.size; at += map.word(8))
        if (map.word(at + 16) == 1)
            bytes += map.word(at + 8) | static_cast<std::uint64_t>(map.word(at + 12)) << 32;
    return static_cast<std::uint32_t>(bytes >> 20);
}

/// Of EFI's descriptors: type at 0, pages at 24, attributes at 32.
std::uint32_t free_mebibytes(const tag& map)
{
    std::uint32_t pages = 0;
    for (std::uint32_t at = 16; at + 40 <= map.size; at += map.word(8))
        if (map.word(at) == 7)
            pages += map.word(at + 24);
    return pages >> 8;
}

std::uint32_t at_run_time(const tag& map)
{
    std::uint32_t count = 0;
    for (std::uint32_t at = 16; at + 40 <= map.size; at += map.word(8))
        count += map.word(at + 36) >> 31;
    return count;
}

bool is_system_table(const char* at)
{
    constexpr char signature[] = "IBI SYST";
    for (int i = 0; i < 8; ++i)
        if (at[i] != signature[i])
            return false;
    return true;
}

} // namespace

extern "C" void told(std::uint32_t magic, const char* info)
{
    say("told: loader: ");
    say(magic == 0x36d76289 ? "yes\n" : "no\n");
    for (const auto* t = reinterpret_cast<const tag*>(info + 8); t->type != 0;
        t = reinterpret_cast<const tag*>(t->bytes((t->size + 7) & ~7u))) {
        if (t->type == 1) {
            say("told: command line: ");
            say(t->bytes(8));
        } else if (t->type == 3) {
            say("told: module: ");
            say(t->bytes(16));
            say(" ");
            say_number<10>(t->word(12) - t->word(8));
        } else if (t->type == 6) {
            say("told: usable MiB: ");
            say_number<10>(usable_mebibytes(*t));
        } else if (t->type == 12) {
            say("told: 64-bit EFI: ");
            say(is_system_table(reinterpret_cast<const char*>(t->word(8))) ? "yes" : "no");
        } else if (t->type == 17) {
            say("told: free MiB by EFI: ");
            say_number<10>(free_mebibytes(*t));
            say("\ntold: of EFI at run time: ");
            say_number<10>(at_run_time(*t));
        } else if (t->type == 14 || t->type == 15) {
            say("told: root pointer: ");
            say(t->bytes(8)[0] == 'R' && t->bytes(8)[4] == 'P' ? "yes" : "no");
        } else {
            continue;
        }
        say("\n");
    }
    say("told: that was all\n");
    power_off();
}
