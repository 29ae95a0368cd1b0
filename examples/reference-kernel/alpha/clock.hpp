// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Time: the processor's cycle counter, whose rate the HWRPB tells.

#include <lobos/machine/cpu.hpp>

namespace kernel {

class clock {
public:
    void ticks_a_second(std::uint64_t ticks) { ticks_per_ms_ = static_cast<std::uint32_t>(ticks / 1000); }
    std::uint32_t ticks_per_ms() const { return ticks_per_ms_; }

    /// Microseconds of a number of ticks.
    std::uint64_t microseconds(std::uint64_t ticks) const
    {
        return ticks_per_ms_ == 0 ? 0 : ticks * 1000 / ticks_per_ms_;
    }

private:
    std::uint32_t ticks_per_ms_ = 0;
};

inline constinit clock timer;

/// Microseconds since it was made, or last asked, if that was not long ago: the counter wraps after 2^32 cycles.
class stopwatch {
public:
    std::uint64_t lap()
    {
        const std::uint32_t now = lobos::machine::read_cycles();
        const std::uint32_t gone = now - began_;
        began_ = now;
        return timer.microseconds(gone);
    }

private:
    std::uint32_t began_ = lobos::machine::read_cycles();
};

} // namespace kernel
