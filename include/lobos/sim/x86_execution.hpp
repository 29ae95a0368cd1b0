// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What the instructions of a simulated x86 are made of, in 32-bit, compatibility and 64-bit code: each is fetched, and
/// each of its operands reached, through the segment registers and the page tables in force, with the limits that
/// hardware checks and QEMU's TCG does not. Everything is recorded. From the instruction on that loads the exception
/// guard's gates, an exception must find the guard, whenever it comes.

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <vector>

#include <lobos/overlay/copy_loop.hpp>
#include <lobos/sim/x86_guard_check.hpp>
#include <lobos/sim/x86_pieces.hpp>
#include <lobos/sim/x86_segments.hpp>
#include <lobos/x86/departure.hpp>

namespace lobos::sim {

/// General registers, by the numbers that instructions have for them [intel/vol2 §2.1].
struct x86_registers {
    enum name : unsigned { ax, cx, dx, bx, sp, bp, si, di, r8 };
    static constexpr std::size_t count = 16;
    std::array<std::uint64_t, count> wide = {};

    std::uint64_t& operator[](unsigned which) { return wide[which]; }
    const std::uint64_t& operator[](unsigned which) const { return wide[which]; }
};

class x86_execution {
public:
    explicit x86_execution(memory& memory) : memory_{memory}, mmu{memory, &record}, segments{memory, mmu, record} {}
    x86_execution(const x86_execution&) = delete;

protected:
    memory& memory_;

public:
    recorder record; ///< every access it makes
    x86_mmu mmu;
    x86_segments segments;
    unsigned relocations = 0; ///< of the descriptor table, by instructions of the overlay
    x86_descriptor_table gdtr;
    x86_descriptor_table idtr;
    std::uint64_t dr7 = 0x400;
    x86_registers general;
    bool guarding = false; ///< the guard's gates are in force

    // Instructions, one after another.

    /// Goes to `address`, where a piece must begin, in code of the width that runs.
    x86::piece begin(std::uint64_t address)
    {
        at_ = address;
        in_piece_ = 0;
        const auto head = fetch(at_);
        for (const auto c : x86_pieces::runnable())
            if (head == x86_pieces::instruction(c, 0)) {
                now_ = c;
                wants_64_ = c.is_64;
                return c.which;
            }
        throw machine_error{"executes what is not the overlay's code", at_};
    }

    /// An instruction begins: it must be there, of the width that runs, and an exception before it must find a handler.
    void next()
    {
        if (fetch(at_) != x86_pieces::instruction(now_, in_piece_))
            throw machine_error{"executes what is not the overlay's code", at_};
        if (wants_64_ != segments.code_64() || (!wants_64_ && !segments[x86_segments::cs].wide))
            throw machine_error{"executes code of another width", at_};
        if (guarding)
            guarded();
        skip(1);
    }
    void next(int instructions)
    {
        for (int i = 0; i < instructions; ++i)
            next();
    }
    /// Jumps over instructions.
    void skip(std::uint32_t instructions)
    {
        at_ += instructions * std::uint64_t{x86_pieces::instruction_size};
        in_piece_ += instructions * x86_pieces::instruction_size;
    }
    /// Where the next one lies.
    std::uint64_t next_at() const { return at_; }
    /// Whether the piece that runs is 64-bit code.
    bool runs_64() const { return wants_64_; }

    // What they do. `W` is the width of their operands.

    /// What is at `offset` of the frame to the middle of which bx points.
    template <std::unsigned_integral W> W field(std::size_t offset) { return load<W>(x86_segments::ds, frame(offset)); }
    template <std::unsigned_integral W> void push(W value)
    {
        set<W>(x86_registers::sp, static_cast<W>(general[x86_registers::sp] - sizeof(W)));
        store(x86_segments::ss, general[x86_registers::sp], value);
    }
    template <std::unsigned_integral W> W on_stack(W offset)
    {
        return load<W>(x86_segments::ss, static_cast<W>(general[x86_registers::sp] + offset));
    }
    template <std::unsigned_integral W> W pop()
    {
        const W value = on_stack(W{0});
        set<W>(x86_registers::sp, static_cast<W>(general[x86_registers::sp] + sizeof(W)));
        return value;
    }
    /// Loads a register; a half of it leaves zeros in the other.
    template <std::unsigned_integral W> void set(unsigned which, W value) { general[which] = value; }

    /// LGDT and LIDT.
    void load_table(x86_descriptor_table& table, std::size_t offset)
    {
        const auto limit = load<std::uint16_t>(x86_segments::ds, frame(offset));
        table.base = segments.code_64() ? field<std::uint64_t>(offset + 2) : field<std::uint32_t>(offset + 2);
        table.limit = limit;
        relocations += &table == &gdtr ? 1 : 0;
    }
    /// A load of eax, and of all segment registers but CS from it: six instructions.
    void load_data_segments(std::size_t offset)
    {
        next();
        const auto data = static_cast<std::uint16_t>(field<std::uint32_t>(offset));
        using enum x86_segments::name;
        for (const auto name : {ds, es, fs, gs, ss}) {
            next();
            segments.load(name, data, gdtr);
        }
    }
    /// LRET: where it goes, in the code segment that it loads.
    template <std::unsigned_integral W> std::uint64_t far_return()
    {
        next();
        const W to = pop<W>();
        segments.load(x86_segments::cs, static_cast<std::uint16_t>(pop<W>()), gdtr);
        return to;
    }

    /// The copy loop, which uses a little stack. It has no instructions here.
    template <std::unsigned_integral W> void copy_loop(W program)
    {
        constexpr W loop_stack = 512; // more than any compiler has been seen to use
        for (W used = sizeof(W); used <= loop_stack; used += sizeof(W))
            store(x86_segments::ss, static_cast<W>(general[x86_registers::sp] - used), W{0});
        loop_view<W> view{*this};
        overlay::run<overlay::skips_in_plan>(view, program);
    }

    /// The physical address of an instruction at `offset` of CS.
    phys_addr physical_of_code(std::uint64_t offset)
    {
        return translate(
            segments.linear(x86_segments::cs, offset, 1, x86_mmu::intent::execute), x86_mmu::intent::execute);
    }

private:
    std::uint64_t frame(std::size_t offset) const
    {
        const std::uint64_t at = general[x86_registers::bx] + offset - x86::departure_frame::middle;
        return segments.code_64() ? at : static_cast<std::uint32_t>(at);
    }
    phys_addr translate(std::uint64_t linear, x86_mmu::intent wanted)
    {
        return mmu.translate(
            linear, wanted, segments.level() == 3 ? x86_mmu::privilege::user : x86_mmu::privilege::supervisor);
    }

    x86_pieces::instruction_bytes fetch(std::uint64_t offset)
    {
        x86_pieces::instruction_bytes bytes{};
        operand(x86_segments::cs, offset, bytes.size(), x86_mmu::intent::execute,
            [&](std::uint64_t linear, phys_addr at, std::size_t done, std::size_t n) {
                record.note(access_kind::fetch, linear, at, n);
                memory_.read(at, std::span{bytes}.subspan(done, n));
            });
        return bytes;
    }

    /// An exception between two instructions must find the guard.
    void guarded()
    {
        const x86_guard_check check{memory_, mmu, segments};
        if (!check.holds(idtr, gdtr, general[x86_registers::sp], rests_on_))
            throw machine_error{"an exception here would find no handler", at_};
    }
    /// What the copy loop writes counts, if the guard rests on it.
    void guarded_after_write(phys_addr at)
    {
        if (guarding && std::ranges::find(rests_on_, at.raw() >> 12) != rests_on_.end())
            guarded();
    }

    /// Calls `visit(linear, physical, done, bytes)` for an operand of at most 8 bytes, twice where it crosses a page;
    /// not at all when either page faults.
    template <class Visit>
    void operand(
        x86_segments::name segment, std::uint64_t offset, std::size_t size, x86_mmu::intent wanted, Visit visit)
    {
        const std::uint64_t linear = segments.linear(segment, offset, size, wanted);
        const std::size_t here = std::min<std::size_t>(size, 0x1000 - (linear & 0xfff));
        const phys_addr first = translate(linear, wanted);
        if (here == size) {
            visit(linear, first, 0, size);
            return;
        }
        const std::uint64_t rest = segments.wrapped(linear + here);
        const phys_addr second = translate(rest, wanted);
        visit(linear, first, 0, here);
        visit(rest, second, here, size - here);
    }
    template <class T> T load(x86_segments::name segment, std::uint64_t offset)
    {
        std::array<std::byte, sizeof(T)> bytes{};
        operand(segment, offset, sizeof(T), x86_mmu::intent::read,
            [&](std::uint64_t linear, phys_addr at, std::size_t done, std::size_t n) {
                record.note(access_kind::read, linear, at, n);
                memory_.read(at, std::span{bytes}.subspan(done, n));
            });
        return std::bit_cast<T>(bytes);
    }
    template <class T> void store(x86_segments::name segment, std::uint64_t offset, T value)
    {
        const auto bytes = bytes_of(value);
        operand(segment, offset, sizeof(T), x86_mmu::intent::write,
            [&](std::uint64_t linear, phys_addr at, std::size_t done, std::size_t n) {
                record.note(access_kind::write, linear, at, n);
                memory_.write(at, bytes.subspan(done, n));
                guarded_after_write(at);
            });
    }

    /// What the copy loop sees: everything through the tables in force.
    template <std::unsigned_integral W> struct loop_view {
        using address = W;
        using word = W;
        x86_execution& cpu;

        template <class T> T get(address at) { return cpu.load<T>(x86_segments::ds, at); }
        template <class T> void put(address at, T value) { cpu.store(x86_segments::ds, at, value); }

        word load_word(address at) { return get<word>(at); }
        std::uint8_t load_byte(address at) { return get<std::uint8_t>(at); }
        std::uint64_t load_u64(address at) { return get<std::uint64_t>(at); }
        void store_word(address at, word value) { put(at, value); }
        void store_byte(address at, std::uint8_t value) { put(at, value); }
        void store_u32(address at, std::uint32_t value) { put(at, value); }
        void store_u64(address at, std::uint64_t value) { put(at, value); }
        std::uint64_t clock() { return ++cpu.clock_; }
    };

    std::uint64_t clock_ = 0;
    std::uint64_t at_ = 0;     ///< offset in CS of the instruction
    std::size_t in_piece_ = 0; ///< and in its piece
    x86_pieces::code_piece now_ = x86_pieces::of(x86::piece::depart, false);
    bool wants_64_ = false;
    std::vector<std::uint64_t> rests_on_; ///< numbers of the pages that the guard's gates lead through
};

} // namespace lobos::sim
