// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The map of physical memory by kind: sorted, disjoint, merged, whatever order and overlap it was told in. Storage is
/// the caller's. Where two kinds claim a byte the one further down in `region_kind` wins, so that the order of adding
/// never matters; a map that is full says so and stays as it was.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include <lobos/core/fault.hpp>
#include <lobos/core/range.hpp>

namespace lobos {

/// What a piece of memory is. Order is precedence: the later kind wins an overlap.
enum class region_kind : std::uint8_t {
    usable,           ///< RAM, whoever uses it now
    acpi_reclaimable, ///< ACPI tables, RAM once they have been read
    acpi_nvs,         ///< kept over sleep states, never RAM
    reserved,         ///< firmware's or a device's
    defective,        ///< RAM that must not be used
    safe,             ///< a safe region of an exec: the next kernel's to take once it stands on its own tables
    surviving,        ///< a safe region that stays from kernel to kernel: the log
};

constexpr std::string_view to_string(region_kind kind)
{
    using namespace std::string_view_literals;
    switch (kind) {
    case region_kind::usable: return "usable"sv;
    case region_kind::acpi_reclaimable: return "ACPI tables"sv;
    case region_kind::acpi_nvs: return "ACPI NVS"sv;
    case region_kind::reserved: return "reserved"sv;
    case region_kind::defective: return "defective"sv;
    case region_kind::safe: return "safe"sv;
    case region_kind::surviving: return "surviving"sv;
    }
    return "unknown"sv;
}

struct region {
    phys_range range = phys_range::between(phys_addr{}, phys_addr{});
    region_kind kind = region_kind::usable;
    friend constexpr bool operator==(const region&, const region&) = default;
};

class region_map {
public:
    /// An empty map that keeps its regions in `storage`, which must outlive it.
    constexpr explicit region_map(std::span<region> storage) : storage_{storage} {}

    /// A copy would share the storage.
    region_map(const region_map&) = delete;
    region_map& operator=(const region_map&) = delete;

    /// Adds `range` as `kind`. Any order, any overlap.
    /// Faults: no_space (at: regions needed), with the map as it was.
    constexpr result<void> add(phys_range range, region_kind kind);

    /// Becomes a copy of `other`.
    /// Faults: no_space (at: regions needed), with the map as it was.
    constexpr result<void> copy_from(const region_map& other);

    /// Sorted by address, disjoint, no two neighbours of one kind that touch.
    constexpr std::span<const region> regions() const { return storage_.first(count_); }

    /// The region that holds `a`, or null when the map does not know the address.
    constexpr const region* find(phys_addr a) const;

    /// The first byte of `range` that is not of `kind`, or nothing if all of it is.
    constexpr std::optional<phys_addr> first_not(region_kind kind, phys_range range) const;

    /// The highest (or lowest) aligned place for `size` bytes of `usable` memory inside `within`, clear of every range
    /// in `taken`. Preconditions: `size` is not 0, `alignment` is a power of two.
    constexpr std::optional<phys_range> highest_hole(
        byte_count size, byte_count alignment, phys_range within, std::span<const phys_range> taken) const;
    constexpr std::optional<phys_range> lowest_hole(
        byte_count size, byte_count alignment, phys_range within, std::span<const phys_range> taken) const;

private:
    constexpr void move_tail(std::size_t from, std::size_t to);
    constexpr std::size_t first_ending_at_or_after(phys_addr a) const;

    std::span<region> storage_;
    std::size_t count_ = 0;
};

/// One step past the last byte, for walking; nothing at the top of the address space.
constexpr std::optional<phys_addr> address_after(phys_range r)
{
    return checked_add(r.last(), byte_count::of(1));
}

constexpr std::size_t region_map::first_ending_at_or_after(phys_addr a) const
{
    std::size_t low = 0;
    std::size_t high = count_;
    while (low < high) {
        const std::size_t middle = low + (high - low) / 2;
        if (storage_[middle].range.last() < a)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/// Moves the regions from index `from` on to index `to`, which changes how many there are.
constexpr void region_map::move_tail(std::size_t from, std::size_t to)
{
    const std::size_t moved = count_ - from;
    for (std::size_t i = 0; i < moved; ++i) {
        const std::size_t step = to < from ? i : moved - 1 - i;
        storage_[to + step] = storage_[from + step];
    }
    count_ = to + moved;
}

constexpr result<void> region_map::add(phys_range range, region_kind kind)
{
    // The regions that overlap `range`, and those that only touch it, because they may merge.
    const phys_addr below = range.first().raw() == 0 ? range.first() : range.first() - byte_count::of(1);
    const phys_addr above = address_after(range).value_or(range.last());
    const std::size_t begin = first_ending_at_or_after(below);
    std::size_t end = begin;

    // Stronger ones stay as they are; what they leave of `range` are gaps of the new kind. The others lose what lies in
    // `range`. A rest can remain on either side.
    std::size_t stronger = 0;
    std::size_t gaps = 0;
    std::optional<phys_addr> open = range.first(); // where the next gap begins, if it is in `range`
    bool first_is_held = false;
    bool last_is_held = false;
    std::optional<region> left;
    std::optional<region> right;
    for (; end < count_ && storage_[end].range.first() <= above; ++end) {
        const region& r = storage_[end];
        if (r.kind > kind) {
            ++stronger;
            gaps += open && *open < r.range.first() ? 1u : 0u;
            open = address_after(r.range);
            first_is_held |= r.range.contains(range.first());
            last_is_held |= r.range.contains(range.last());
            continue;
        }
        if (r.range.first() < range.first())
            left = region{phys_range::between(r.range.first(), below), r.kind};
        if (r.range.last() > range.last())
            right = region{phys_range::between(above, r.range.last()), r.kind};
    }
    gaps += open && *open <= range.last() ? 1u : 0u;

    // A rest of the same kind is part of the gap beside it.
    phys_addr first = range.first();
    phys_addr last = range.last();
    if (left && left->kind == kind && !first_is_held) {
        first = left->range.first();
        left.reset();
    }
    if (right && right->kind == kind && !last_is_held) {
        last = right->range.last();
        right.reset();
    }

    const std::size_t pieces = (left ? 1u : 0u) + stronger + gaps + (right ? 1u : 0u);
    const std::size_t needed = begin + pieces + (count_ - end);
    if (needed > storage_.size())
        return refuse(fault_code::no_space, stage::mapping, needed);

    // The stronger ones move together at the front, and from there, from the last to the first, to their places: a
    // place is never below the region that goes to it, so nothing is overwritten before it has been read.
    std::size_t kept = begin;
    for (std::size_t i = begin; i < end; ++i)
        if (storage_[i].kind > kind)
            storage_[kept++] = storage_[i];
    move_tail(end, begin + pieces);
    std::size_t place = begin + pieces;
    phys_addr close = last; // where the next gap ends, if it is not below `first`
    bool at_zero = false;   // nothing can lie below
    if (right)
        storage_[--place] = *right;
    for (; kept > begin; --kept) {
        const region r = storage_[kept - 1];
        if (r.range.last() < close)
            storage_[--place] = region{phys_range::between(r.range.last() + byte_count::of(1), close), kind};
        storage_[--place] = r;
        at_zero = r.range.first().raw() == 0;
        if (!at_zero)
            close = r.range.first() - byte_count::of(1);
    }
    if (!at_zero && close >= first)
        storage_[--place] = region{phys_range::between(first, close), kind};
    if (left)
        storage_[--place] = *left;
    return {};
}

constexpr result<void> region_map::copy_from(const region_map& other)
{
    if (other.count_ > storage_.size())
        return refuse(fault_code::no_space, stage::mapping, other.count_);
    for (std::size_t i = 0; i < other.count_; ++i)
        storage_[i] = other.storage_[i];
    count_ = other.count_;
    return {};
}

constexpr const region* region_map::find(phys_addr a) const
{
    const std::size_t i = first_ending_at_or_after(a);
    return i < count_ && storage_[i].range.contains(a) ? &storage_[i] : nullptr;
}

constexpr std::optional<phys_addr> region_map::first_not(region_kind kind, phys_range range) const
{
    // Neighbours of one kind are merged, so a range of one kind lies in one region.
    const region* holder = find(range.first());
    if (!holder || holder->kind != kind)
        return range.first();
    if (holder->range.last() >= range.last())
        return std::nullopt;
    return address_after(holder->range);
}

constexpr std::optional<phys_range> region_map::lowest_hole(
    byte_count size, byte_count alignment, phys_range within, std::span<const phys_range> taken) const
{
    expects(size.raw() != 0, "a hole is never empty");
    expects(is_power_of_two(alignment), "an alignment is a power of two");
    for (const region& r : regions()) {
        const auto piece = r.kind == region_kind::usable ? intersection(r.range, within) : std::nullopt;
        if (!piece)
            continue;
        std::optional<phys_addr> at = checked_align_up(piece->first(), alignment);
        while (at) {
            const auto candidate = phys_range::checked(*at, size);
            if (!candidate || !piece->contains(*candidate))
                break;
            const phys_range* in_the_way = nullptr;
            for (const phys_range& t : taken)
                if (t.overlaps(*candidate) && (!in_the_way || in_the_way->last() < t.last()))
                    in_the_way = &t;
            if (!in_the_way)
                return candidate;
            const auto after = address_after(*in_the_way);
            at = after ? checked_align_up(*after, alignment) : std::nullopt;
        }
    }
    return std::nullopt;
}

constexpr std::optional<phys_range> region_map::highest_hole(
    byte_count size, byte_count alignment, phys_range within, std::span<const phys_range> taken) const
{
    expects(size.raw() != 0, "a hole is never empty");
    expects(is_power_of_two(alignment), "an alignment is a power of two");
    const byte_count all_but_one = size - byte_count::of(1);
    for (std::size_t i = count_; i > 0; --i) {
        const region& r = storage_[i - 1];
        const auto piece = r.kind == region_kind::usable ? intersection(r.range, within) : std::nullopt;
        if (!piece)
            continue;
        phys_addr last = piece->last(); // the candidate may end here, or lower
        while (last - piece->first() >= all_but_one) {
            const phys_addr at = align_down(last - all_but_one, alignment);
            if (at < piece->first())
                break;
            const phys_range candidate = phys_range::of(at, size);
            const phys_range* in_the_way = nullptr;
            for (const phys_range& t : taken)
                if (t.overlaps(candidate) && (!in_the_way || t.first() < in_the_way->first()))
                    in_the_way = &t;
            if (!in_the_way)
                return candidate;
            if (in_the_way->first() <= piece->first())
                break;
            last = in_the_way->first() - byte_count::of(1);
        }
    }
    return std::nullopt;
}

// Sanity checks
static_assert([] {
    region storage[4];
    region_map map{storage};
    const bool added = map.add(phys_range::of(0_pa, 1_MiB), region_kind::usable).has_value() &&
        map.add(phys_range::of(0xa0000_pa, 128_KiB), region_kind::reserved).has_value();
    return added && map.regions().size() == 3 && map.find(0xa0000_pa)->kind == region_kind::reserved &&
        map.first_not(region_kind::usable, phys_range::of(0_pa, 1_MiB)) == 0xa0000_pa;
}());

} // namespace lobos
