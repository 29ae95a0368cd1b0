// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Storage for work that comes and goes like a stack: lists of extents, and the planner's workspace.

#include <lobos/core/expects.hpp>

#include <cstddef>
#include <span>

namespace kernel {

class arena {
public:
    void use(std::span<std::byte> storage) { storage_ = storage; }

    /// Aligned to 16; empty when there is not enough left.
    std::span<std::byte> take(std::size_t size)
    {
        if (rounded(size) < size || rounded(size) > storage_.size() - used_)
            return {};
        const auto taken = storage_.subspan(used_, size);
        used_ += rounded(size);
        return taken;
    }

    /// Precondition: everything taken later has been given back.
    void give(std::span<std::byte> taken)
    {
        if (taken.empty())
            return;
        const auto begin = static_cast<std::size_t>(taken.data() - storage_.data());
        lobos::expects(begin + rounded(taken.size()) == used_, "what was taken last is given back first");
        used_ = begin;
    }

    std::size_t used() const { return used_; }

private:
    static constexpr std::size_t rounded(std::size_t size) { return (size + 15) & ~std::size_t{15}; }

    std::span<std::byte> storage_;
    std::size_t used_ = 0;
};

inline constinit arena workspace;

} // namespace kernel
