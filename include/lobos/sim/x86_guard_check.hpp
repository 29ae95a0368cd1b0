// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What the simulated processor runs instead of the overlay's code, and whether an exception would find the overlay's
/// guard. The pieces have no instructions, but bytes that tell piece and place; an instruction is two of them. The
/// check goes the way that an exception goes in 32-bit code [intel/vol3 §6.12.1]: the gate, the selector that it names,
/// the handler's first bytes, and room on the stack for what is pushed; it leaves no trace in the machine.

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include <lobos/sim/x86_segments.hpp>
#include <lobos/x86/overlay_code.hpp>

namespace lobos::sim {

struct x86_pieces {
    static constexpr std::size_t instruction_size = 2;
    using instruction_bytes = std::array<std::byte, instruction_size>;
    static constexpr std::size_t most = 256;

    /// What there is to run; the others are in the page, but nothing runs them.
    static constexpr std::array simulated{x86::piece::depart, x86::piece::arrive, x86::piece::copy, x86::piece::down,
        x86::piece::hub, x86::piece::up, x86::piece::leave_flat, x86::piece::enter_long, x86::piece::leave_long};

    /// 0: there is none in a 32-bit machine.
    static constexpr std::size_t size(x86::piece p)
    {
        using enum x86::piece;
        switch (p) {
        case depart: return 30;
        case arrive: return 32;
        case copy:
        case copy_32: return 64;
        case down: return 18;
        case hub: return 46;
        case leave_flat: return 50;
        case up: return 36;
        case enter_long: return 22;
        case switch_long: return 0;
        case leave_long: return 54;
        case guard_32: return 200;
        case guard_64: return 208;
        }
        return 0;
    }

    /// Two bytes in a row are found nowhere else: their difference is the piece's own.
    static constexpr std::byte byte_of(x86::piece p, std::size_t i)
    {
        const auto which = static_cast<std::size_t>(p == x86::piece::copy_32 ? x86::piece::copy : p);
        return static_cast<std::byte>(0x40 + i * (2 * which + 3));
    }
    static constexpr instruction_bytes instruction(x86::piece p, std::size_t at)
    {
        return {byte_of(p, at), byte_of(p, at + 1)};
    }

    static x86::overlay_code code()
    {
        static constexpr auto bytes = [] {
            std::array<std::array<std::byte, most>, x86::pieces> all{};
            for (std::size_t p = 0; p < x86::pieces; ++p)
                for (std::size_t i = 0; i < most; ++i)
                    all[p][i] = byte_of(static_cast<x86::piece>(p), i);
            return all;
        }();
        x86::overlay_code code{};
        for (std::size_t p = 0; p < x86::pieces; ++p)
            code.parts[p] = std::span{bytes[p]}.first(size(static_cast<x86::piece>(p)));
        return code;
    }
};

class x86_guard_check {
public:
    x86_guard_check(memory& memory, const x86_mmu& mmu, const x86_segments& segments)
        : memory_{memory},
          mmu_{mmu},
          segments_{segments}
    {
    }

    /// Whether every exception finds the guard. `rests_on` becomes the numbers of the pages that matter: root of the
    /// tables, gates, descriptors and code.
    bool holds(const x86_descriptor_table& gates, const x86_descriptor_table& descriptors, std::uint32_t esp,
        std::vector<std::uint64_t>& rests_on) const
    try {
        rests_on.assign(1, mmu_.cr3() >> 12);
        const auto seen = [&](phys_addr at) {
            if (std::ranges::find(rests_on, at.raw() >> 12) == rests_on.end())
                rests_on.push_back(at.raw() >> 12);
        };
        // EFLAGS, CS, EIP, an error code.
        const std::uint32_t low_end = esp - 16;
        const std::uint32_t lowest = segments_.linear(x86_segments::ss, low_end, 16, x86_mmu::intent::write);
        for (const std::uint32_t linear : {lowest, lowest + 15})
            if (!memory_.is_ram(mmu_.peek(linear, x86_mmu::intent::write)))
                return false;
        for (std::uint32_t vector = 0; vector < exceptions; ++vector) {
            if (8 * vector + 7 > gates.limit)
                return false;
            const std::uint64_t gate = read(gates.base + 8 * vector, x86_mmu::privilege::implicit, seen);
            constexpr std::uint64_t interrupt_gate = 0x8e; // present, privilege 0, 32 bits
            if ((gate >> 32 & 0xffff) != interrupt_gate << 8)
                return false;
            const auto selector = static_cast<std::uint32_t>(gate >> 16 & 0xffff);
            if (selector < 8 || (selector & 7) != 0 || selector + 7 > descriptors.limit)
                return false;
            // Accessed, readable, conforming and what is software's are free.
            constexpr std::uint64_t flat_code = 0x00cf'9800'0000'ffff;
            constexpr std::uint64_t any = 0x0010'0700'0000'0000;
            if ((read(descriptors.base + selector, x86_mmu::privilege::implicit, seen) & ~any) != flat_code)
                return false;
            const auto handler = static_cast<std::uint32_t>((gate & 0xffff) | (gate >> 48 << 16));
            constexpr unsigned nmi = 2;
            const std::size_t in_guard = vector == nmi ? 160 : 5 * vector;
            const auto wanted = x86_pieces::instruction(x86::piece::guard_32, in_guard);
            for (std::uint32_t i = 0; i < wanted.size(); ++i) {
                const phys_addr at = mmu_.peek(handler + i, x86_mmu::intent::execute);
                seen(at);
                if (lobos::load<std::byte>(memory_, at) != wanted[i])
                    return false;
            }
        }
        return true;
    } catch (const machine_error&) {
        return false;
    }

private:
    static constexpr std::uint32_t exceptions = 32;

    template <class Seen> std::uint64_t read(std::uint32_t linear, x86_mmu::privilege who, Seen seen) const
    {
        std::uint64_t value = 0;
        const phys_addr first = mmu_.peek(linear, x86_mmu::intent::read, who);
        seen(first);
        if ((linear & 0xfff) <= 0xff8)
            return lobos::load<std::uint64_t>(memory_, first);
        for (std::uint32_t i = 0; i < 8; ++i) {
            const phys_addr at = mmu_.peek(linear + i, x86_mmu::intent::read, who);
            seen(at);
            value |= std::uint64_t{lobos::load<std::uint8_t>(memory_, at)} << (8 * i);
        }
        return value;
    }

    memory& memory_;
    const x86_mmu& mmu_;
    const x86_segments& segments_;
};

// Sanity checks
static_assert(x86_pieces::instruction(x86::piece::hub, 2) != x86_pieces::instruction(x86::piece::hub, 4));
static_assert(x86_pieces::instruction(x86::piece::arrive, 0) != x86_pieces::instruction(x86::piece::depart, 0));
static_assert(
    x86_pieces::size(x86::piece::guard_32) > 162 && x86_pieces::size(x86::piece::guard_32) <= x86_pieces::most);

} // namespace lobos::sim
