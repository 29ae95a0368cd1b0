// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/core/address.hpp>

#include <concepts>
#include <cstdint>
#include <type_traits>

#include <tests/catch.hpp>
#include <tests/contract.hpp>

using namespace lobos;

namespace {

constexpr std::uint64_t top = ~std::uint64_t{0};

// What must not compile, as concepts; the texts of the errors are in tests/fail.
template <class A, class B>
concept addable = requires(A a, B b) { a + b; };
template <class A, class B>
concept subtractable = requires(A a, B b) { a - b; };
template <class A, class B>
concept comparable = requires(A a, B b) { a < b; } || requires(A a, B b) { a == b; };
template <class A>
concept scalable = requires(A a) { a * 2; } || requires(A a) { 2 * a; } || requires(A a) { a / 2; } ||
    requires(A a) { a << 1; } || requires(A a) { a & a; } || requires(A a) { ++a; } || requires(A a) { -a; };

static_assert(addable<phys_addr, byte_count> && addable<virt_addr, byte_count> && addable<byte_count, byte_count>);
static_assert(!addable<phys_addr, phys_addr> && !addable<virt_addr, virt_addr> && !addable<phys_addr, virt_addr>);
static_assert(!addable<phys_addr, int> && !addable<phys_addr, std::uint64_t> && !addable<byte_count, int>);
static_assert(!addable<byte_count, phys_addr> && !addable<phys_addr, void*>);

static_assert(subtractable<phys_addr, phys_addr> && subtractable<virt_addr, virt_addr>);
static_assert(subtractable<phys_addr, byte_count> && subtractable<byte_count, byte_count>);
static_assert(!subtractable<phys_addr, virt_addr> && !subtractable<virt_addr, phys_addr>);
static_assert(!subtractable<byte_count, phys_addr> && !subtractable<phys_addr, int>);

static_assert(comparable<phys_addr, phys_addr> && comparable<byte_count, byte_count>);
static_assert(!comparable<phys_addr, virt_addr> && !comparable<phys_addr, byte_count>);
static_assert(!comparable<phys_addr, int> && !comparable<byte_count, int> && !comparable<virt_addr, void*>);
static_assert(!scalable<phys_addr> && !scalable<virt_addr> && !scalable<byte_count>);

// No way in or out but by name.
template <class T>
inline constexpr bool sealed = !std::is_constructible_v<T, int> && !std::is_constructible_v<T, std::uint64_t> &&
    !std::is_constructible_v<T, void*> && !std::is_constructible_v<std::uint64_t, T> &&
    !std::is_constructible_v<bool, T> && !std::is_constructible_v<void*, T> && !std::is_assignable_v<T&, int>;
static_assert(sealed<phys_addr> && sealed<virt_addr> && sealed<byte_count>);
static_assert(!std::is_constructible_v<phys_addr, virt_addr> && !std::is_constructible_v<virt_addr, phys_addr>);
static_assert(!std::is_constructible_v<byte_count, phys_addr> && !std::is_constructible_v<phys_addr, byte_count>);

static_assert(std::is_trivially_copyable_v<phys_addr> && std::is_trivially_copyable_v<byte_count>);
static_assert(std::same_as<decltype(0_pa - 0_pa), byte_count> && std::same_as<decltype(0_va + 0_bytes), virt_addr>);

constexpr bool arithmetic()
{
    phys_addr a = 0x1000_pa;
    a += 0x234_bytes;
    byte_count n = 5_bytes;
    n += 3_bytes;
    n -= 1_bytes;
    return a == 0x1234_pa && a - 0x234_bytes == 0x1000_pa && a - 0x1000_pa == 0x234_bytes && n == 7_bytes &&
        phys_addr{} == 0_pa && byte_count{} == 0_bytes && 1_pa < 2_pa && 2_bytes > 1_bytes &&
        phys_addr::at(top) - 0_pa == byte_count::of(top) && 0_pa + byte_count::of(top) == phys_addr::at(top) &&
        byte_count::of(top - 1) + 1_bytes == byte_count::of(top) && 7_va - 7_va == 0_bytes;
}

constexpr bool units()
{
    return 1_KiB == 1024_bytes && 1_MiB == 1024_KiB && 1_GiB == 1024_MiB && (4_GiB).raw() == 0x1'0000'0000 &&
        (0xc000'0000_va).raw() == 0xc000'0000;
}

constexpr bool alignment()
{
    for (unsigned shift = 0; shift < 64; ++shift) {
        const byte_count unit = byte_count::of(std::uint64_t{1} << shift);
        const std::uint64_t last_unit = top - unit.raw() + 1;
        for (const std::uint64_t raw : {std::uint64_t{0}, unit.raw() - 1, unit.raw(), last_unit, top}) {
            const phys_addr a = phys_addr::at(raw);
            const phys_addr down = align_down(a, unit);
            if (!is_power_of_two(unit) || !is_aligned(down, unit) || down > a || (a - down) >= unit)
                return false;
            if (is_aligned(a, unit) != (raw % unit.raw() == 0))
                return false;
            const auto up = checked_align_up(a, unit);
            if (up.has_value() != (raw <= last_unit))
                return false;
            if (up && (!is_aligned(*up, unit) || *up < a || (*up - a) >= unit))
                return false;
        }
    }
    return !is_power_of_two(0_bytes) && !is_power_of_two(3_bytes) && !is_power_of_two(byte_count::of(top));
}

constexpr bool checked()
{
    return checked_add(phys_addr::at(top), 0_bytes) == phys_addr::at(top) &&
        !checked_add(phys_addr::at(top), 1_bytes) && !checked_add(1_va, byte_count::of(top)) &&
        checked_add(0_va, byte_count::of(top)) == virt_addr::at(top) &&
        checked_add(1_bytes, byte_count::of(top - 1)) == byte_count::of(top) &&
        !checked_add(2_bytes, byte_count::of(top - 1));
}

} // namespace

TEST_CASE("addresses are points and byte counts are vectors", "[core][address]")
{
    STATIC_REQUIRE(arithmetic());
    STATIC_REQUIRE(units());
    CHECK(arithmetic());
    CHECK(units());
}

TEST_CASE("alignment rounds within the address space or says that it cannot", "[core][address]")
{
    STATIC_REQUIRE(alignment());
    CHECK(alignment());
}

TEST_CASE("checked_add knows the end of the address space", "[core][address]")
{
    STATIC_REQUIRE(checked());
    CHECK(checked());
}

TEST_CASE("leaving the address space is a broken contract", "[core][address]")
{
    const byte_count most = byte_count::of(top);
    CHECK_THROWS_AS(1_pa + most, contract_error);
    CHECK_THROWS_AS(0_pa - 1_bytes, contract_error);
    CHECK_THROWS_AS(0_va - 1_va, contract_error);
    CHECK_THROWS_AS(most + 1_bytes, contract_error);
    CHECK_THROWS_AS(0_bytes - 1_bytes, contract_error);

    virt_addr a = virt_addr::at(top);
    CHECK_THROWS_AS(a += 1_bytes, contract_error);
    CHECK(a == virt_addr::at(top));
    byte_count n = most;
    CHECK_THROWS_AS(n += 1_bytes, contract_error);
    CHECK(n == most);
}

TEST_CASE("an alignment that is no power of two is a broken contract", "[core][address]")
{
    for (const byte_count bad : {0_bytes, 3_bytes, 4095_bytes, byte_count::of(top)}) {
        CHECK_THROWS_AS(is_aligned(0_pa, bad), contract_error);
        CHECK_THROWS_AS(align_down(0_pa, bad), contract_error);
        CHECK_THROWS_AS(checked_align_up(0_pa, bad), contract_error);
    }
}

TEST_CASE("a literal that does not fit is a broken contract", "[core][address]")
{
    // Called by name: written as literals these do not compile.
    CHECK_THROWS_AS(operator""_KiB(std::uint64_t{1} << 54), contract_error);
    CHECK_THROWS_AS(operator""_MiB(std::uint64_t{1} << 44), contract_error);
    CHECK_THROWS_AS(operator""_GiB(std::uint64_t{1} << 34), contract_error);
    CHECK(operator""_GiB((std::uint64_t{1} << 34) - 1).raw() == ((std::uint64_t{1} << 34) - 1) << 30);
}
