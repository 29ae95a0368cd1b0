// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What a checksum is, for code that leaves the choice to its caller: a cheap one against accidents (`crc32c`), or one
/// that nobody can forge (`sha256`).

#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

namespace lobos {

/// A checksum in the making. It is fed in pieces of any size, can be read at any time, and can go on afterwards.
template <class S>
concept checksum_policy =
    std::default_initializable<S> && requires(S& sum, const S& so_far, std::span<const std::byte> bytes) {
        sum.update(bytes);
        { so_far.value() } -> std::equality_comparable;
    };

/// What a checksum comes to.
template <checksum_policy S> using checksum_value = std::remove_cvref_t<decltype(std::declval<const S&>().value())>;

} // namespace lobos
