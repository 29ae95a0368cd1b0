// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The free pages of a simulated kernel: handed out one by one in an order that a seed shuffles, or by their address,
/// each to one owner only.

#include <cstdint>
#include <optional>
#include <random>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include <lobos/core/range.hpp>

namespace lobos::sim {

class page_pool {
public:
    /// All whole pages of `range`, none of them taken. Seed 0 is ascending order.
    page_pool(phys_range range, byte_count page_size, std::uint32_t seed)
    {
        for (std::uint64_t at = align_down(range.first(), page_size).raw(); at < range.last().raw();
            at += page_size.raw())
            if (range.contains(phys_range::of(phys_addr::at(at), page_size)))
                free_.push_back(phys_addr::at(at));
        if (seed != 0) {
            std::mt19937 random{seed};
            for (std::size_t i = free_.size(); i > 1; --i)
                std::swap(free_[i - 1], free_[random() % i]);
        }
        for (std::size_t i = 0; i < free_.size(); ++i)
            place_[free_[i].raw()] = i;
    }

    /// Any page; nothing when there is none.
    std::optional<phys_addr> take()
    {
        if (next_ == free_.size())
            return std::nullopt;
        const phys_addr page = free_[next_++];
        taken_.insert(page.raw());
        return page;
    }

    /// This page; false when somebody has it, or it is none of the pool's.
    bool take(phys_addr page)
    {
        const auto found = place_.find(page.raw());
        if (found == place_.end() || taken_.contains(page.raw()))
            return false;
        put(found->second, free_[next_]);
        ++next_;
        taken_.insert(page.raw());
        return true;
    }

    /// False when it was not taken.
    bool give_back(phys_addr page)
    {
        if (taken_.erase(page.raw()) == 0)
            return false;
        put(--next_, page);
        return true;
    }

    /// Addresses of the pages that somebody has, in order.
    const std::set<std::uint64_t>& taken() const { return taken_; }
    std::size_t size() const { return free_.size(); }

private:
    void put(std::size_t at, phys_addr page)
    {
        free_[at] = page;
        place_[page.raw()] = at;
    }

    std::vector<phys_addr> free_; ///< from next_ on; what lies in front was taken
    std::size_t next_ = 0;
    std::unordered_map<std::uint64_t, std::size_t> place_; ///< of each page in free_, while it is free
    std::set<std::uint64_t> taken_;
};

} // namespace lobos::sim
