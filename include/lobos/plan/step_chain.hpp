// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The steps of a plan as the overlay will read them: written one after another into a chain of pages, of which a new
/// one is taken whenever the last is full.

#include <cstddef>

#include <lobos/core/fault.hpp>
#include <lobos/core/physical_memory.hpp>
#include <lobos/plan/program.hpp>

namespace lobos {

class step_chain {
public:
    /// Pages are of `page` bytes, all of which will be known.
    constexpr explicit step_chain(byte_count page) : page_{page} {}

    /// Adds a step. `next()` gives a `result<phys_addr>`: a page that is the caller's. Faults: what that returns, with
    /// the chain as it was.
    template <physical_memory M, class Next> result<void> add(M& memory, const overlay_step& step, Next&& next)
    {
        if (in_last_ == plan_page::capacity) {
            const result<phys_addr> page = next();
            if (!page)
                return std::unexpected{page.error()};
            store_zeros(memory, *page, page_);
            store(memory, *page + byte_count::of(offsetof(plan_page, next)), std::uint64_t{plan_page::no_page});
            if (pages_++ != 0)
                store(memory, last_ + byte_count::of(offsetof(plan_page, next)), page->raw());
            else
                first_ = page->raw();
            last_ = *page;
            in_last_ = 0;
        }
        const auto at = last_ + byte_count::of(offsetof(plan_page, steps) + in_last_ * sizeof(stored_step));
        store(memory, at, stored_step::of(step));
        store(memory, last_ + byte_count::of(offsetof(plan_page, count)), ++in_last_);
        ++steps_;
        return {};
    }

    /// The physical address of the first page, or `plan_page::no_page`.
    constexpr std::uint64_t first() const { return first_; }
    constexpr std::size_t pages() const { return pages_; }
    constexpr std::size_t steps() const { return steps_; }

private:
    byte_count page_;
    std::uint64_t first_ = plan_page::no_page;
    phys_addr last_;
    std::uint64_t in_last_ = plan_page::capacity;
    std::size_t pages_ = 0;
    std::size_t steps_ = 0;
};

} // namespace lobos
