// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// SHA-256 [fips/180-4 §6.2], for an image whose digest was published by somebody else. Plain 32-bit words, no tables
/// but the constants; a copy of the class is a copy of the whole state. Messages of up to 2^61 - 1 bytes.

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include <lobos/core/checksum.hpp>

namespace lobos {

namespace detail {

/// The first 32 bits of the fractions of the cube roots of the first 64 primes [fips/180-4 §4.2.2].
inline constexpr std::array<std::uint32_t, 64> sha256_constants = {0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5,
    0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,                                                 //
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, //
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, //
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, //
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, //
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, //
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, //
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

} // namespace detail

/// A digest in the making.
class sha256 {
public:
    using digest = std::array<std::byte, 32>;

    constexpr sha256& update(std::span<const std::byte> bytes)
    {
        std::size_t held = static_cast<std::size_t>(size_ % block_size);
        size_ += bytes.size();
        while (bytes.size() >= block_size - held) {
            const std::size_t here = block_size - held;
            std::copy_n(bytes.begin(), here, block_.begin() + static_cast<std::ptrdiff_t>(held));
            mix();
            bytes = bytes.subspan(here);
            held = 0;
        }
        std::copy_n(bytes.begin(), bytes.size(), block_.begin() + static_cast<std::ptrdiff_t>(held));
        return *this;
    }

    /// Pads a copy [fips/180-4 §5.1.1], so this one can go on.
    constexpr digest value() const
    {
        sha256 end = *this;
        std::array<std::byte, block_size + 8> padding{std::byte{0x80}};
        const auto held = static_cast<std::size_t>(size_ % block_size);
        // Zeros until 8 bytes are missing in a block; there the message's length in bits.
        const std::size_t zeros = (held < block_size - 8 ? block_size : 2 * block_size) - 8 - held;
        for (std::size_t i = 0; i < 8; ++i)
            padding[zeros + i] = static_cast<std::byte>(size_ * 8 >> (56 - 8 * i) & 0xff);
        end.update(std::span<const std::byte>{padding}.first(zeros + 8));

        digest out{};
        for (std::size_t i = 0; i < out.size(); ++i)
            out[i] = static_cast<std::byte>(end.state_[i / 4] >> (24 - 8 * (i % 4)) & 0xff);
        return out;
    }

private:
    static constexpr std::size_t block_size = 64;

    /// Takes the block into the state [fips/180-4 §6.2.2]. Of the message schedule only the last 16 words are kept.
    constexpr void mix()
    {
        std::array<std::uint32_t, 16> words{};
        for (std::size_t i = 0; i < block_size; ++i)
            words[i / 4] = words[i / 4] << 8 | std::to_integer<std::uint32_t>(block_[i]);
        auto [a, b, c, d, e, f, g, h] = state_;
        for (std::size_t t = 0; t < 64; ++t) {
            std::uint32_t& word = words[t % 16];
            if (t >= 16) {
                const std::uint32_t two = words[(t + 14) % 16];
                const std::uint32_t fifteen = words[(t + 1) % 16];
                word += (std::rotr(two, 17) ^ std::rotr(two, 19) ^ two >> 10) + words[(t + 9) % 16] +
                    (std::rotr(fifteen, 7) ^ std::rotr(fifteen, 18) ^ fifteen >> 3);
            }
            const std::uint32_t one = h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) +
                ((e & f) ^ (~e & g)) + detail::sha256_constants[t] + word;
            const std::uint32_t other =
                (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
            h = g;
            g = f;
            f = e;
            e = d + one;
            d = c;
            c = b;
            b = a;
            a = one + other;
        }
        const std::array<std::uint32_t, 8> mixed{a, b, c, d, e, f, g, h};
        for (std::size_t i = 0; i < 8; ++i)
            state_[i] += mixed[i];
    }

    /// The fractions of the square roots of the first 8 primes [fips/180-4 §5.3.3].
    std::array<std::uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, //
        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    std::array<std::byte, block_size> block_{}; ///< what is there of the next one
    std::uint64_t size_ = 0;                    ///< bytes of the message so far
};

// Sanity checks: the empty message, and "abc" in two pieces.
static_assert(checksum_policy<sha256>);
namespace detail {
constexpr bool begins_with(const sha256& sum, std::uint32_t word)
{
    const auto value = sum.value();
    for (std::size_t i = 0; i < 4; ++i)
        if (std::to_integer<std::uint32_t>(value[i]) != (word >> (24 - 8 * i) & 0xff))
            return false;
    return true;
}
} // namespace detail
static_assert(detail::begins_with(sha256{}, 0xe3b0'c442));
static_assert(detail::begins_with(
    sha256{}.update(std::array{std::byte{'a'}}).update(std::array{std::byte{'b'}, std::byte{'c'}}), 0xba78'16bf));

} // namespace lobos
