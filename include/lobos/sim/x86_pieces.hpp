// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What the simulated processor runs instead of the overlay's code. A piece has no instructions here, but bytes that
/// tell which piece they are of, whether of 32-bit or of 64-bit code, and which place in it; an instruction is two of
/// them. What each of them does is known to <lobos/sim/x86_code_32.hpp> and <lobos/sim/x86_code_64.hpp>.

#include <array>
#include <span>

#include <lobos/x86/overlay_code.hpp>

namespace lobos::sim {

struct x86_pieces {
    static constexpr std::size_t instruction_size = 2;
    using instruction_bytes = std::array<std::byte, instruction_size>;
    static constexpr std::size_t most = 256;

    /// A piece as one machine has it.
    struct code_piece {
        x86::piece which;
        bool is_64; ///< it begins in 64-bit code
        friend constexpr bool operator==(const code_piece&, const code_piece&) = default;
    };

    /// Whether a kernel has the piece in its own mode's code.
    static constexpr bool is_native(x86::piece p)
    {
        using enum x86::piece;
        return p == depart || p == arrive || p == copy || p == down;
    }
    /// The piece as a kernel of 32-bit or of 64-bit code has it. The loop for the hub is a 32-bit kernel's own.
    static constexpr code_piece of(x86::piece p, bool is_64)
    {
        using enum x86::piece;
        if (is_native(p))
            return {p, is_64};
        return {p == copy_32 ? copy : p, p == enter_long || p == switch_long || p == leave_long || p == guard_64};
    }

    /// Its bytes; 0 for what the machine has not.
    static constexpr std::size_t size(code_piece c)
    {
        using enum x86::piece;
        switch (c.which) {
        case depart:
        case arrive: return 13 * instruction_size;
        case copy: return 64;
        case copy_32: return 0;
        case down: return (c.is_64 ? 5 : 3) * instruction_size;
        case hub: return 17 * instruction_size;
        case leave_flat: return 16 * instruction_size;
        case up: return 9 * instruction_size;
        case enter_long: return 2 * instruction_size;
        case switch_long: return 6 * instruction_size;
        case leave_long: return 23 * instruction_size;
        case guard_32: return 200;
        case guard_64: return 208;
        }
        return 0;
    }

    /// Two bytes in a row are found nowhere else: their difference is the piece's own.
    static constexpr std::byte byte_of(code_piece c, std::size_t i)
    {
        const std::size_t which = static_cast<std::size_t>(c.which) + (is_native(c.which) && c.is_64 ? x86::pieces : 0);
        return static_cast<std::byte>(0x40 + i * (2 * which + 3));
    }
    static constexpr instruction_bytes instruction(code_piece c, std::size_t at)
    {
        return {byte_of(c, at), byte_of(c, at + 1)};
    }

    /// All that there is to run, of both kinds of kernels; guards are never entered.
    static constexpr auto runnable()
    {
        using enum x86::piece;
        return std::array{of(depart, false), of(depart, true), of(arrive, false), of(arrive, true), of(copy, false),
            of(copy, true), of(down, false), of(down, true), of(hub, false), of(leave_flat, false), of(up, false),
            of(enter_long, true), of(switch_long, true), of(leave_long, true)};
    }

    /// What a kernel of 32-bit or of 64-bit code brings.
    static x86::overlay_code code(bool is_64)
    {
        using table = std::array<std::array<std::byte, most>, x86::pieces>;
        static constexpr auto make = [](bool long_mode) {
            table all{};
            for (std::size_t p = 0; p < x86::pieces; ++p)
                for (std::size_t i = 0; i < most; ++i)
                    all[p][i] = byte_of(of(static_cast<x86::piece>(p), long_mode), i);
            return all;
        };
        static constexpr table bytes_32 = make(false);
        static constexpr table bytes_64 = make(true);
        x86::overlay_code code{};
        for (std::size_t p = 0; p < x86::pieces; ++p) {
            const auto which = static_cast<x86::piece>(p);
            if (is_64 || which != x86::piece::switch_long)
                code.parts[p] = std::span{(is_64 ? bytes_64 : bytes_32)[p]}.first(size(of(which, is_64)));
        }
        return code;
    }
};

// Sanity checks
static_assert(x86_pieces::of(x86::piece::copy_32, true) == x86_pieces::code_piece{x86::piece::copy, false});
static_assert(x86_pieces::instruction(x86_pieces::of(x86::piece::hub, true), 2) !=
    x86_pieces::instruction(x86_pieces::of(x86::piece::hub, true), 4));
static_assert(x86_pieces::instruction(x86_pieces::of(x86::piece::arrive, false), 0) !=
    x86_pieces::instruction(x86_pieces::of(x86::piece::arrive, true), 0));
static_assert(x86_pieces::size(x86_pieces::of(x86::piece::guard_64, true)) <= x86_pieces::most);

} // namespace lobos::sim
