// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The overlay's code as pieces, of which an exec takes those that lie on its way. None refers to another but through
/// the frame, so each can lie anywhere in the safe page.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace lobos::x86 {

enum class piece : std::uint8_t {
    depart,      ///< from the running kernel's address space to the identity mapping
    arrive,      ///< selectors, and on to the copy
    copy,        ///< the copy loop in the running kernel's mode
    copy_32,     ///< the copy loop in 32-bit code, for the hub; on a 32-bit machine it is `copy`
    down,        ///< from the running kernel's mode to the hub
    hub,         ///< paging off
    leave_flat,  ///< the way out of 32-bit code, paged or not
    up,          ///< from the hub into a mode with paging
    enter_long,  ///< from the compatibility mode that `up` ends in to 64-bit code
    switch_long, ///< from the running 64-bit kernel's descriptors to the image's
    leave_long,  ///< the way out of 64-bit code
    guard_32,    ///< what handles exceptions in 32-bit code
    guard_64,    ///< and in 64-bit code
};
inline constexpr std::size_t pieces = 13;

/// Where in a guard things lie: a stub of so many bytes for each vector, and behind them the handler of NMIs.
inline constexpr std::uint32_t guard_stub_size = 5;
inline constexpr std::uint32_t guard_nmi = 32 * guard_stub_size;

struct overlay_code {
    std::array<std::span<const std::byte>, pieces> parts; ///< empty: the machine's code has no such piece

    constexpr std::span<const std::byte> operator[](piece p) const { return parts[static_cast<std::size_t>(p)]; }
};

} // namespace lobos::x86
