// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The segment registers of an x86 [intel/vol3 §3.4, §5.2 to §5.8]. A load reads a descriptor, checks it, and keeps it:
/// from then on base, limit and rights are those of that moment, whatever becomes of the table. Every access goes
/// through them; in 64-bit code only to the bases of FS and GS, and to an address that has to be canonical. Not
/// simulated: local descriptor tables, gates, changes of privilege.

#include <algorithm>
#include <array>

#include <lobos/sim/x86_mmu.hpp>

namespace lobos::sim {

/// What a segment register holds: the selector that everybody sees, and the descriptor that nobody does.
struct x86_segment {
    std::uint16_t selector = 0;
    std::uint32_t base = 0;
    std::uint32_t limit = 0; ///< offset of the last byte
    bool usable = false;     ///< false after a null selector
    bool code = false;
    bool permission = false; ///< data: writable; code: readable
    bool direction = false;  ///< data: expands down; code: conforming
    bool wide = false;       ///< D/B: 32-bit code; an expand-down segment ends at 4 GB, not at 64 KB
    bool long_code = false;  ///< L: 64-bit code, where the processor is in long mode
    unsigned privilege = 0;  ///< DPL
    friend bool operator==(const x86_segment&, const x86_segment&) = default;

    /// All 4 GB from address 0.
    bool flat() const { return usable && base == 0 && limit == 0xffff'ffff && (code || !direction); }
};

/// Base and limit of the descriptor table, as GDTR holds them.
struct x86_descriptor_table {
    std::uint64_t base = 0;
    std::uint32_t limit = 0;
};

class x86_segments {
public:
    enum name : std::uint8_t { es, cs, ss, ds, fs, gs };
    static constexpr std::size_t count = 6;

    x86_segments(memory& memory, x86_mmu& mmu, recorder& record) : memory_{memory}, mmu_{mmu}, record_{record} {}

    const x86_segment& operator[](name which) const { return registers_[which]; }
    std::span<const x86_segment> all() const { return registers_; }
    /// CPL.
    unsigned level() const { return registers_[cs].selector & 3; }
    /// Whether it is 64-bit code that runs.
    bool code_64() const { return mmu_.long_mode() && registers_[cs].long_code; }

    /// Loads a register, CS as a far return to the same privilege does. Throws machine_error for an exception; the
    /// accessed bit is written to the table where it is not set yet.
    void load(name which, std::uint16_t selector, const x86_descriptor_table& table)
    {
        const unsigned asked = selector & 3; // RPL
        if (selector < 4) {
            const bool no_stack_needed = code_64() && asked == level() && asked != 3;
            if (which == cs || (which == ss && !no_stack_needed))
                general_protection("null selector", selector, 0);
            registers_[which] = {.selector = selector};
            return;
        }
        if (selector & 4)
            general_protection("local descriptor tables are not simulated", selector, selector & ~3u);
        if ((selector | 7u) > table.limit)
            general_protection("selector outside the descriptor table", selector, selector & ~3u);
        const std::uint64_t sum = table.base + (selector & ~7u);
        const std::uint64_t at = mmu_.long_mode() ? sum : static_cast<std::uint32_t>(sum);
        const std::uint64_t word = read_word(at) | (std::uint64_t{read_word(at + 4)} << 32);
        x86_segment s = decode(word);
        s.selector = selector;
        const auto refuse = [&](const char* what) { general_protection(what, selector, selector & ~3u); };
        if (!(word & not_system))
            refuse("system descriptor");
        if (which == cs) {
            if (!s.code)
                refuse("code selector names data");
            if (mmu_.long_mode() && s.long_code && s.wide)
                refuse("code of 64 and of 32 bits");
            // A conforming segment may be of a higher privilege than its user, but there is none above this one.
            if (asked != level() || s.privilege != asked)
                refuse("code of another privilege");
        } else if (which == ss) {
            if (s.code || !s.permission)
                refuse("stack selector names what cannot be written");
            if (asked != level() || s.privilege != level())
                refuse("stack of another privilege");
        } else {
            if (s.code && !s.permission)
                refuse("data selector names code that cannot be read");
            if (!(s.code && s.direction) && std::max(asked, level()) > s.privilege)
                refuse("data of a higher privilege");
        }
        if (!(word & is_present))
            throw machine_error{"segment not present", selector,
                {which == ss ? x86_vector::stack_fault : x86_vector::segment_not_present, selector & ~3u}};
        if (!(word & is_accessed))
            mark_accessed(at + 5, static_cast<std::uint8_t>(word >> 40));
        registers_[which] = s;
        if (which == cs)
            mmu_.runs_64_bit_code(s.long_code);
    }

    /// Loads a register in real mode: the base follows from the number, and nothing else changes [intel/vol3 §20.1.1].
    void load_real(name which, std::uint16_t number)
    {
        registers_[which].selector = number;
        registers_[which].base = std::uint32_t{number} << 4;
    }

    /// The linear address of `size` bytes at `offset`. Throws machine_error where limit or rights forbid it, or in
    /// 64-bit code where it is not canonical.
    std::uint64_t linear(name which, std::uint64_t offset, std::size_t size, x86_mmu::intent wanted) const
    {
        const x86_segment& s = registers_[which];
        const auto refuse = [&](const char* what) {
            throw machine_error{std::string{which == ss ? "stack fault: " : "general protection: "} + what, offset,
                {which == ss ? x86_vector::stack_fault : x86_vector::general_protection}};
        };
        if (code_64()) {
            const std::uint64_t first = offset + (which == fs || which == gs ? s.base : 0);
            if (!mmu_.has_address(first) || !mmu_.has_address(first + size - 1))
                refuse("address is not canonical");
            return first;
        }
        if (!s.usable)
            refuse("null segment");
        if (wanted == x86_mmu::intent::write && (s.code || !s.permission))
            refuse("write to a read-only segment");
        if (wanted == x86_mmu::intent::read && s.code && !s.permission)
            refuse("read from an execute-only segment");
        const std::uint64_t last = offset + size - 1;
        const bool down = !s.code && s.direction;
        const std::uint64_t end = down ? (s.wide ? 0xffff'ffffu : 0xffffu) : s.limit;
        if (offset >> 32 != 0 || last > end || (down && offset <= s.limit))
            refuse("beyond the segment's limit");
        return wrapped(s.base + offset);
    }

    /// A linear address as the processor computes it: outside of 64-bit code it has 32 bits.
    std::uint64_t wrapped(std::uint64_t linear) const
    {
        return code_64() ? linear : static_cast<std::uint32_t>(linear);
    }

private:
    static constexpr std::uint64_t is_accessed = std::uint64_t{1} << 40;
    static constexpr std::uint64_t not_system = std::uint64_t{1} << 44;
    static constexpr std::uint64_t is_present = std::uint64_t{1} << 47;

    /// [intel/vol3 §3.4.5]
    static x86_segment decode(std::uint64_t word)
    {
        const auto bit = [&](unsigned n) { return ((word >> n) & 1) != 0; };
        const auto limit = static_cast<std::uint32_t>((word & 0xffff) | ((word >> 32) & 0xf'0000));
        return {.base = static_cast<std::uint32_t>(((word >> 16) & 0xff'ffff) | ((word >> 32) & 0xff00'0000)),
            .limit = bit(55) ? (limit << 12) | 0xfff : limit,
            .usable = true,
            .code = bit(43),
            .permission = bit(41),
            .direction = bit(42),
            .wide = bit(54),
            .long_code = bit(53) && bit(43),
            .privilege = static_cast<unsigned>(word >> 45) & 3};
    }

    std::uint32_t read_word(std::uint64_t linear)
    {
        std::uint32_t value = 0;
        for (std::uint32_t i = 0; i < 4; ++i) { // a table need not be aligned
            const phys_addr at = mmu_.translate(linear + i, x86_mmu::intent::read, x86_mmu::privilege::implicit);
            record_.note(access_kind::walk, at.raw(), at, 1);
            value |= std::uint32_t{lobos::load<std::uint8_t>(memory_, at)} << (8 * i);
        }
        return value;
    }
    void mark_accessed(std::uint64_t linear, std::uint8_t byte)
    {
        const phys_addr at = mmu_.translate(linear, x86_mmu::intent::write, x86_mmu::privilege::implicit);
        record_.note(access_kind::mark, at.raw(), at, 1);
        store(memory_, at, static_cast<std::uint8_t>(byte | 1));
    }

    [[noreturn]] static void general_protection(const char* what, std::uint16_t selector, std::uint32_t error)
    {
        throw machine_error{
            std::string{"general protection: "} + what, selector, {x86_vector::general_protection, error}};
    }

    memory& memory_;
    x86_mmu& mmu_;
    recorder& record_;
    std::array<x86_segment, count> registers_ = {};
};

} // namespace lobos::sim
