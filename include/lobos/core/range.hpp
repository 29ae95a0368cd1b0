// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Ranges of addresses. One convention everywhere: a range names its first and its *last* byte. It is therefore never
/// empty, never wraps, and the last byte of the address space can be in it.

#include <algorithm>
#include <optional>

#include <lobos/core/address.hpp>

namespace lobos {

template <class Address> class basic_range {
public:
    /// The range from `first` to `last`, both included. Precondition: `first <= last`.
    static constexpr basic_range between(Address first, Address last)
    {
        expects(first <= last, "a range ends where it begins or later");
        return basic_range{first, last};
    }

    /// The range of `size` bytes from `first`. Precondition: `size` is not 0 and the range does not wrap.
    static constexpr basic_range of(Address first, byte_count size)
    {
        expects(size.raw() != 0, "a range is never empty");
        return basic_range{first, first + (size - byte_count::of(1))};
    }

    /// The range of `size` bytes from `first`; nothing if it would be empty or wrap. For untrusted numbers.
    static constexpr std::optional<basic_range> checked(Address first, byte_count size)
    {
        if (size.raw() == 0)
            return std::nullopt;
        const auto last = checked_add(first, size - byte_count::of(1));
        if (!last)
            return std::nullopt;
        return basic_range{first, *last};
    }

    constexpr Address first() const { return first_; }
    constexpr Address last() const { return last_; }

    /// Precondition: the range is not the whole 2^64 bytes of the space.
    constexpr byte_count size() const { return (last_ - first_) + byte_count::of(1); }

    constexpr bool contains(Address a) const { return first_ <= a && a <= last_; }
    constexpr bool contains(basic_range r) const { return first_ <= r.first_ && r.last_ <= last_; }
    constexpr bool overlaps(basic_range r) const { return first_ <= r.last_ && r.first_ <= last_; }

    friend constexpr bool operator==(basic_range, basic_range) = default;

private:
    constexpr basic_range(Address first, Address last) : first_{first}, last_{last} {}
    Address first_;
    Address last_;
};

using phys_range = basic_range<phys_addr>;
using virt_range = basic_range<virt_addr>;

/// The bytes that lie in both, or nothing.
template <class Address>
constexpr std::optional<basic_range<Address>> intersection(basic_range<Address> a, basic_range<Address> b)
{
    if (!a.overlaps(b))
        return std::nullopt;
    return basic_range<Address>::between(std::max(a.first(), b.first()), std::min(a.last(), b.last()));
}

/// The smallest range of whole pages of `alignment` bytes that contains `r`. It cannot wrap: the last page of the
/// address space ends with its last byte. Precondition: `alignment` is a power of two.
template <class Address> constexpr basic_range<Address> widen(basic_range<Address> r, byte_count alignment)
{
    return basic_range<Address>::between(
        align_down(r.first(), alignment), align_down(r.last(), alignment) + (alignment - byte_count::of(1)));
}

// Sanity checks
static_assert(phys_range::of(0x1000_pa, 4_KiB).last() == 0x1fff_pa);
static_assert(!phys_range::checked(0x1000_pa, 0_bytes));
static_assert(!phys_range::checked(phys_addr::at(~0ull), 2_bytes));
static_assert(phys_range::checked(phys_addr::at(~0ull), 1_bytes)->contains(phys_addr::at(~0ull)));
static_assert(!phys_range::of(0_pa, 4_KiB).overlaps(phys_range::of(0x1000_pa, 4_KiB)));
static_assert(
    *intersection(phys_range::of(0_pa, 5_bytes), phys_range::of(4_pa, 5_bytes)) == phys_range::of(4_pa, 1_bytes));
static_assert(widen(phys_range::of(0x1fff_pa, 2_bytes), 4_KiB) == phys_range::of(0x1000_pa, 8_KiB));

} // namespace lobos
