// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// How the library reaches physical memory before the point of no return: it asks. A kernel answers through its linear
/// map or a temporary window, the simulator through its own memory, which knows what was never written.

#include <concepts>
#include <cstddef>
#include <cstring>
#include <span>
#include <type_traits>

#include <lobos/core/address.hpp>

namespace lobos {

template <class M>
concept physical_memory = requires(M& memory, phys_addr at, std::span<std::byte> out, std::span<const std::byte> in) {
    { memory.read(at, out) } -> std::same_as<void>; // all of `out`, from consecutive addresses
    { memory.write(at, in) } -> std::same_as<void>; // all of `in`, to consecutive addresses
};

/// The object representation of a plain value, for writing.
template <class T>
    requires std::is_trivially_copyable_v<T>
std::span<const std::byte> bytes_of(const T& value)
{
    return {reinterpret_cast<const std::byte*>(&value), sizeof(T)};
}

/// A plain value read from physical memory.
template <class T, physical_memory M>
    requires std::is_trivially_copyable_v<T>
T load(M& memory, phys_addr at)
{
    T value;
    memory.read(at, {reinterpret_cast<std::byte*>(&value), sizeof(T)});
    return value;
}

/// A plain value written to physical memory.
template <class T, physical_memory M>
    requires std::is_trivially_copyable_v<T>
void store(M& memory, phys_addr at, const T& value)
{
    memory.write(at, bytes_of(value));
}

/// `size` zeros.
template <physical_memory M> void store_zeros(M& memory, phys_addr at, byte_count size)
{
    constexpr std::byte zeros[256] = {};
    for (std::uint64_t done = 0; done < size.raw();) {
        const std::uint64_t here = size.raw() - done < sizeof zeros ? size.raw() - done : sizeof zeros;
        memory.write(at + byte_count::of(done), std::span{zeros}.first(static_cast<std::size_t>(here)));
        done += here;
    }
}

} // namespace lobos
