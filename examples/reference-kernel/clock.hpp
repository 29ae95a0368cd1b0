// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Time: the processor's counter, which the board reads, and whose rate it tells.

#include <board.hpp>

namespace kernel {

class clock {
public:
    void set(std::uint32_t ticks_per_ms) { ticks_per_ms_ = ticks_per_ms; }
    std::uint32_t ticks_per_ms() const { return ticks_per_ms_; }

    /// Microseconds of a number of ticks, for times below some minutes.
    std::uint64_t microseconds(std::uint64_t ticks) const
    {
        return ticks_per_ms_ == 0 ? 0 : ticks * 1000 / ticks_per_ms_;
    }

private:
    std::uint32_t ticks_per_ms_ = 0;
};

inline constinit clock timer;

/// Microseconds since it was made, or last asked; less than it takes the counter to wrap.
class stopwatch {
public:
    std::uint64_t lap()
    {
        const auto now = read_ticks();
        const auto gone = static_cast<ticks>(now - began_);
        began_ = now;
        return timer.microseconds(gone);
    }

private:
    using ticks = decltype(read_ticks());
    ticks began_ = read_ticks();
};

} // namespace kernel
