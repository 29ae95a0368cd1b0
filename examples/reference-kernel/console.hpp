// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The console: the first serial line, polled [8250]. What is said here also goes to the surviving log, once there is
/// one.

#include "linear_memory.hpp"

#include <board.hpp>
#include <lobos/core/text.hpp>
#include <lobos/survive/log.hpp>

#include <optional>

namespace kernel {

class console {
public:
    void start() const
    {
        out_byte(port + 1, 0x00); // no interrupts
        out_byte(port + 3, 0x80); // divisor latch
        out_byte(port + 0, 0x01); // 115200 baud
        out_byte(port + 1, 0x00);
        out_byte(port + 3, 0x03); // 8 bits, no parity, one stop bit
        out_byte(port + 2, 0xc7); // FIFO on, cleared
        out_byte(port + 4, 0x0b); // DTR, RTS, OUT2
    }

    /// A line of the kernel's: console and log.
    void say(std::string_view line)
    {
        show(line);
        if (log)
            log->append(line);
    }
    void say(const lobos::text_line& line) { say(line.view()); }

    /// A line for the console alone.
    void show(std::string_view line) const
    {
        put("lobos: ");
        put(line);
        put("\r\n");
        while ((in_byte(port + 5) & transmitter_idle) == 0) {
        }
    }
    void show(const lobos::text_line& line) const { show(line.view()); }

    std::optional<lobos::surviving_log<linear_memory>> log;

private:
    static constexpr std::uint16_t port = 0x3f8;
    static constexpr std::uint8_t holding_empty = 0x20;
    static constexpr std::uint8_t transmitter_idle = 0x40;

    static void put(std::string_view text)
    {
        for (const char c : text) {
            while ((in_byte(port + 5) & holding_empty) == 0) {
            }
            out_byte(port, static_cast<std::uint8_t>(c));
        }
    }
};

inline constinit console out;

} // namespace kernel
