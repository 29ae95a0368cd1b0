// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/core/checksum.hpp>

#include <array>
#include <cstdint>
#include <type_traits>

#include <lobos/core/crc32c.hpp>
#include <lobos/core/sha256.hpp>

#include <tests/catch.hpp>

using namespace lobos;

namespace {

struct byte_sum {
    std::uint32_t sum = 0;
    void update(std::span<const std::byte> bytes)
    {
        for (const std::byte b : bytes)
            sum += std::to_integer<std::uint32_t>(b);
    }
    const std::uint32_t& value() const { return sum; }
};

struct seeded : byte_sum {
    explicit seeded(std::uint32_t seed) : byte_sum{seed} {}
};
struct finished_once : byte_sum {
    std::uint32_t value() { return sum; }
};
struct without_update {
    std::uint32_t value() const { return 0; }
};
struct incomparable : byte_sum {
    struct opaque {};
    opaque value() const { return {}; }
};

template <class S>
concept has_value_type = requires { typename checksum_value<S>; };

} // namespace

TEST_CASE("what a checksum has to be", "[core][checksum]")
{
    STATIC_REQUIRE(checksum_policy<crc32c>);
    STATIC_REQUIRE(checksum_policy<sha256>);
    STATIC_REQUIRE(checksum_policy<byte_sum>);
    STATIC_REQUIRE_FALSE(checksum_policy<seeded>);
    STATIC_REQUIRE_FALSE(checksum_policy<finished_once>);
    STATIC_REQUIRE_FALSE(checksum_policy<without_update>);
    STATIC_REQUIRE_FALSE(checksum_policy<incomparable>);
    STATIC_REQUIRE_FALSE(has_value_type<without_update>);
}

TEST_CASE("what a checksum comes to is a plain value", "[core][checksum]")
{
    STATIC_REQUIRE(std::is_same_v<checksum_value<crc32c>, std::uint32_t>);
    STATIC_REQUIRE(std::is_same_v<checksum_value<sha256>, std::array<std::byte, 32>>);
    STATIC_REQUIRE(std::is_same_v<checksum_value<byte_sum>, std::uint32_t>);
}
