// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Page frames: a bit for each frame of mapped memory. Frames are given in three ways: the lowest one, many in a row,
/// and as far from each other as can be, which is how files are read in, because a long-running kernel's free memory
/// looks like that.

#include "linear_memory.hpp"

#include <lobos/core/region_map.hpp>
#include <lobos/plan/program.hpp>

#include <array>

namespace kernel {

class frame_allocator {
public:
    /// Makes every whole frame of `range` free.
    void add(lobos::phys_range range)
    {
        const auto within = intersection(range, mapped_memory);
        if (!within)
            return;
        const auto first = checked_align_up(within->first(), lobos::page_size);
        for (std::size_t i = index(*first); frame(i).last() <= within->last() && i < frames; ++i)
            set(i, true);
    }

    /// Takes every frame that `range` touches out of use.
    void remove(lobos::phys_range range)
    {
        const auto within = intersection(range, mapped_memory);
        for (std::size_t i = within ? index(within->first()) : frames; i < frames && frame(i).first() <= within->last();
            ++i)
            set(i, false);
    }

    std::optional<lobos::phys_addr> take_lowest()
    {
        for (std::size_t w = lowest_hint_; w < bits_.size(); ++w) {
            if (bits_[w] == 0)
                continue;
            lowest_hint_ = w;
            return take(w * 32 + static_cast<std::size_t>(std::countr_zero(bits_[w])));
        }
        return std::nullopt;
    }

    /// This very frame, if it is free.
    bool take_this(lobos::phys_addr page)
    {
        if (!mapped_memory.contains(page) || !is_free(index(page)))
            return false;
        set(index(page), false);
        return true;
    }

    /// One frame, far away from the one before.
    std::optional<lobos::phys_addr> take_scattered()
    {
        if (free_ == 0)
            return std::nullopt;
        constexpr std::size_t stride = 7919;
        scatter_ = (scatter_ + stride) % frames;
        while (!is_free(scatter_))
            scatter_ = (scatter_ + 1) % frames;
        return take(scatter_);
    }

    /// `count` frames in a row, from the middle of memory on if there are, because next kernels want its ends; or else
    /// the lowest ones.
    std::optional<lobos::phys_addr> take_row(std::size_t count)
    {
        std::size_t highest = frames;
        while (highest != 0 && !is_free(highest - 1))
            --highest;
        const auto row = take_row_behind(highest / 2, count);
        return row ? row : take_row_behind(0, count);
    }

    /// Precondition: the frame was taken.
    void give(lobos::phys_addr page)
    {
        lobos::expects(!is_free(index(page)), "a frame is given back once");
        set(index(page), true);
        lowest_hint_ = 0;
    }

    std::size_t free() const { return free_; }

    /// The next scattered frame does not depend on what was scattered before.
    void restart_scatter() { scatter_ = 0; }

private:
    static constexpr std::size_t frames = (768u << 20) / 4096;

    static std::size_t index(lobos::phys_addr a) { return static_cast<std::size_t>(a.raw() >> 12); }
    static lobos::phys_range frame(std::size_t i)
    {
        return lobos::phys_range::of(lobos::phys_addr::at(std::uint64_t{i} << 12), lobos::page_size);
    }
    bool is_free(std::size_t i) const { return ((bits_[i / 32] >> (i % 32)) & 1) != 0; }
    void set(std::size_t i, bool free)
    {
        if (is_free(i) == free)
            return;
        bits_[i / 32] ^= 1u << (i % 32);
        free_ += free ? 1 : std::size_t(-1);
    }
    std::optional<lobos::phys_addr> take_row_behind(std::size_t begin, std::size_t count)
    {
        std::size_t row = 0;
        for (std::size_t i = begin; i < frames; ++i) {
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
    std::size_t scatter_ = 0;
    std::size_t lowest_hint_ = 0;
};

inline constinit frame_allocator frame_pool;

} // namespace kernel
