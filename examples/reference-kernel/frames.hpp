// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Page frames: a bit for each frame of mapped memory. Frames are given in three ways: the lowest one, many in a row,
/// and as far from each other as can be, which is how files are read in, because a long-running kernel's free memory
/// looks like that. Whoever asks says where, because not all code reaches all of memory.

#include "linear_memory.hpp"

#include <board.hpp>
#include <lobos/core/region_map.hpp>
#include <lobos/image/segment.hpp>

#include <array>
#include <numeric>

namespace kernel {

class frame_allocator {
public:
    /// Makes every whole frame of `range` free.
    void add(lobos::phys_range range)
    {
        const auto within = intersection(range, mapped_memory);
        if (!within)
            return;
        const auto first = checked_align_up(within->first(), page_size);
        for (std::size_t i = index(*first); i < frames && frame(i).last() <= within->last(); ++i)
            set(i, true), end_ = std::max(end_, i + 1);
    }

    /// Takes every frame that `range` touches out of use.
    void remove(lobos::phys_range range)
    {
        const auto within = intersection(range, mapped_memory);
        for (std::size_t i = within ? index(within->first()) : frames; i < frames && frame(i).first() <= within->last();
            ++i)
            set(i, false);
    }

    /// The lowest one in `reach`, whole pages.
    std::optional<lobos::phys_addr> take_lowest(lobos::phys_range reach = mapped_memory)
    {
        const auto within = intersection(reach, mapped_memory);
        if (!within)
            return std::nullopt;
        const std::size_t begin = index(within->first());
        const std::size_t i = next_free(std::max(begin, lowest_));
        if (begin <= lowest_)
            lowest_ = i;
        if (i > index(within->last()))
            return std::nullopt;
        return take(i);
    }

    /// This very frame, if it is free.
    bool take_this(lobos::phys_addr page)
    {
        if (!mapped_memory.contains(page) || !is_free(index(page)))
            return false;
        set(index(page), false);
        return true;
    }

    /// One frame of `reach`, far away from the one before.
    std::optional<lobos::phys_addr> take_scattered(lobos::phys_range reach)
    {
        constexpr std::size_t stride = 7919;
        const std::size_t begin = index(reach.first()), end = std::min(end_, index(reach.last()) + 1);
        if (begin >= end)
            return std::nullopt;
        scatter_ = (scatter_ + stride) % (end - begin);
        std::size_t i = next_free(begin + scatter_);
        if (i >= end)
            i = next_free(begin);
        if (i >= end)
            return std::nullopt;
        scatter_ = i - begin;
        return take(i);
    }

    /// `count` frames of `reach` in a row, from the middle of memory on if there are, because next kernels want its
    /// ends; or else the lowest ones.
    std::optional<lobos::phys_addr> take_row(std::size_t count, lobos::phys_range reach)
    {
        const std::size_t begin = index(reach.first()), end = std::min(end_, index(reach.last()) + 1);
        std::size_t highest = std::max(begin, end);
        while (highest != begin && !is_free(highest - 1))
            --highest;
        const auto row = take_row_in(begin + (highest - begin) / 2, end, count);
        return row ? row : take_row_in(begin, end, count);
    }

    /// Precondition: the frame was taken.
    void give(lobos::phys_addr page)
    {
        lobos::expects(!is_free(index(page)), "a frame is given back once");
        set(index(page), true);
    }

    std::size_t free() const { return free_; }
    std::size_t free_below_4g() const
    {
        const auto below = std::span{bits_}.first(std::min(bits_.size(), index(lobos::below_4g.last()) / 32 + 1));
        return std::accumulate(below.begin(), below.end(), std::size_t{0},
            [](std::size_t sum, std::uint32_t word) { return sum + static_cast<std::size_t>(std::popcount(word)); });
    }

    /// The next scattered frame does not depend on what was scattered before.
    void restart_scatter() { scatter_ = 0; }

private:
    static constexpr unsigned page_shift = std::countr_zero(page_size.raw());
    static constexpr std::size_t frames = static_cast<std::size_t>(mapped_memory.size().raw() / page_size.raw());

    /// At most `frames`, for what lies behind mapped memory.
    static std::size_t index(lobos::phys_addr a)
    {
        return static_cast<std::size_t>(std::min<std::uint64_t>(a.raw() >> page_shift, frames));
    }
    static lobos::phys_range frame(std::size_t i)
    {
        return lobos::phys_range::of(lobos::phys_addr::at(std::uint64_t{i} << page_shift), page_size);
    }
    bool is_free(std::size_t i) const { return ((bits_[i / 32] >> (i % 32)) & 1) != 0; }
    void set(std::size_t i, bool free)
    {
        if (is_free(i) == free)
            return;
        bits_[i / 32] ^= 1u << (i % 32);
        free_ += free ? 1 : std::size_t(-1);
        if (free)
            lowest_ = std::min(lowest_, i);
    }
    /// The first free frame that is not before `i`; `frames` without one. Most of memory may not be there.
    std::size_t next_free(std::size_t i) const
    {
        if (i >= frames)
            return frames;
        std::uint32_t word = bits_[i / 32] & ~std::uint32_t{0} << (i % 32);
        for (std::size_t w = i / 32;;) {
            if (word != 0)
                return w * 32 + static_cast<std::size_t>(std::countr_zero(word));
            if (++w == bits_.size())
                return frames;
            word = bits_[w];
        }
    }
    std::optional<lobos::phys_addr> take_row_in(std::size_t begin, std::size_t end, std::size_t count)
    {
        std::size_t row = 0;
        for (std::size_t i = begin; i < end; ++i) {
            row = is_free(i) ? row + 1 : 0;
            if (row != count)
                continue;
            for (std::size_t j = i + 1 - count; j <= i; ++j)
                set(j, false);
            return frame(i + 1 - count).first();
        }
        return std::nullopt;
    }
    std::optional<lobos::phys_addr> take(std::size_t i)
    {
        set(i, false);
        return frame(i).first();
    }

    std::array<std::uint32_t, frames / 32> bits_{};
    std::size_t free_ = 0;
    std::size_t scatter_ = 0; ///< the last scattered one, from where its reach began
    std::size_t lowest_ = 0;  ///< none before it is free
    std::size_t end_ = 0;     ///< of those that ever were
};

inline constinit frame_allocator frame_pool;

} // namespace kernel
