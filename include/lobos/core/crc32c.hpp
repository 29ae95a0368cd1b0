// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// CRC-32C (Castagnoli) [rfc/3720 appendix B.4]: reflected polynomial 0x82f63b78, initial value and final complement
/// all ones. Finds every single flipped bit and every burst of up to 32 bits. Eight bytes at a time by tables.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <lobos/core/checksum.hpp>

namespace lobos {

namespace detail {

using crc_tables = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr crc_tables make_crc32c_tables()
{
    crc_tables t{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t crc = byte;
        for (int bit = 0; bit < 8; ++bit)
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f6'3b78u : 0u);
        t[0][byte] = crc;
    }
    for (std::size_t k = 1; k < 8; ++k)
        for (std::size_t byte = 0; byte < 256; ++byte)
            t[k][byte] = (t[k - 1][byte] >> 8) ^ t[0][t[k - 1][byte] & 0xff];
    return t;
}

inline constexpr crc_tables crc32c_tables = make_crc32c_tables();

} // namespace detail

/// A checksum in the making.
class crc32c {
public:
    constexpr crc32c& update(std::span<const std::byte> bytes)
    {
        const auto& t = detail::crc32c_tables;
        const auto at = [&](std::size_t i) { return std::to_integer<std::uint32_t>(bytes[i]); };
        for (; bytes.size() >= 8; bytes = bytes.subspan(8)) {
            const std::uint32_t low = state_ ^ (at(0) | at(1) << 8 | at(2) << 16 | at(3) << 24);
            state_ = t[7][low & 0xff] ^ t[6][(low >> 8) & 0xff] ^ t[5][(low >> 16) & 0xff] ^ t[4][low >> 24] ^
                t[3][at(4)] ^ t[2][at(5)] ^ t[1][at(6)] ^ t[0][at(7)];
        }
        for (const std::byte b : bytes)
            state_ = (state_ >> 8) ^ t[0][(state_ ^ std::to_integer<std::uint32_t>(b)) & 0xff];
        return *this;
    }

    constexpr std::uint32_t value() const { return ~state_; }

private:
    std::uint32_t state_ = ~0u;
};

// Sanity checks: the check value of the catalogue, and the 32 zero bytes of [rfc/3720 appendix B.4].
static_assert(checksum_policy<crc32c>);
static_assert([] {
    std::array<std::byte, 9> digits{};
    for (std::size_t i = 0; i < 9; ++i)
        digits[i] = static_cast<std::byte>('1' + i);
    return crc32c{}.update(digits).value() == 0xe306'9283;
}());
static_assert(crc32c{}.update(std::array<std::byte, 32>{}).value() == 0x8a91'36aa);

} // namespace lobos
