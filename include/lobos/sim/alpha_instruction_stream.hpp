// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What of memory an Alpha may execute. Its cache of instructions is told of no write, not even of the processor's own;
/// until `call_pal imb` an instruction that was written may be executed as it was before [alpha/arm §6.7, II-B]. How
/// much a processor has read ahead nobody knows, so here it is everything: what was written since the last imb is in
/// the cache as it was, whether or not it was ever executed, and to execute it is a mistake. Before the first imb that
/// holds for all of memory. What counts is quadwords, not lines of a cache: code beside data that change stays what it
/// is.

#include <bitset>
#include <unordered_map>

#include <lobos/core/address.hpp>

namespace lobos::sim {

class alpha_instruction_stream {
public:
    /// imb: what was written until now can be executed.
    void barrier()
    {
        began_ = true;
        written_.clear();
    }

    /// Somebody wrote `size` bytes from `at` on.
    void wrote(phys_addr at, std::uint64_t size)
    {
        if (!began_)
            return;
        for (std::uint64_t unit = at.raw() / unit_size; unit <= (at.raw() + size - 1) / unit_size; ++unit)
            written_[unit / units].set(unit % units);
    }

    /// Whether an instruction at `at` may be executed as it was before the last write.
    bool may_be_stale(phys_addr at) const
    {
        if (!began_)
            return true;
        const std::uint64_t unit = at.raw() / unit_size;
        const auto found = written_.find(unit / units);
        return found != written_.end() && found->second[unit % units];
    }

private:
    static constexpr std::uint64_t unit_size = 8;
    static constexpr std::size_t units = 1024; ///< in a page

    bool began_ = false;
    std::unordered_map<std::uint64_t, std::bitset<units>> written_;
};

} // namespace lobos::sim
