// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Exceptions of this kernel, which expects none: one is noted in the log's breadcrumb, as the guard of an exec would,
/// and the machine is reset. An NMI returns. So an exec is watched over from the beginning: by these gates until the
/// overlay has loaded its own.

#include "../console.hpp"

#include <lobos/x86/interrupt_gate.hpp>
#include <lobos/x86/machine_facts.hpp>

extern "C" {
extern const std::byte exception_stubs[]; // of 16 bytes each
extern const std::byte nmi_stub[];
}

asm(R"(
    .pushsection .text
    .global exception_stubs, nmi_stub
    .balign 16
exception_stubs:
    .set vector, 0
    .rept 32
    .balign 16
    .if !((0x60227d00 >> vector) & 1)   # no error code comes with it
    push $0
    .endif
    push $vector
    jmp 1f
    .set vector, vector + 1
    .endr
nmi_stub:
)"
#if defined(__x86_64__)
    R"(
    iretq
1:  popq %rdi
    popq %rsi
    movq (%rsp), %rdx
    andq $-16, %rsp
    cld
    call kernel_exception
)"
#else
    R"(
    iretl
1:  cld
    call kernel_exception
)"
#endif
    ".popsection");

namespace kernel {

/// Resets the machine as the guard does: by the chipset's register, the keyboard controller, a triple fault.
[[noreturn]] inline void reset()
{
    const auto wait = [] {
        for (int i = 0; i < 0x2000; ++i)
            (void)lobos::machine::in_byte(0x80);
    };
    lobos::machine::out_byte(0xcf9, 0x02);
    lobos::machine::out_byte(0xcf9, 0x06);
    wait();
    lobos::machine::out_byte(0x64, 0xfe);
    wait();
    const lobos::machine::table_register none{};
    asm volatile("lidt %0\n\tint3" : : "m"(none));
    __builtin_unreachable();
}

/// Loads the table of gates.
inline void catch_exceptions()
{
    using namespace lobos;
    constexpr bool is_64 = sizeof(void*) == 8;
    static std::array<std::uint64_t, x86::exception_vectors*(is_64 ? 2 : 1)> gates{};
    for (std::size_t v = 0; v < x86::exception_vectors; ++v) {
        const auto at = reinterpret_cast<std::uintptr_t>(v == x86::nmi_vector ? nmi_stub : exception_stubs + 16 * v);
        if constexpr (is_64)
            std::ranges::copy(
                x86::gate_64(lobos::machine::read_cs(), at), gates.begin() + 2 * static_cast<std::ptrdiff_t>(v));
        else
            gates[v] = x86::gate_32(lobos::machine::read_cs(), static_cast<std::uint32_t>(at));
    }
    const lobos::machine::table_register idtr{
        static_cast<std::uint16_t>(sizeof gates - 1), reinterpret_cast<std::uintptr_t>(gates.data())};
    asm volatile("lidt %0" : : "m"(idtr));
}

} // namespace kernel

/// No stack is left to say much: the record is what counts.
extern "C" [[noreturn]] inline __attribute__((used)) void kernel_exception(
    std::uintptr_t vector, std::uintptr_t error, std::uintptr_t at)
{
    using namespace lobos;
    if (kernel::out.log) {
        const phys_addr trail = kernel::out.log->trail();
        auto crumb = load<breadcrumb>(kernel::memory, trail);
        crumb.exception = static_cast<std::uint32_t>(vector + 1);
        crumb.error = static_cast<std::uint32_t>(error);
        crumb.at = at;
        crumb.touched = lobos::machine::read_cr2();
        store(kernel::memory, trail, crumb);
    }
    kernel::out.show(
        text_line{"stopped: exception "}.add_decimal(vector).add(" at ").add_hex(at, 8).add(", resetting"));
    kernel::reset();
}
