// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A list of at most `Capacity` elements, stored inside itself. For the few lists whose length the format or the
/// machine bounds; a full one says so instead of dropping anything.

#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>

#include <lobos/core/expects.hpp>

namespace lobos {

template <class T, std::size_t Capacity> class fixed_list {
    static_assert(std::is_trivially_copyable_v<T>, "a fixed_list holds plain data");

public:
    /// In constant expressions only elements with a default can be stored: an array has to begin somehow.
    constexpr fixed_list()
        requires std::is_default_constructible_v<T>
        : items_{}
    {
    }
    constexpr fixed_list() : none_{} {}

    /// Appends `item`. False, with nothing changed, when the list is full.
    [[nodiscard]] constexpr bool push_back(const T& item)
    {
        if (count_ == Capacity)
            return false;
        std::construct_at(&items_[count_], item);
        ++count_;
        return true;
    }

    constexpr std::size_t size() const { return count_; }
    constexpr bool empty() const { return count_ == 0; }
    static constexpr std::size_t capacity() { return Capacity; }
    constexpr const T* data() const { return &items_[0]; }
    constexpr const T* begin() const { return &items_[0]; } // which makes it a std::span<const T> to whoever wants one
    constexpr const T* end() const { return &items_[0] + count_; }

    /// Precondition: `i < size()`.
    constexpr const T& operator[](std::size_t i) const
    {
        expects(i < count_, "fixed_list: index past the end");
        return items_[i];
    }
    constexpr T& operator[](std::size_t i)
    {
        expects(i < count_, "fixed_list: index past the end");
        return items_[i];
    }

private:
    union {
        char none_;
        T items_[Capacity];
    };
    std::size_t count_ = 0;
};

// Sanity checks
static_assert(std::is_convertible_v<const fixed_list<int, 1>&, std::span<const int>>);

} // namespace lobos
