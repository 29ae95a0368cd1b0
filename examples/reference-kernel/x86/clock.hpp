// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Time: the processor's counter, measured once against the interval timer [intel/8254].

#include <lobos/machine/cpu.hpp>

namespace kernel {

class clock {
public:
    /// Counts the processor's ticks in 10 ms of the timer's channel 2.
    void calibrate()
    {
        using namespace lobos::machine;
        constexpr std::uint16_t count = 11932;         // 10 ms of 1.193182 MHz
        out_byte(0x61, (in_byte(0x61) & 0xfc) | 0x01); // gate on, speaker off
        out_byte(0x43, 0xb0);                          // channel 2, mode 0: output goes up at the end of the count
        out_byte(0x42, count & 0xff);
        out_byte(0x42, count >> 8);
        const std::uint64_t begin = read_clock();
        while ((in_byte(0x61) & 0x20) == 0) {
        }
        ticks_per_ms_ = static_cast<std::uint32_t>(read_clock() - begin) / 10;
    }

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

/// Microseconds since it was made, or last asked.
class stopwatch {
public:
    std::uint64_t lap()
    {
        const std::uint64_t now = lobos::machine::read_clock();
        const std::uint64_t gone = now - began_;
        began_ = now;
        return timer.microseconds(gone);
    }

private:
    std::uint64_t began_ = lobos::machine::read_clock();
};

} // namespace kernel
