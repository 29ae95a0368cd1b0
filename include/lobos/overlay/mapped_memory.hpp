// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Physical memory for the overlay's loop, where all of it is mapped in a row: plain loads and stores. A machine's
/// policy is this and a clock, and its own way to move blocks, if it has a better one than words.

#include <lobos/overlay/copy_loop.hpp>

namespace lobos::overlay {

/// Memory that can be seen from virtual address `Base` on; 0 where it is mapped one to one.
template <std::uintptr_t Base = 0> struct mapped_memory {
    using address = std::uintptr_t;
    using word = std::uintptr_t;

    template <class T> LOBOS_OVERLAY_INLINE static volatile T* pointer(address at)
    {
        return reinterpret_cast<volatile T*>(at + Base);
    }
    LOBOS_OVERLAY_INLINE static word load_word(address at) { return *pointer<word>(at); }
    LOBOS_OVERLAY_INLINE static std::uint8_t load_byte(address at) { return *pointer<std::uint8_t>(at); }
    LOBOS_OVERLAY_INLINE static std::uint64_t load_u64(address at) { return *pointer<std::uint64_t>(at); }
    LOBOS_OVERLAY_INLINE static void store_word(address at, word value) { *pointer<word>(at) = value; }
    LOBOS_OVERLAY_INLINE static void store_byte(address at, std::uint8_t value) { *pointer<std::uint8_t>(at) = value; }
    LOBOS_OVERLAY_INLINE static void store_u32(address at, std::uint32_t value) { *pointer<std::uint32_t>(at) = value; }
    LOBOS_OVERLAY_INLINE static void store_u64(address at, std::uint64_t value) { *pointer<std::uint64_t>(at) = value; }
};

} // namespace lobos::overlay
