// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Working storage that the glue lends, carved into arrays, and given back when its owner goes.

#include <cstdint>
#include <new>
#include <span>
#include <utility>

#include <lobos/glue/kernel_glue.hpp>

namespace lobos {

template <kernel_glue Glue> class workspace {
public:
    /// None yet.
    explicit workspace(Glue& glue) : glue_{&glue} {}

    workspace(workspace&& other) noexcept
        : glue_{other.glue_},
          all_{std::exchange(other.all_, {})},
          left_{std::exchange(other.left_, {})}
    {
    }
    workspace& operator=(workspace&&) = delete;
    ~workspace()
    {
        if (!all_.empty())
            glue_->free_workspace(all_);
    }

    /// Borrows `bytes`. Precondition: nothing is borrowed. Fault: no_memory (at: bytes).
    result<void> borrow(std::size_t bytes)
    {
        expects(all_.empty(), "a workspace is borrowed once");
        all_ = glue_->allocate_workspace(bytes);
        left_ = all_;
        if (all_.size() < bytes)
            return refuse(fault_code::no_memory, stage::planning, bytes);
        return {};
    }

    /// The next `count` elements. Precondition: what was borrowed has room for them, and they need no more than 16
    /// bytes of alignment.
    template <class T> std::span<T> carve(std::size_t count)
    {
        expects(reinterpret_cast<std::uintptr_t>(left_.data()) % alignof(T) == 0, "elements follow without gaps");
        std::size_t bytes = 0; // by multiplication, for not every machine can divide
        const bool fits = !__builtin_mul_overflow(count, sizeof(T), &bytes) && bytes <= left_.size();
        expects(fits, "a workspace has room for what it was borrowed for");
        T* const first = reinterpret_cast<T*>(left_.data());
        for (std::size_t i = 0; i < count; ++i)
            new (first + i) T;
        left_ = left_.subspan(bytes);
        return {first, count};
    }

private:
    Glue* glue_;
    std::span<std::byte> all_ = {};
    std::span<std::byte> left_ = {};
};

} // namespace lobos
