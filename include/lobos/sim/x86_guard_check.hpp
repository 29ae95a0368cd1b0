// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Whether an exception would find the overlay's guard. The check goes the way that an exception goes in 32-bit code
/// [intel/vol3 §6.12.1] and, in 64-bit and in compatibility mode, through gates of 16 bytes [intel/vol3 §6.14]: the
/// gate, the selector that it names, the handler's first bytes, and room on the stack for what is pushed; it leaves no
/// trace in the machine.

#include <algorithm>
#include <vector>

#include <lobos/sim/x86_pieces.hpp>
#include <lobos/sim/x86_segments.hpp>

namespace lobos::sim {

class x86_guard_check {
public:
    x86_guard_check(memory& memory, const x86_mmu& mmu, const x86_segments& segments)
        : memory_{memory},
          mmu_{mmu},
          segments_{segments}
    {
    }

    /// Whether every exception finds the guard, with the stack pointer `sp`. `rests_on` becomes the numbers of the
    /// pages that matter: root of the tables, gates, descriptors and code.
    bool holds(const x86_descriptor_table& gates, const x86_descriptor_table& descriptors, std::uint64_t sp,
        std::vector<std::uint64_t>& rests_on) const
    try {
        rests_on.assign(1, mmu_.cr3() >> 12);
        const auto seen = [&](phys_addr at) {
            if (std::ranges::find(rests_on, at.raw() >> 12) == rests_on.end())
                rests_on.push_back(at.raw() >> 12);
        };
        const bool is_64 = mmu_.long_mode();
        if (!has_stack(is_64, sp))
            return false;
        for (std::uint32_t vector = 0; vector < exceptions; ++vector) {
            const std::uint64_t size = is_64 ? 16 : 8;
            if (size * vector + size - 1 > gates.limit)
                return false;
            const std::uint64_t at = gates.base + size * vector;
            const std::uint64_t gate = read(at, seen);
            const std::uint64_t rest = is_64 ? read(at + 8, seen) : 0;
            constexpr std::uint64_t interrupt_gate =
                0x8e; // present, privilege 0, of the mode's width, no stack of its own
            if ((gate >> 32 & 0xffff) != interrupt_gate << 8 || rest >> 32 != 0)
                return false;
            const auto selector = static_cast<std::uint32_t>(gate >> 16 & 0xffff);
            if (selector < 8 || (selector & 7) != 0 || selector + 7 > descriptors.limit)
                return false;
            if (!names_code(is_64, read(descriptors.base + selector, seen)))
                return false;
            const std::uint64_t handler = (gate & 0xffff) | (gate >> 48 << 16) | rest << 32;
            constexpr unsigned nmi = 2;
            const std::size_t in_guard = vector == nmi ? 160 : 5 * vector;
            const auto guard = is_64 ? x86::piece::guard_64 : x86::piece::guard_32;
            const auto wanted = x86_pieces::instruction(x86_pieces::of(guard, is_64), in_guard);
            for (std::uint32_t i = 0; i < wanted.size(); ++i) {
                const phys_addr there = mmu_.peek(handler + i, x86_mmu::intent::execute);
                seen(there);
                if (lobos::load<std::byte>(memory_, there) != wanted[i])
                    return false;
            }
        }
        return true;
    } catch (const machine_error&) {
        return false;
    }

private:
    static constexpr std::uint32_t exceptions = 32;

    /// EFLAGS, CS, EIP and an error code; with 64-bit gates SS and RSP too, from a multiple of 16 down, and no segment
    /// is asked.
    bool has_stack(bool is_64, std::uint64_t sp) const
    {
        const std::size_t size = is_64 ? 48 : 16;
        const std::uint64_t low_end = is_64 ? (sp & ~std::uint64_t{15}) - size : static_cast<std::uint32_t>(sp - size);
        const std::uint64_t lowest =
            is_64 ? low_end : segments_.linear(x86_segments::ss, low_end, size, x86_mmu::intent::write);
        return std::ranges::all_of(std::array{lowest, lowest + size - 1},
            [&](std::uint64_t linear) { return memory_.is_ram(mmu_.peek(linear, x86_mmu::intent::write)); });
    }

    /// Flat code of privilege 0; in 64-bit code base and limit mean nothing. Accessed, readable, conforming and what is
    /// software's are free.
    static bool names_code(bool is_64, std::uint64_t word)
    {
        constexpr std::uint64_t any = 0x0010'0700'0000'0000;
        constexpr std::uint64_t rights = 0x0060'f800'0000'0000; // L, D; present, privilege, no system's, code
        return is_64 ? (word & rights) == 0x0020'9800'0000'0000 : (word & ~any) == 0x00cf'9800'0000'ffff;
    }

    template <class Seen> std::uint64_t read(std::uint64_t linear, Seen seen) const
    {
        constexpr auto who = x86_mmu::privilege::implicit;
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

} // namespace lobos::sim
