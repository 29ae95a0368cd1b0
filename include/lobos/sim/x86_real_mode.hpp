// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A simulated x86 in 16-bit code: from protected mode to real mode. It knows the few instructions that such code is
/// made of, decodes them from memory as the manual has them [intel/vol2 §2.1, appendix A], and stops at the first far
/// return in real mode, which is where an image begins. A segment register keeps limit and rights in real mode,
/// whatever it is loaded with [intel/vol3 §9.9.2, §20.1.1]: what was not prepared in protected mode shows. Paging is
/// off.

#include <array>
#include <bit>

#include <lobos/sim/x86_segments.hpp>

namespace lobos::sim {

class x86_real_mode {
public:
    /// By the numbers that instructions have for them.
    enum register_name : unsigned { ax, cx, dx, bx, sp, bp, si, di };
    struct registers {
        std::array<std::uint32_t, 8> wide = {};
        std::uint32_t ip = 0;
        x86_descriptor_table gdt = {}, idt = {};
    };

    x86_real_mode(memory& memory, x86_mmu& mmu, x86_segments& segments, recorder& record)
        : memory_{memory},
          mmu_{mmu},
          segments_{segments},
          record_{record}
    {
    }

    /// Runs from cs:ip on. Throws machine_error for an exception, and for what it does not know.
    void run(registers& r)
    {
        constexpr int most = 1000; // instructions
        for (int i = 0; i < most; ++i)
            if (step(r))
                return;
        throw machine_error{"16-bit code goes round", r.ip};
    }

private:
    using enum x86_segments::name;
    using intent = x86_mmu::intent;

    bool protection() const { return (mmu_.cr0() & 1) != 0; }

    /// True after a far return in real mode.
    bool step(registers& r)
    {
        const std::uint32_t begin = r.ip;
        std::uint8_t code = fetch<std::uint8_t>(r);
        const bool wide = code == 0x66;
        if (wide)
            code = fetch<std::uint8_t>(r);
        const auto unknown = [&]() -> machine_error { return {"not simulated: instruction in 16-bit code", begin}; };
        const auto set = [&](unsigned to, std::uint32_t value) {
            r.wide[to] = wide ? value : (r.wide[to] & 0xffff'0000) | (value & 0xffff);
        };
        if (code >= 0x50 && code < 0x58 && !wide) {
            push(r, static_cast<std::uint16_t>(r.wide[code - 0x50u]));
            return false;
        }
        if (code >= 0xb8 && code < 0xc0) {
            set(code - 0xb8u, wide ? fetch<std::uint32_t>(r) : fetch<std::uint16_t>(r));
            return false;
        }
        switch (code) {
        case 0x68: push(r, fetch<std::uint16_t>(r)); return false;
        case 0x6a: push(r, fetch_signed(r)); return false;
        case 0xcb: return far_return(r);
        case 0x0f: step_of_two_bytes(r, wide, begin); return false;
        default: break;
        }
        const auto form = fetch<std::uint8_t>(r);
        const unsigned mode = form >> 6, middle = form >> 3 & 7, last = form & 7;
        if (code == 0xff && middle == 5 && mode == 1 && last == 6 && !wide) { // ljmpw *disp8(%bp)
            const std::uint32_t at = (r.wide[bp] + fetch_signed(r)) & 0xffff;
            const auto to = load<std::uint16_t>(x86_segments::ss, at);
            load_segment(r, cs, load<std::uint16_t>(x86_segments::ss, at + 2));
            r.ip = to;
            return false;
        }
        if (mode != 3)
            throw unknown();
        switch (code) {
        case 0x31: set(last, r.wide[last] ^ r.wide[middle]); return false;
        case 0x89: set(last, r.wide[middle]); return false;
        case 0x8e:
            if (middle == cs || middle >= x86_segments::count)
                throw unknown();
            load_segment(r, static_cast<x86_segments::name>(middle), static_cast<std::uint16_t>(r.wide[last]));
            return false;
        case 0x80: // an AND of a low byte
            if (middle != 4 || last >= 4)
                throw unknown();
            r.wide[last] &= 0xffff'ff00 | fetch<std::uint8_t>(r);
            return false;
        case 0x83:
            if (middle != 0)
                throw unknown();
            set(last, r.wide[last] + fetch_signed(r));
            return false;
        default: throw unknown();
        }
    }

    /// LIDT with a 32-bit base, and moves from and to CR0.
    void step_of_two_bytes(registers& r, bool wide, std::uint32_t begin)
    {
        const auto code = fetch<std::uint8_t>(r);
        const auto form = fetch<std::uint8_t>(r);
        if (code == 0x01 && form == 0x1e && wide) {
            const auto at = fetch<std::uint16_t>(r);
            const auto limit = load<std::uint16_t>(ds, at);
            r.idt = {load<std::uint32_t>(x86_segments::ds, at + 2u), limit};
        } else if (code == 0x20 && form >= 0xc0 && form < 0xc8) {
            r.wide[form & 7u] = static_cast<std::uint32_t>(mmu_.cr0());
        } else if (code == 0x22 && form >= 0xc0 && form < 0xc8) {
            mmu_.load_cr0(r.wide[form & 7u]);
        } else {
            throw machine_error{"not simulated: instruction in 16-bit code", begin};
        }
    }

    bool far_return(registers& r)
    {
        r.ip = pop(r);
        load_segment(r, cs, pop(r));
        return !protection();
    }

    void load_segment(registers& r, x86_segments::name which, std::uint16_t selector)
    {
        if (protection())
            segments_.load(which, selector, r.gdt);
        else
            segments_.load_real(which, selector);
    }

    /// What of esp a stack uses, by its segment.
    std::uint32_t stack_mask() const { return segments_[ss].wide ? 0xffff'ffff : 0xffff; }
    void push(registers& r, std::uint16_t value)
    {
        const std::uint32_t to = (r.wide[sp] - 2) & stack_mask();
        store(ss, to, value);
        r.wide[sp] = (r.wide[sp] & ~stack_mask()) | to;
    }
    std::uint16_t pop(registers& r)
    {
        const std::uint32_t from = r.wide[sp] & stack_mask();
        const auto value = load<std::uint16_t>(x86_segments::ss, from);
        r.wide[sp] = (r.wide[sp] & ~stack_mask()) | ((from + 2) & stack_mask());
        return value;
    }

    phys_addr physical(x86_segments::name segment, std::uint32_t offset, std::size_t size, intent wanted)
    {
        return mmu_.translate(segments_.linear(segment, offset, size, wanted), wanted);
    }
    template <class T> T fetch(registers& r)
    {
        const phys_addr at = physical(x86_segments::cs, r.ip, sizeof(T), x86_mmu::intent::execute);
        record_.note(access_kind::fetch, at.raw(), at, sizeof(T));
        r.ip += sizeof(T);
        return lobos::load<T>(memory_, at);
    }
    std::uint16_t fetch_signed(registers& r)
    {
        return static_cast<std::uint16_t>(static_cast<std::int8_t>(fetch<std::uint8_t>(r)));
    }
    template <class T> T load(x86_segments::name segment, std::uint32_t offset)
    {
        const phys_addr at = physical(segment, offset, sizeof(T), x86_mmu::intent::read);
        record_.note(access_kind::read, at.raw(), at, sizeof(T));
        return lobos::load<T>(memory_, at);
    }
    void store(x86_segments::name segment, std::uint32_t offset, std::uint16_t value)
    {
        const phys_addr at = physical(segment, offset, sizeof value, intent::write);
        record_.note(access_kind::write, at.raw(), at, sizeof value);
        lobos::store(memory_, at, value);
    }

    memory& memory_;
    x86_mmu& mmu_;
    x86_segments& segments_;
    recorder& record_;
};

} // namespace lobos::sim
