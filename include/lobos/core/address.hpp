// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Physical addresses, virtual addresses and byte counts: three types that cannot be mistaken for each other, for an
/// integer or for a pointer. 64 bits wide on every machine, so that a 32-bit kernel can speak of all of its memory.
/// Addresses are points and counts are vectors: `a + n` and `a - b` mean something, `a + b` does not compile. Nothing
/// here repairs an argument: what may overflow either says `checked_` or treats overflow as a broken contract.

#include <compare>
#include <cstdint>
#include <optional>

#include <lobos/core/expects.hpp>

namespace lobos {

/// A number of bytes.
class byte_count {
public:
    constexpr byte_count() = default;

    static constexpr byte_count of(std::uint64_t bytes) { return byte_count{bytes}; }
    constexpr std::uint64_t raw() const { return bytes_; }

    friend constexpr auto operator<=>(byte_count, byte_count) = default;

    /// Precondition: the sum is below 2^64.
    friend constexpr byte_count operator+(byte_count a, byte_count b)
    {
        expects(b.bytes_ <= ~std::uint64_t{0} - a.bytes_, "byte_count: the sum does not fit in 64 bits");
        return byte_count{a.bytes_ + b.bytes_};
    }
    /// Precondition: `a >= b`.
    friend constexpr byte_count operator-(byte_count a, byte_count b)
    {
        expects(b.bytes_ <= a.bytes_, "byte_count: the difference is negative");
        return byte_count{a.bytes_ - b.bytes_};
    }
    constexpr byte_count& operator+=(byte_count n) { return *this = *this + n; }
    constexpr byte_count& operator-=(byte_count n) { return *this = *this - n; }

private:
    constexpr explicit byte_count(std::uint64_t bytes) : bytes_{bytes} {}
    std::uint64_t bytes_ = 0;
};

/// A point in an address space. `Space` only tells the spaces apart.
template <class Space> class basic_address {
public:
    /// Address 0, so that tables of addresses can be made before they are filled.
    constexpr basic_address() = default;

    static constexpr basic_address at(std::uint64_t address) { return basic_address{address}; }
    constexpr std::uint64_t raw() const { return address_; }

    friend constexpr auto operator<=>(basic_address, basic_address) = default;

    /// Precondition: the sum is below 2^64.
    friend constexpr basic_address operator+(basic_address a, byte_count n)
    {
        expects(n.raw() <= ~std::uint64_t{0} - a.address_, "address + byte_count leaves the address space");
        return basic_address{a.address_ + n.raw()};
    }
    /// Precondition: `n` is not larger than the address.
    friend constexpr basic_address operator-(basic_address a, byte_count n)
    {
        expects(n.raw() <= a.address_, "address - byte_count leaves the address space");
        return basic_address{a.address_ - n.raw()};
    }
    /// Precondition: `a >= b`.
    friend constexpr byte_count operator-(basic_address a, basic_address b)
    {
        expects(b.address_ <= a.address_, "address - address is negative");
        return byte_count::of(a.address_ - b.address_);
    }
    constexpr basic_address& operator+=(byte_count n) { return *this = *this + n; }

private:
    constexpr explicit basic_address(std::uint64_t address) : address_{address} {}
    std::uint64_t address_ = 0;
};

using phys_addr = basic_address<struct physical_space>;
using virt_addr = basic_address<struct virtual_space>;

/// `a + n`, or nothing if that leaves the address space.
template <class Space>
constexpr std::optional<basic_address<Space>> checked_add(basic_address<Space> a, byte_count n)
{
    if (n.raw() > ~std::uint64_t{0} - a.raw())
        return std::nullopt;
    return a + n;
}

/// `a + b`, or nothing if that does not fit.
constexpr std::optional<byte_count> checked_add(byte_count a, byte_count b)
{
    if (b.raw() > ~std::uint64_t{0} - a.raw())
        return std::nullopt;
    return a + b;
}

/// True for 1, 2, 4, ...: what an alignment has to be.
constexpr bool is_power_of_two(byte_count n)
{
    return n.raw() != 0 && (n.raw() & (n.raw() - 1)) == 0;
}

/// Precondition, here and below: `alignment` is a power of two.
template <class Space> constexpr bool is_aligned(basic_address<Space> a, byte_count alignment)
{
    expects(is_power_of_two(alignment), "an alignment is a power of two");
    return (a.raw() & (alignment.raw() - 1)) == 0;
}

/// The highest aligned address that is not above `a`.
template <class Space> constexpr basic_address<Space> align_down(basic_address<Space> a, byte_count alignment)
{
    expects(is_power_of_two(alignment), "an alignment is a power of two");
    return basic_address<Space>::at(a.raw() & ~(alignment.raw() - 1));
}

/// The lowest aligned address that is not below `a`, or nothing if there is none.
template <class Space>
constexpr std::optional<basic_address<Space>> checked_align_up(basic_address<Space> a, byte_count alignment)
{
    if (is_aligned(a, alignment))
        return a;
    return checked_add(align_down(a, alignment), alignment);
}

namespace detail {
constexpr byte_count scaled(std::uint64_t n, unsigned shift)
{
    expects(n <= ~std::uint64_t{0} >> shift, "byte_count: the literal does not fit in 64 bits");
    return byte_count::of(n << shift);
}
} // namespace detail

inline namespace literals {

// NOLINTBEGIN(google-runtime-int): the standard fixes this type for literals.
// clang-format off
constexpr phys_addr operator""_pa(unsigned long long a) { return phys_addr::at(a); }
constexpr virt_addr operator""_va(unsigned long long a) { return virt_addr::at(a); }
constexpr byte_count operator""_bytes(unsigned long long n) { return byte_count::of(n); }
constexpr byte_count operator""_KiB(unsigned long long n) { return detail::scaled(n, 10); }
constexpr byte_count operator""_MiB(unsigned long long n) { return detail::scaled(n, 20); }
constexpr byte_count operator""_GiB(unsigned long long n) { return detail::scaled(n, 30); }
// clang-format on
// NOLINTEND(google-runtime-int)

} // namespace literals

// Sanity checks
static_assert(0x1000_pa + 0x234_bytes == 0x1234_pa);
static_assert(0x1234_pa - 0x1000_pa == 0x234_bytes);
static_assert(!checked_add(phys_addr::at(~0ull), 1_bytes));
static_assert(align_down(0x1fff_va, 4_KiB) == 0x1000_va);
static_assert(*checked_align_up(0x1001_va, 4_KiB) == 0x2000_va);
static_assert(!checked_align_up(phys_addr::at(~0ull), 4_KiB));
static_assert(sizeof(phys_addr) == 8 && sizeof(virt_addr) == 8 && sizeof(byte_count) == 8);

} // namespace lobos
