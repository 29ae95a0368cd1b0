// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Every access that a simulated processor makes to memory, in order, for a test to ask about. Accesses of one kind
/// that follow each other upwards or downwards without a gap are one record, so a copy of megabytes is a few records a
/// step; each says with which access it began and ended.

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <vector>

#include <lobos/core/range.hpp>

namespace lobos::sim {

enum class access_kind : std::uint8_t {
    fetch, ///< of an instruction
    read,  ///< by an instruction
    write, ///< by an instruction
    walk,  ///< the processor reads a table of its own: page tables, descriptors
    mark,  ///< the processor writes into one: accessed and dirty bits
};
inline constexpr std::size_t access_kinds = 5;

struct recorded_access {
    access_kind kind;
    std::uint64_t address; ///< the lowest, as the processor translated it; a walk or a mark has the physical one
    phys_addr physical;
    std::uint64_t size;  ///< of all that was put together
    std::uint64_t first; ///< number of its first access among all that were recorded, from 0
    std::uint64_t last;

    phys_range range() const { return phys_range::of(physical, byte_count::of(size)); }
};

class recorder {
public:
    /// Off, nothing is added; what was recorded stays.
    bool on = true;

    void note(access_kind kind, std::uint64_t address, phys_addr physical, std::uint64_t size)
    {
        if (!on || size == 0)
            return;
        const std::uint64_t number = count_++;
        auto& open = open_[static_cast<std::size_t>(kind)];
        if (open && grow(log_[*open], address, physical, size, number))
            return;
        open = log_.size();
        log_.push_back({kind, address, physical, size, number, number});
    }

    void clear()
    {
        log_.clear();
        open_ = {};
        count_ = 0;
    }

    /// How many accesses there were, and what became of them, in order of the first of each.
    std::uint64_t count() const { return count_; }
    std::span<const recorded_access> accesses() const { return log_; }

    /// Calls `visit(const recorded_access&)` for every record of `kind`, in order.
    template <class Visit> void for_each(access_kind kind, Visit visit) const
    {
        for (const recorded_access& a : log_)
            if (a.kind == kind)
                visit(a);
    }

    /// How many bytes the accesses of `kind` moved; with `inside` only those of them that lie there.
    std::uint64_t bytes(access_kind kind) const
    {
        std::uint64_t sum = 0;
        for_each(kind, [&](const recorded_access& a) { sum += a.size; });
        return sum;
    }
    std::uint64_t bytes(access_kind kind, phys_range inside) const
    {
        std::uint64_t sum = 0;
        for_each(kind, [&](const recorded_access& a) {
            if (const auto common = intersection(a.range(), inside))
                sum += common->size().raw();
        });
        return sum;
    }

    /// The first record of `kind` that touches `range`; nothing when none does.
    std::optional<recorded_access> first(access_kind kind, phys_range range) const
    {
        for (const recorded_access& a : log_)
            if (a.kind == kind && a.range().overlaps(range))
                return a;
        return std::nullopt;
    }

    /// The first record of `kind` with a byte in none of `ranges`, which may overlap and touch; nothing when all lie
    /// inside.
    std::optional<recorded_access> first_outside(access_kind kind, std::span<const phys_range> ranges) const
    {
        std::vector<phys_range> sorted{ranges.begin(), ranges.end()};
        std::ranges::sort(sorted, {}, [](const phys_range& r) { return r.first(); });
        for (const recorded_access& a : log_)
            if (a.kind == kind && !covered(a.range(), sorted))
                return a;
        return std::nullopt;
    }
    std::optional<recorded_access> first_outside(access_kind kind, std::initializer_list<phys_range> ranges) const
    {
        return first_outside(kind, std::span{ranges.begin(), ranges.size()});
    }

private:
    static bool grow(
        recorded_access& a, std::uint64_t address, phys_addr physical, std::uint64_t size, std::uint64_t number)
    {
        const bool behind = address == a.address + a.size && physical.raw() == a.physical.raw() + a.size;
        const bool before = address + size == a.address && physical.raw() + size == a.physical.raw();
        if (!behind && !before)
            return false;
        a.address = std::min(a.address, address);
        a.physical = std::min(a.physical, physical);
        a.size += size;
        a.last = number;
        return true;
    }

    static bool covered(phys_range r, std::span<const phys_range> sorted)
    {
        phys_addr from = r.first();
        for (const phys_range& s : sorted) {
            if (s.first() > from)
                return false;
            if (s.last() >= r.last())
                return true;
            if (s.last() >= from)
                from = s.last() + byte_count::of(1);
        }
        return false;
    }

    std::vector<recorded_access> log_;
    std::array<std::optional<std::size_t>, access_kinds> open_ = {}; ///< the record of each kind that may still grow
    std::uint64_t count_ = 0;
};

} // namespace lobos::sim
