// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A simulated 32-bit x86 that can leave one kernel and enter another. It models the instructions of
/// arch/x86/lobos/machine/overlay.hpp one after another: each is fetched, and each of its operands reached, through the
/// segment registers and the page tables in force, with the limits that hardware checks and QEMU's TCG does not. The
/// copy loop is the real one. Everything it does is recorded.

#include <algorithm>
#include <array>
#include <bit>

#include <lobos/overlay/copy_loop.hpp>
#include <lobos/sim/x86_segments.hpp>
#include <lobos/x86/protected_mode.hpp>

namespace lobos::sim {

/// What the new kernel's first instruction finds.
struct entry_state {
    std::uint32_t eip = 0;
    phys_addr physical_eip;
    std::uint32_t eax = 0, ebx = 0, esi = 0, ebp = 0, edi = 0;
    std::uint16_t cs = 0, ds = 0, es = 0, fs = 0, gs = 0, ss = 0;
    bool flat = false; ///< the segments in force are all of memory from 0, whatever the table says by now
    std::uint32_t cr0 = 0, cr3 = 0, cr4 = 0;
    bool interrupts = true;
};

/// Thrown by x86_processor::depart when it arrives: the exec has happened.
struct new_kernel_entered {
    entry_state state;
};

class x86_processor {
public:
    explicit x86_processor(memory& memory) : memory_{memory}, mmu{memory, &record}, segments{memory, mmu, record} {}

    x86::machine_facts facts() const
    {
        return {.table_root = phys_addr::at(mmu.cr3() & 0xffff'f000),
            .descriptors = {virt_addr::at(gdtr_base), gdtr_limit},
            .cr0 = low(mmu.cr0()),
            .cr4 = low(mmu.cr4()),
            .code_selector = segments[x86_segments::cs].selector,
            .data_selector = segments[x86_segments::ds].selector};
    }

    /// No instructions, but bytes that can be recognised: the places are checked, not decoded.
    x86::overlay_code code() const
    {
        return {.bytes = code_bytes, .depart = 0, .arrive = 32, .copy = 64, .leave_unpaged = 96, .leave_paged = 128};
    }

    void interrupts_off() noexcept { state.interrupts = false; }

    /// Leaves by throwing new_kernel_entered, or machine_error where the machine would have faulted.
    void depart(virt_addr code, virt_addr frame)
    {
        using enum x86_segments::name;
        using layout = x86::departure_frame;
        if (state.interrupts)
            throw machine_error{"left with interrupts on", code.raw()};
        const auto here = static_cast<std::uint32_t>(code.raw());
        std::uint32_t ebx = static_cast<std::uint32_t>(frame.raw());
        const auto field = [&](std::size_t offset) { return load_word(ds, ebx + static_cast<std::uint32_t>(offset)); };

        // depart
        execute(here, 0);
        const std::uint32_t root = field(offsetof(layout, table_root));
        const std::uint32_t self = field(offsetof(layout, self));
        const std::uint32_t arrive = field(offsetof(layout, arrive));
        mmu.load_cr4(mmu.cr4() & ~x86::cr4::global_pages);
        execute(here, 0);
        mmu.load_cr3(root);
        execute(here, 0); // the next instruction is fetched through the new tables

        // arrive
        ebx = self;
        execute(arrive, 32);
        gdtr_limit = field(offsetof(layout, gdt)) & 0xffff;
        gdtr_base = field(offsetof(layout, gdt) + 2);
        std::uint32_t esp = field(offsetof(layout, stack_top));
        const auto data = static_cast<std::uint16_t>(field(offsetof(layout, data_selector)));
        for (const auto name : {ds, es, fs, gs, ss})
            load_segment(name, data);
        for (const std::size_t pushed : {offsetof(layout, program_at), offsetof(layout, leave),
                 offsetof(layout, code_selector), offsetof(layout, copy)})
            store_word(ss, esp -= 4, field(pushed));
        const std::uint32_t copy = load_word(ss, esp);
        load_segment(cs, static_cast<std::uint16_t>(load_word(ss, esp + 4)));
        esp += 8;

        // the copy loop, which uses a little stack, and comes back to where that says
        execute(copy, 64);
        for (std::uint32_t used = 4; used <= loop_stack; used += 4)
            store_word(ss, esp - used, 0);
        loop_view view{*this};
        overlay::run(view, load_word(ss, esp + 4));
        const std::uint32_t leave = load_word(ss, esp);

        // the way out
        const bool unpaged = load_byte(cs, leave) == code_bytes[96];
        execute(leave, unpaged ? 96 : 128);
        if (unpaged) {
            mmu.load_cr0(mmu.cr0() & ~x86::cr0::paging);
            execute(leave, 96); // goes on at the same address without paging
            mmu.load_cr3(0);
            mmu.load_cr4(0);
        }
        state.eip = field(offsetof(layout, entry));
        state.eax = field(offsetof(layout, eax));
        state.esi = field(offsetof(layout, esi));
        state.ebx = field(offsetof(layout, ebx));
        state.ebp = state.edi = 0;
        state.cr0 = low(mmu.cr0());
        state.cr3 = low(mmu.cr3());
        state.cr4 = low(mmu.cr4());
        state.flat = std::ranges::all_of(segments.all(), &x86_segment::flat);
        state.physical_eip =
            translate(segments.linear(cs, state.eip, 1, x86_mmu::intent::execute), x86_mmu::intent::execute);
        throw new_kernel_entered{state};
    }

    /// Loads a segment register from the descriptor table that GDTR names.
    void load_segment(x86_segments::name which, std::uint16_t selector)
    {
        segments.load(which, selector, {gdtr_base, gdtr_limit});
        using enum x86_segments::name;
        state.cs = segments[cs].selector;
        state.ds = segments[ds].selector;
        state.es = segments[es].selector;
        state.fs = segments[fs].selector;
        state.gs = segments[gs].selector;
        state.ss = segments[ss].selector;
    }

    /// All registers; not what the caches remember, which is nobody's state.
    void add_to(state_hash& hash) const
    {
        for (const std::uint32_t value : {low(mmu.cr0()), low(mmu.cr3()), low(mmu.cr4()), gdtr_base, gdtr_limit,
                 state.eax, state.ebx, state.esi, state.ebp, state.edi})
            hash.add(value);
        hash.add(state.interrupts);
        for (const x86_segment& s : segments.all())
            for (const std::uint32_t value : {std::uint32_t{s.selector}, s.base, s.limit, std::uint32_t{s.privilege},
                     std::uint32_t{s.usable}, std::uint32_t{s.code}, std::uint32_t{s.permission},
                     std::uint32_t{s.direction}, std::uint32_t{s.wide}})
                hash.add(value);
    }

    static constexpr std::array<std::byte, 160> code_bytes = [] {
        std::array<std::byte, 160> bytes{};
        for (std::size_t i = 0; i < bytes.size(); ++i)
            bytes[i] = static_cast<std::byte>(0x40 + i);
        return bytes;
    }();

private:
    memory& memory_;

public:
    recorder record; ///< every access it makes
    x86_mmu mmu;
    x86_segments segments;
    std::uint32_t gdtr_base = 0;
    std::uint32_t gdtr_limit = 0;
    entry_state state;

private:
    static std::uint32_t low(std::uint64_t value) { return static_cast<std::uint32_t>(value); }

    static constexpr std::uint32_t loop_stack = 512; // more than any compiler has been seen to use

    phys_addr translate(std::uint32_t linear, x86_mmu::intent wanted)
    {
        return mmu.translate(
            linear, wanted, segments.level() == 3 ? x86_mmu::privilege::user : x86_mmu::privilege::supervisor);
    }

    /// An instruction of the overlay at `offset` of CS must be there, under the tables in force.
    void execute(std::uint32_t offset, std::size_t in_code)
    {
        const auto linear = segments.linear(x86_segments::cs, offset, 1, x86_mmu::intent::execute);
        const phys_addr at = translate(linear, x86_mmu::intent::execute);
        record.note(access_kind::fetch, linear, at, 1);
        if (load<std::byte>(memory_, at) != code_bytes[in_code])
            throw machine_error{"executes what is not the overlay's code", linear};
    }

    /// Calls `visit(linear, physical, done, bytes)` for an operand of at most 8 bytes, twice where it crosses a page;
    /// not at all when either page faults.
    template <class Visit>
    void operand(
        x86_segments::name segment, std::uint32_t offset, std::size_t size, x86_mmu::intent wanted, Visit visit)
    {
        const std::uint32_t linear = segments.linear(segment, offset, size, wanted);
        const std::size_t here = std::min<std::size_t>(size, 0x1000 - (linear & 0xfff));
        const phys_addr first = translate(linear, wanted);
        if (here == size) {
            visit(linear, first, 0, size);
            return;
        }
        const auto rest = linear + static_cast<std::uint32_t>(here);
        const phys_addr second = translate(rest, wanted);
        visit(linear, first, 0, here);
        visit(rest, second, here, size - here);
    }
    template <class T> T load_operand(x86_segments::name segment, std::uint32_t offset)
    {
        std::array<std::byte, sizeof(T)> bytes{};
        operand(segment, offset, sizeof(T), x86_mmu::intent::read,
            [&](std::uint32_t linear, phys_addr at, std::size_t done, std::size_t n) {
                record.note(access_kind::read, linear, at, n);
                memory_.read(at, std::span{bytes}.subspan(done, n));
            });
        return std::bit_cast<T>(bytes);
    }
    template <class T> void store_operand(x86_segments::name segment, std::uint32_t offset, T value)
    {
        const auto bytes = bytes_of(value);
        operand(segment, offset, sizeof(T), x86_mmu::intent::write,
            [&](std::uint32_t linear, phys_addr at, std::size_t done, std::size_t n) {
                record.note(access_kind::write, linear, at, n);
                memory_.write(at, bytes.subspan(done, n));
            });
    }
    std::uint32_t load_word(x86_segments::name segment, std::uint32_t offset)
    {
        return load_operand<std::uint32_t>(segment, offset);
    }
    std::byte load_byte(x86_segments::name segment, std::uint32_t offset)
    {
        return load_operand<std::byte>(segment, offset);
    }
    void store_word(x86_segments::name segment, std::uint32_t offset, std::uint32_t value)
    {
        store_operand(segment, offset, value);
    }

    /// What the copy loop sees: everything through the tables in force.
    struct loop_view {
        using address = std::uint32_t;
        using word = std::uint32_t;
        x86_processor& cpu;

        template <class T> T get(address at) { return cpu.load_operand<T>(x86_segments::ds, at); }
        template <class T> void put(address at, T value) { cpu.store_operand(x86_segments::ds, at, value); }

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
};

static_assert(x86::processor<x86_processor>);

} // namespace lobos::sim
