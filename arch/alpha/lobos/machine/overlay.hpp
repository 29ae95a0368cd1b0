// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The code that lies in safe memory on Alpha. It is copied piece by piece, so nothing in it may refer to anything but
/// its arguments: no relocation, no call out, no global, and no global pointer.
///
/// The way through it: `depart` runs at the page's old virtual address, loads the context of the copy, and goes on in
/// kseg to the copy loop, which returns to `leave`.

#include <lobos/machine/guard.hpp>
#include <lobos/overlay/copy_loop.hpp>

/// In its own section, small, and untouched by what an embedder's flags would weave into it. There is no clang for an
/// Alpha.
#define LOBOS_OVERLAY_CODE                                                                                             \
    gnu::section("lobos_overlay_copy"), gnu::used, gnu::no_instrument_function, gnu::no_stack_protector,               \
        gnu::no_sanitize("all"), gnu::no_sanitize_coverage, gnu::optimize("Os", "no-ivopts", "omit-frame-pointer")

extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier): the linker's names, of a section whose name is a C identifier.
extern const std::byte __start_lobos_overlay_copy[] __attribute__((visibility("hidden")));
extern const std::byte __stop_lobos_overlay_copy[] __attribute__((visibility("hidden")));
// NOLINTEND(bugprone-reserved-identifier)
extern const std::byte lobos_alpha_depart[] __attribute__((visibility("hidden")));
extern const std::byte lobos_alpha_depart_end[] __attribute__((visibility("hidden")));
extern const std::byte lobos_alpha_leave[] __attribute__((visibility("hidden")));
extern const std::byte lobos_alpha_leave_end[] __attribute__((visibility("hidden")));
extern const std::byte lobos_alpha_guard[] __attribute__((visibility("hidden")));
extern const std::byte lobos_alpha_guard_end[] __attribute__((visibility("hidden")));
}

namespace lobos::machine {

/// Physical memory for the overlay's loop, in kseg. A quadword is what every Alpha loads and stores; a byte is stored
/// by way of its quadword where the processor has no stores of bytes.
struct kseg_words {
    using address = std::uint64_t;
    using word = std::uint64_t;
    static constexpr address base = alpha::kseg_direct.first.raw(); // a constant: unoptimized, raw() would be a call

    template <class T> LOBOS_OVERLAY_INLINE static volatile T* pointer(address at)
    {
        return reinterpret_cast<volatile T*>(at + base);
    }
    LOBOS_OVERLAY_INLINE static word load_word(address at) { return *pointer<word>(at); }
    LOBOS_OVERLAY_INLINE static std::uint8_t load_byte(address at) { return *pointer<std::uint8_t>(at); }
    LOBOS_OVERLAY_INLINE static std::uint64_t load_u64(address at) { return *pointer<std::uint64_t>(at); }
    LOBOS_OVERLAY_INLINE static void store_word(address at, word value) { *pointer<word>(at) = value; }
    LOBOS_OVERLAY_INLINE static void store_byte(address at, std::uint8_t value) { *pointer<std::uint8_t>(at) = value; }
    LOBOS_OVERLAY_INLINE static void store_u32(address at, std::uint32_t value) { *pointer<std::uint32_t>(at) = value; }
    LOBOS_OVERLAY_INLINE static void store_u64(address at, std::uint64_t value) { *pointer<std::uint64_t>(at) = value; }
    /// Of rpcc's 32 bits, which wrap within some seconds.
    LOBOS_OVERLAY_INLINE static std::uint64_t clock()
    {
        std::uint64_t value = 0;
        asm volatile("rpcc %0" : "=r"(value));
        return value & 0xffff'ffff;
    }
};
static_assert(overlay::loop_memory<kseg_words> && overlay::word_memory<kseg_words>);

extern "C" {

/// The copy loop. `program` is the physical address of the overlay_program.
[[LOBOS_OVERLAY_CODE]] inline void lobos_alpha_copy(std::uint64_t program)
{
    kseg_words memory{}; // braces: at -O0 a constructor would be a call
    overlay::run<overlay::skips_in_plan>(memory, program);
}
}

/// All pieces, for the port to put into a page.
inline alpha::overlay_code overlay_pieces()
{
    const auto between = [](const std::byte* first, const std::byte* end) {
        return std::span{first, static_cast<std::size_t>(end - first)};
    };
    using enum alpha::piece;
    alpha::overlay_code code{};
    const auto put = [&](alpha::piece p, std::span<const std::byte> bytes) {
        code.parts[static_cast<std::size_t>(p)] = bytes;
    };
    put(depart, between(lobos_alpha_depart, lobos_alpha_depart_end));
    // The linker keeps the loop's section for the sake of these two, and the function is all of it.
    put(copy, between(__start_lobos_overlay_copy, __stop_lobos_overlay_copy));
    put(leave, between(lobos_alpha_leave, lobos_alpha_leave_end));
    put(guard, between(lobos_alpha_guard, lobos_alpha_guard_end));
    return code;
}

} // namespace lobos::machine
