// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Which requests to a simulated kernel fail. Every call of the glue that may fail has a number, counted from the last
/// change of the plan; a test names the numbers, or a kind of call that always fails.

#include <algorithm>
#include <cstdint>
#include <set>
#include <span>
#include <vector>

namespace lobos::sim {

/// The calls of a kernel's glue that may come back with nothing.
enum class glue_call : std::uint8_t { allocate_page, allocate_page_at, allocate_workspace, virtual_address };

class injection {
public:
    /// From now on these requests fail; 0 is the next one. None: none does.
    void fail(std::set<std::size_t> numbers)
    {
        numbers_ = std::move(numbers);
        calls_.clear();
        failed_ = 0;
    }
    /// From now on every request of this kind fails, or none by its kind.
    void fail_every(glue_call kind, bool fails = true)
    {
        if (fails)
            kinds_.insert(kind);
        else
            kinds_.erase(kind);
    }

    /// Notes a request; whether it fails.
    bool fails(glue_call kind)
    {
        const bool failing = numbers_.contains(calls_.size()) || kinds_.contains(kind);
        calls_.push_back(kind);
        failed_ += failing ? 1u : 0u;
        return failing;
    }

    /// The requests since the last `fail()`, by their numbers, and how many of them were made to fail.
    std::span<const glue_call> calls() const { return calls_; }
    std::size_t count(glue_call kind) const { return static_cast<std::size_t>(std::ranges::count(calls_, kind)); }
    std::size_t failed() const { return failed_; }

private:
    std::set<std::size_t> numbers_;
    std::set<glue_call> kinds_;
    std::vector<glue_call> calls_;
    std::size_t failed_ = 0;
};

} // namespace lobos::sim
