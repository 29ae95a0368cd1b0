// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/core/crc32c.hpp>

#include <random>
#include <string_view>
#include <vector>

#include <tests/catch.hpp>

using namespace lobos;

namespace {

using bytes = std::vector<std::byte>;

std::uint32_t crc_of(std::span<const std::byte> data)
{
    return crc32c{}.update(data).value();
}
std::uint32_t crc_of(std::string_view text)
{
    return crc_of(std::as_bytes(std::span{text}));
}

/// Bit by bit, as the polynomial division that a CRC is.
std::uint32_t divided(std::span<const std::byte> data)
{
    std::uint32_t rest = 0xffff'ffff;
    for (const std::byte b : data)
        for (unsigned bit = 0; bit < 8; ++bit) {
            const bool out = ((rest ^ (std::to_integer<std::uint32_t>(b) >> bit)) & 1) != 0;
            rest = (rest >> 1) ^ (out ? 0x82f6'3b78 : 0);
        }
    return rest ^ 0xffff'ffff;
}

bytes random_bytes(std::size_t size)
{
    std::mt19937 random{static_cast<std::uint32_t>(size)};
    bytes data(size);
    for (std::byte& b : data)
        b = static_cast<std::byte>(random() & 0xff);
    return data;
}

} // namespace

TEST_CASE("the published values", "[core][crc32c]")
{
    CHECK(crc_of("") == 0);
    CHECK(crc_of("123456789") == 0xe306'9283);
    CHECK(crc_of("a") == 0xc1d0'4330);
    // [rfc/3720 appendix B.4]
    bytes data(32);
    CHECK(crc_of(data) == 0x8a91'36aa);
    std::fill(data.begin(), data.end(), std::byte{0xff});
    CHECK(crc_of(data) == 0x62a8'ab43);
    for (unsigned i = 0; i < 32; ++i)
        data[i] = static_cast<std::byte>(i);
    CHECK(crc_of(data) == 0x46dd'794e);
    for (unsigned i = 0; i < 32; ++i)
        data[i] = static_cast<std::byte>(31 - i);
    CHECK(crc_of(data) == 0x113f'db5c);
}

TEST_CASE("every length agrees with a division bit by bit", "[core][crc32c]")
{
    for (std::size_t size = 0; size < 70; ++size) {
        const bytes data = random_bytes(size);
        CAPTURE(size);
        CHECK(crc_of(data) == divided(data));
    }
}

TEST_CASE("pieces are the whole, wherever it is cut", "[core][crc32c]")
{
    const bytes data = random_bytes(67);
    const std::span<const std::byte> all{data};
    const std::uint32_t whole = divided(data);
    for (std::size_t a = 0; a <= data.size(); ++a)
        for (std::size_t b = a; b <= data.size(); ++b) {
            crc32c sum;
            sum.update(all.first(a)).update(all.subspan(a, b - a)).update(all.subspan(b));
            REQUIRE(sum.value() == whole);
        }
}

TEST_CASE("a sum can be read and then go on", "[core][crc32c]")
{
    crc32c sum;
    CHECK(sum.value() == 0);
    CHECK(sum.value() == 0);
    const bytes data = random_bytes(9);
    sum.update(data);
    CHECK(sum.value() == divided(data));
    sum.update({});
    CHECK(sum.value() == divided(data));
}

TEST_CASE("every flipped bit and every burst of 32 is found", "[core][crc32c]")
{
    bytes data = random_bytes(300);
    const std::uint32_t good = crc_of(data);
    for (std::size_t bit = 0; bit < data.size() * 8; ++bit) {
        const auto mask = static_cast<std::byte>(1u << bit % 8);
        data[bit / 8] ^= mask;
        REQUIRE(crc_of(data) != good);
        data[bit / 8] ^= mask;
    }
    std::mt19937 random{1};
    for (int i = 0; i < 2000; ++i) {
        const std::size_t at = random() % (data.size() - 4);
        const auto burst = static_cast<std::uint32_t>(random() | 1);
        for (unsigned k = 0; k < 4; ++k)
            data[at + k] ^= static_cast<std::byte>(burst >> 8 * k & 0xff);
        REQUIRE(crc_of(data) != good);
        for (unsigned k = 0; k < 4; ++k)
            data[at + k] ^= static_cast<std::byte>(burst >> 8 * k & 0xff);
    }
    REQUIRE(crc_of(data) == good);
}
