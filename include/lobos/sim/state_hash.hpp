// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// One number for a lot of state, so that "everything is as it was" is one comparison. FNV-1a, 64 bits: for telling
/// apart what a test did, not what an adversary wrote.

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

namespace lobos::sim {

class state_hash {
public:
    void add(std::span<const std::byte> bytes)
    {
        for (const std::byte b : bytes)
            mix(std::to_integer<std::uint8_t>(b));
    }
    /// A number or an enumerator, the same on every host.
    template <class T>
        requires std::is_integral_v<T> || std::is_enum_v<T>
    void add(T value)
    {
        auto rest = static_cast<std::uint64_t>(value);
        for (int i = 0; i < 8; ++i, rest >>= 8)
            mix(static_cast<std::uint8_t>(rest & 0xff));
    }

    std::uint64_t value() const { return value_; }

private:
    void mix(std::uint8_t byte) { value_ = (value_ ^ byte) * 0x100'0000'01b3; }

    std::uint64_t value_ = 0xcbf2'9ce4'8422'2325;
};

} // namespace lobos::sim
