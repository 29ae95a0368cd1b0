// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/core/crc32c.hpp>

#include <array>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include <tests/catch.hpp>

using namespace lobos;

namespace {

/// The definition, bit by bit, most significant coefficient last; no tables.
std::uint32_t by_definition(std::span<const std::byte> bytes)
{
    std::uint32_t remainder = 0xffff'ffff;
    for (const std::byte b : bytes)
        for (unsigned bit = 0; bit < 8; ++bit) {
            const bool in = (std::to_integer<unsigned>(b) >> bit & 1) != 0;
            const bool out = (remainder & 1) != 0;
            remainder >>= 1;
            if (in != out)
                remainder ^= 0x82f6'3b78;
        }
    return ~remainder;
}

std::vector<std::byte> some_bytes(std::size_t size, unsigned seed)
{
    std::mt19937 random{seed};
    std::vector<std::byte> bytes(size);
    for (std::byte& b : bytes)
        b = static_cast<std::byte>(random());
    return bytes;
}

} // namespace

TEST_CASE("the vectors of the standard", "[core][crc32c]")
{
    // [rfc/3720 appendix B.4]
    std::array<std::byte, 32> bytes{};
    CHECK(crc32c{}.update(bytes).value() == 0x8a91'36aa);
    bytes.fill(std::byte{0xff});
    CHECK(crc32c{}.update(bytes).value() == 0x62a8'ab43);
    for (std::size_t i = 0; i < 32; ++i)
        bytes[i] = static_cast<std::byte>(i);
    CHECK(crc32c{}.update(bytes).value() == 0x46dd'794e);
    for (std::size_t i = 0; i < 32; ++i)
        bytes[i] = static_cast<std::byte>(31 - i);
    CHECK(crc32c{}.update(bytes).value() == 0x113f'db5c);
    CHECK(crc32c{}.value() == 0);
}

TEST_CASE("any length, from any alignment, as by definition", "[core][crc32c]")
{
    const std::vector<std::byte> bytes = some_bytes(96, 1);
    for (std::size_t from = 0; from < 16; ++from)
        for (std::size_t size = 0; from + size <= bytes.size(); ++size) {
            const std::span<const std::byte> part = std::span{bytes}.subspan(from, size);
            CAPTURE(from, size);
            REQUIRE(crc32c{}.update(part).value() == by_definition(part));
        }
}

TEST_CASE("in pieces or as a whole", "[core][crc32c]")
{
    const std::vector<std::byte> bytes = some_bytes(40, 2);
    const std::span<const std::byte> all = bytes;
    const std::uint32_t whole = crc32c{}.update(all).value();
    for (std::size_t a = 0; a <= all.size(); ++a)
        for (std::size_t b = a; b <= all.size(); ++b) {
            crc32c sum;
            sum.update(all.first(a)).update(all.subspan(a, b - a));
            REQUIRE(sum.update(all.subspan(b)).value() == whole);
        }
}

TEST_CASE("every flipped bit, and every two, are found", "[core][crc32c]")
{
    std::vector<std::byte> bytes = some_bytes(24, 3);
    const std::uint32_t whole = crc32c{}.update(bytes).value();
    const auto flip = [&](std::size_t bit) { bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8); };
    unsigned missed = 0;
    for (std::size_t i = 0; i < bytes.size() * 8; ++i)
        for (std::size_t j = i; j < bytes.size() * 8; ++j) {
            flip(i);
            if (i != j)
                flip(j);
            if (crc32c{}.update(bytes).value() == whole)
                ++missed;
            flip(i);
            if (i != j)
                flip(j);
        }
    CHECK(missed == 0);
    CHECK(crc32c{}.update(bytes).value() == whole);
}
