// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The code that is copied into safe memory, as it lies in the program that brings it: pieces of assembly, each between
/// two symbols, and the one compiled function, the copy loop, which has a section to itself. For GCC and clang, and
/// linkers for ELF. A machine says what is in them: <lobos/machine/overlay.hpp>.

#include <cstddef>
#include <span>

/// Defines piece `name`, an identifier, as the instructions of the string `body`, once in a program however many units
/// include it.
#define LOBOS_OVERLAY_PIECE(name, body)                                                                                \
    asm(".pushsection lobos_overlay,\"axG\",@progbits," #name ",comdat\n\t.globl " #name "\n\t.globl " #name           \
        "_end\n\t.hidden " #name "\n\t.hidden " #name "_end\n" #name ":\n\t" body "\n" #name "_end:\n\t.popsection");  \
    extern "C" const std::byte name[] __attribute__((visibility("hidden")));                                           \
    extern "C" const std::byte name##_end[] __attribute__((visibility("hidden")))

/// The bytes of piece `name`.
#define LOBOS_OVERLAY_BYTES(name) (::std::span<const ::std::byte>{name, name##_end})

/// Attributes of the function that is the copy loop: in its section, small, and untouched by what an embedder's flags
/// would weave into it.
#if defined(__clang__)
#define LOBOS_OVERLAY_CODE                                                                                             \
    gnu::section("lobos_overlay_copy"), gnu::used, gnu::no_instrument_function, gnu::no_stack_protector,               \
        clang::no_sanitize("all"), clang::no_sanitize("coverage"), clang::minsize
#else
#define LOBOS_OVERLAY_CODE                                                                                             \
    gnu::section("lobos_overlay_copy"), gnu::used, gnu::no_instrument_function, gnu::no_stack_protector,               \
        gnu::no_sanitize("all"), gnu::no_sanitize_coverage, gnu::optimize("Os", "no-ivopts", "omit-frame-pointer")
#endif

extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier): the linker's names, of a section whose name is a C identifier.
extern const std::byte __start_lobos_overlay_copy[] __attribute__((visibility("hidden")));
extern const std::byte __stop_lobos_overlay_copy[] __attribute__((visibility("hidden")));
// NOLINTEND(bugprone-reserved-identifier)
}

namespace lobos::overlay {

/// The bytes of the copy loop. The linker keeps its section for the sake of these two symbols, and the function is all
/// that is in it.
inline std::span<const std::byte> copy_loop_bytes()
{
    return {__start_lobos_overlay_copy, __stop_lobos_overlay_copy};
}

} // namespace lobos::overlay
