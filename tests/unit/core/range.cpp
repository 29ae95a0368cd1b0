// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/core/range.hpp>

#include <bit>
#include <cstdint>
#include <type_traits>

#include <tests/catch.hpp>
#include <tests/contract.hpp>

using namespace lobos;

namespace {

constexpr std::uint64_t top = ~std::uint64_t{0};

static_assert(!std::is_default_constructible_v<phys_range>);
static_assert(!std::is_constructible_v<phys_range, phys_addr, phys_addr>);
static_assert(!std::is_constructible_v<virt_range, phys_range>);
static_assert(std::is_trivially_copyable_v<phys_range>);

/// In a world of a few bytes that begins at `base` a range is a set of bits.
constexpr unsigned bits_of(std::uint64_t base, unsigned world, phys_range r)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < world; ++i)
        if (r.contains(phys_addr::at(base + i)))
            bits |= 1u << i;
    return bits;
}

/// Every pair of ranges in the world, against sets of bits.
constexpr bool algebra(std::uint64_t base, unsigned world)
{
    for (unsigned f1 = 0; f1 < world; ++f1)
        for (unsigned l1 = f1; l1 < world; ++l1)
            for (unsigned f2 = 0; f2 < world; ++f2)
                for (unsigned l2 = f2; l2 < world; ++l2) {
                    const phys_range a = phys_range::between(phys_addr::at(base + f1), phys_addr::at(base + l1));
                    const phys_range b = phys_range::between(phys_addr::at(base + f2), phys_addr::at(base + l2));
                    const unsigned x = bits_of(base, world, a);
                    const unsigned y = bits_of(base, world, b);
                    if (a.overlaps(b) != ((x & y) != 0) || b.overlaps(a) != a.overlaps(b))
                        return false;
                    if (a.contains(b) != ((y & ~x) == 0) || (a == b) != (x == y))
                        return false;
                    const auto both = intersection(a, b);
                    if (both.has_value() != a.overlaps(b) || (both && bits_of(base, world, *both) != (x & y)))
                        return false;
                    if (a.size().raw() != static_cast<unsigned>(std::popcount(x)) ||
                        phys_range::of(a.first(), a.size()) != a || phys_range::checked(a.first(), a.size()) != a)
                        return false;
                }
    return true;
}

constexpr bool untrusted()
{
    return !phys_range::checked(0_pa, 0_bytes) && !phys_range::checked(phys_addr::at(top), 2_bytes) &&
        !phys_range::checked(2_pa, byte_count::of(top)) &&
        phys_range::checked(1_pa, byte_count::of(top))->last() == phys_addr::at(top) &&
        phys_range::checked(phys_addr::at(top), 1_bytes)->size() == 1_bytes;
}

constexpr bool widening()
{
    const phys_range all = phys_range::between(0_pa, phys_addr::at(top));
    const byte_count half = byte_count::of(std::uint64_t{1} << 63);
    return widen(phys_range::of(0x1fff_pa, 2_bytes), 4_KiB) == phys_range::of(0x1000_pa, 8_KiB) &&
        widen(phys_range::of(0x1000_pa, 4_KiB), 4_KiB) == phys_range::of(0x1000_pa, 4_KiB) &&
        widen(phys_range::of(5_pa, 1_bytes), 1_bytes) == phys_range::of(5_pa, 1_bytes) &&
        widen(phys_range::of(phys_addr::at(top), 1_bytes), 4_KiB) ==
        phys_range::between(phys_addr::at(top - 4095), phys_addr::at(top)) &&
        widen(all, half) == all && widen(phys_range::of(0_pa, 1_bytes), half) == phys_range::of(0_pa, half);
}

} // namespace

TEST_CASE("ranges behave as sets of bytes, at both ends of the address space too", "[core][range]")
{
    STATIC_REQUIRE(algebra(0x1000, 4));
    for (const std::uint64_t base : {std::uint64_t{0}, std::uint64_t{0xffff'fffc}, top - 7}) {
        CAPTURE(base);
        CHECK(algebra(base, 8));
    }
}

TEST_CASE("untrusted numbers make a range or nothing", "[core][range]")
{
    STATIC_REQUIRE(untrusted());
    CHECK(untrusted());
}

TEST_CASE("widening takes whole pages and does not wrap", "[core][range]")
{
    STATIC_REQUIRE(widening());
    CHECK(widening());
}

TEST_CASE("an empty, wrapping or backward range is a broken contract", "[core][range]")
{
    CHECK_THROWS_AS(phys_range::of(0_pa, 0_bytes), contract_error);
    CHECK_THROWS_AS(phys_range::of(phys_addr::at(top), 2_bytes), contract_error);
    CHECK_THROWS_AS(phys_range::between(1_pa, 0_pa), contract_error);
    CHECK_THROWS_AS(phys_range::between(0_pa, phys_addr::at(top)).size(), contract_error);
    CHECK_THROWS_AS(widen(phys_range::of(0_pa, 1_bytes), 3_bytes), contract_error);
}
