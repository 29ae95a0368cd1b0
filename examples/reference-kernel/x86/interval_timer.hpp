// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The interval timer, which tells the rate of the processor's counter [intel/8254].

#include "board.hpp"

namespace kernel {

/// Counts the processor's ticks in 10 ms of the timer's channel 2. Returns those of one.
inline std::uint32_t count_ticks_per_ms()
{
    constexpr std::uint16_t count = 11932;         // 10 ms of 1.193182 MHz
    out_byte(0x61, (in_byte(0x61) & 0xfc) | 0x01); // gate on, speaker off
    out_byte(0x43, 0xb0);                          // channel 2, mode 0: output goes up at the end of the count
    out_byte(0x42, count & 0xff);
    out_byte(0x42, count >> 8);
    const std::uint64_t begin = read_ticks();
    while ((in_byte(0x61) & 0x20) == 0) {
    }
    return static_cast<std::uint32_t>(read_ticks() - begin) / 10;
}

} // namespace kernel
