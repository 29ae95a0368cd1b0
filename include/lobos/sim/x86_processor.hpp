// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A simulated 32-bit x86 that can leave one kernel and enter another. It models the instructions of
/// arch/x86/lobos/machine/departure_32.hpp and hub.hpp one after another: each is fetched, and each of its operands
/// reached, through the segment registers and the page tables in force, with the limits that hardware checks and QEMU's
/// TCG does not. The copy loop is the real one. Everything it does is recorded. From the instruction on that loads the
/// exception guard's gates, an exception must find the guard, whenever it comes.

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include <lobos/overlay/copy_loop.hpp>
#include <lobos/sim/x86_guard_check.hpp>
#include <lobos/sim/x86_real_mode.hpp>
#include <lobos/sim/x86_segments.hpp>
#include <lobos/x86/port.hpp>

namespace lobos::sim {

/// What the new kernel's first instruction finds.
struct entry_state {
    std::uint32_t eip = 0;
    phys_addr physical_eip;
    std::uint32_t eax = 0, ebx = 0, esi = 0, ebp = 0, edi = 0;
    std::uint32_t esp = 0; ///< in real mode, where the contract says it
    std::uint16_t cs = 0, ds = 0, es = 0, fs = 0, gs = 0, ss = 0;
    bool flat = false; ///< the segments in force are all of memory from 0, whatever the table says by now
    std::uint32_t cr0 = 0, cr3 = 0, cr4 = 0, dr7 = 0;
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
            .cr0 = mmu.cr0(),
            .cr4 = mmu.cr4(),
            .efer = mmu.efer(),
            .code_selector = segments[x86_segments::cs].selector,
            .data_selector = segments[x86_segments::ss].selector};
    }

    x86::overlay_code code() const { return x86_pieces::code(); }

    void interrupts_off() noexcept { state.interrupts = false; }

    /// Leaves by throwing new_kernel_entered, or machine_error where the machine would have faulted.
    void depart(virt_addr code, virt_addr frame)
    {
        if (state.interrupts)
            throw machine_error{"left with interrupts on", code.raw()};
        guarding_ = false;
        ebx_ = low(frame.raw());
        for (std::uint32_t to = low(code.raw());;)
            switch (const x86::piece p = begin(to)) {
            case x86::piece::depart: to = run_depart(); break;
            case x86::piece::arrive: to = run_arrive(); break;
            case x86::piece::copy: to = run_copy(); break;
            case x86::piece::down: to = run_down(); break;
            case x86::piece::hub: to = run_hub(); break;
            case x86::piece::up: to = run_up(); break;
            case x86::piece::leave_flat: run_leave(); break;
            default: throw machine_error{"not simulated: piece " + std::to_string(static_cast<unsigned>(p)), to};
            }
    }

    /// Loads a segment register from the descriptor table that GDTR names.
    void load_segment(x86_segments::name which, std::uint16_t selector)
    {
        segments.load(which, selector, {gdtr_base, gdtr_limit});
        note_selectors();
    }

    void note_selectors()
    {
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
        for (const std::uint32_t value : {low(mmu.cr0()), low(mmu.cr3()), low(mmu.cr4()), low(mmu.efer()), gdtr_base,
                 gdtr_limit, idtr_base, idtr_limit, dr7, state.eax, state.ebx, state.esi, state.ebp, state.edi})
            hash.add(value);
        hash.add(state.interrupts);
        for (const x86_segment& s : segments.all())
            for (const std::uint32_t value : {std::uint32_t{s.selector}, s.base, s.limit, std::uint32_t{s.privilege},
                     std::uint32_t{s.usable}, std::uint32_t{s.code}, std::uint32_t{s.permission},
                     std::uint32_t{s.direction}, std::uint32_t{s.wide}})
                hash.add(value);
    }

private:
    memory& memory_;

public:
    recorder record; ///< every access it makes
    x86_mmu mmu;
    x86_segments segments;
    std::uint32_t gdtr_base = 0;
    std::uint32_t gdtr_limit = 0;
    std::uint32_t idtr_base = 0;
    std::uint32_t idtr_limit = 0;
    std::uint32_t dr7 = 0x400;
    entry_state state;

private:
    static std::uint32_t low(std::uint64_t value) { return static_cast<std::uint32_t>(value); }

    static constexpr std::uint32_t loop_stack = 512; // more than any compiler has been seen to use

    phys_addr translate(std::uint32_t linear, x86_mmu::intent wanted)
    {
        return mmu.translate(
            linear, wanted, segments.level() == 3 ? x86_mmu::privilege::user : x86_mmu::privilege::supervisor);
    }

    using enum x86_segments::name;
    using layout = x86::departure_frame;

    // The pieces. Each returns where it goes; `next` begins an instruction.

    std::uint32_t run_depart()
    {
        next(); // endbr32, cld, and the argument
        next();
        next();
        next();
        esp_ = field(offsetof(layout, stack_alias));
        next();
        load_table(gdtr_base, gdtr_limit, offsetof(layout, gdt));
        next();
        load_table(idtr_base, idtr_limit, offsetof(layout, idt));
        guarding_ = true;
        next(); // xor
        next();
        dr7 = 0x400;
        next();
        const std::uint32_t cr4 = field(offsetof(layout, cr4));
        next();
        mmu.load_cr4(cr4);
        next();
        const std::uint32_t root = field(offsetof(layout, table_root));
        next();
        mmu.load_cr3(root);
        next(); // fetched through the new tables
        return field(offsetof(layout, arrive));
    }

    std::uint32_t run_arrive()
    {
        next();
        ebx_ = field(offsetof(layout, self));
        next();
        esp_ = field(offsetof(layout, stack_top));
        load_data_segments(offsetof(layout, data_selector));
        for (const std::size_t pushed : {offsetof(layout, program_at), offsetof(layout, after_copy),
                 offsetof(layout, code_selector), offsetof(layout, after_arrive)}) {
            next();
            push(field(pushed));
        }
        return far_return();
    }

    /// The copy loop, which uses a little stack, and comes back to where that says.
    std::uint32_t run_copy()
    {
        next();
        for (std::uint32_t used = 4; used <= loop_stack; used += 4)
            store_word(ss, esp_ - used, 0);
        loop_view view{*this};
        overlay::run<overlay::skips_in_plan>(view, load_word(ss, esp_ + 4));
        next();
        return pop();
    }

    std::uint32_t run_down()
    {
        next();
        load_table(idtr_base, idtr_limit, offsetof(layout, hub_idt));
        next();
        load_table(gdtr_base, gdtr_limit, offsetof(layout, hub_gdt));
        next();
        return field(offsetof(layout, hub));
    }

    std::uint32_t run_hub()
    {
        next();
        next();
        mmu.load_cr0(0x11);
        next(); // goes on at the same address without paging
        const std::uint32_t kept = field(offsetof(layout, efer_kept));
        next();
        next();
        if (kept != 0xffff'ffff) {
            next();
            next();
            next();
            next();
            mmu.load_efer((mmu.efer() & ~std::uint64_t{0xffff'ffff}) | (low(mmu.efer()) & kept));
        } else {
            skip(4);
        }
        next(); // xor
        next();
        mmu.load_cr3(0);
        next();
        mmu.load_cr4(0);
        next();
        esp_ = field(offsetof(layout, stack_top));
        next();
        push(field(offsetof(layout, program_at)));
        next();
        push(field(offsetof(layout, after_copy)));
        next();
        return field(offsetof(layout, after_hub));
    }

    std::uint32_t run_up()
    {
        next();
        const std::uint32_t cr4 = field(offsetof(layout, up_cr4));
        next();
        mmu.load_cr4(cr4);
        next();
        const std::uint32_t root = field(offsetof(layout, up_cr3));
        next();
        mmu.load_cr3(root);
        next();
        if (field(offsetof(layout, up_efer)) != 0)
            throw machine_error{"not simulated: the way up to 64-bit code", at_};
        next();
        next();
        skip(4);
        next();
        const std::uint32_t cr0 = field(offsetof(layout, up_cr0));
        next();
        mmu.load_cr0(cr0);
        next(); // fetched through the image's tables
        return field(offsetof(layout, after_up));
    }

    [[noreturn]] void run_leave()
    {
        load_data_segments(offsetof(layout, entry_data_selector));
        next();
        push(field(offsetof(layout, entry_code_selector)));
        next();
        push(field(offsetof(layout, entry)));
        next();
        state.eax = field(offsetof(layout, ax));
        next();
        state.esi = field(offsetof(layout, si));
        next();
        state.ebx = field(offsetof(layout, bx));
        for (int cleared = 0; cleared < 4; ++cleared) // ecx, edx, ebp, edi
            next();
        state.ebp = state.edi = 0;
        state.eip = far_return();
        if (!segments[cs].wide)
            run_16();
        state.cr0 = low(mmu.cr0());
        state.cr3 = low(mmu.cr3());
        state.cr4 = low(mmu.cr4());
        state.dr7 = dr7;
        state.flat = std::ranges::all_of(segments.all(), &x86_segment::flat);
        state.physical_eip =
            translate(segments.linear(cs, state.eip, 1, x86_mmu::intent::execute), x86_mmu::intent::execute);
        throw new_kernel_entered{state};
    }

    /// From a 16-bit segment on it is the image's own code that runs, on its way to real mode.
    void run_16()
    {
        using enum x86_real_mode::register_name;
        x86_real_mode::registers r{.ip = state.eip, .gdt = {gdtr_base, gdtr_limit}, .idt = {idtr_base, idtr_limit}};
        r.wide[ax] = state.eax;
        r.wide[bx] = state.ebx;
        r.wide[si] = state.esi;
        r.wide[sp] = esp_;
        x86_real_mode{memory_, mmu, segments, record}.run(r);
        idtr_base = r.idt.base;
        idtr_limit = r.idt.limit;
        state.eip = r.ip;
        state.eax = r.wide[ax];
        state.ebx = r.wide[bx];
        state.esi = r.wide[si];
        state.ebp = r.wide[bp];
        state.edi = r.wide[di];
        state.esp = r.wide[sp];
        note_selectors();
    }

    // What instructions do.

    std::uint32_t field(std::size_t offset) { return load_word(ds, ebx_ + static_cast<std::uint32_t>(offset)); }
    void push(std::uint32_t value)
    {
        store_word(ss, esp_ - 4, value);
        esp_ -= 4;
    }
    std::uint32_t pop()
    {
        const std::uint32_t value = load_word(ss, esp_);
        esp_ += 4;
        return value;
    }
    void load_table(std::uint32_t& base, std::uint32_t& limit, std::size_t offset)
    {
        const auto new_limit = load_operand<std::uint16_t>(ds, ebx_ + static_cast<std::uint32_t>(offset));
        base = field(offset + 2);
        limit = new_limit;
    }
    /// A load of eax, and of all registers but CS from it.
    void load_data_segments(std::size_t offset)
    {
        next();
        const auto data = static_cast<std::uint16_t>(field(offset));
        for (const auto name : {ds, es, fs, gs, ss}) {
            next();
            load_segment(name, data);
        }
    }
    std::uint32_t far_return()
    {
        next();
        const std::uint32_t to = pop();
        load_segment(cs, static_cast<std::uint16_t>(pop()));
        return to;
    }

    /// Goes to `address`, where a piece must begin.
    x86::piece begin(std::uint32_t address)
    {
        at_ = address;
        in_piece_ = 0;
        const auto head = fetch(at_);
        for (const x86::piece p : x86_pieces::simulated)
            if (head == x86_pieces::instruction(p, 0))
                return now_ = p;
        throw machine_error{"executes what is not the overlay's code", at_};
    }

    /// An instruction begins: it must be there, and an exception before it must find a handler.
    void next()
    {
        execute(at_, now_, in_piece_);
        if (guarding_)
            guarded();
        skip(1);
    }
    void skip(std::uint32_t instructions)
    {
        at_ += instructions * std::uint32_t{x86_pieces::instruction_size};
        in_piece_ += instructions * x86_pieces::instruction_size;
    }

    /// The bytes of piece `p` from `in_piece` on must be at `offset` of CS, under the tables in force.
    void execute(std::uint32_t offset, x86::piece p, std::size_t in_piece)
    {
        if (fetch(offset) != x86_pieces::instruction(p, in_piece))
            throw machine_error{"executes what is not the overlay's code", offset};
    }
    x86_pieces::instruction_bytes fetch(std::uint32_t offset)
    {
        x86_pieces::instruction_bytes bytes{};
        operand(cs, offset, bytes.size(), x86_mmu::intent::execute,
            [&](std::uint32_t linear, phys_addr at, std::size_t done, std::size_t n) {
                record.note(access_kind::fetch, linear, at, n);
                memory_.read(at, std::span{bytes}.subspan(done, n));
            });
        return bytes;
    }

    /// An exception between two instructions must find the guard: its gate, the gate's selector, the code, and a stack.
    void guarded()
    {
        const x86_guard_check check{memory_, mmu, segments};
        if (!check.holds({idtr_base, idtr_limit}, {gdtr_base, gdtr_limit}, esp_, rests_on_))
            throw machine_error{"an exception here would find no handler", at_};
    }
    /// The copy loop has no instructions here: what it writes counts, if the guard rests on it.
    void guarded_after_write(phys_addr at)
    {
        if (guarding_ && std::ranges::find(rests_on_, at.raw() >> 12) != rests_on_.end())
            guarded();
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
                guarded_after_write(at);
            });
    }
    std::uint32_t load_word(x86_segments::name segment, std::uint32_t offset)
    {
        return load_operand<std::uint32_t>(segment, offset);
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
    std::uint32_t ebx_ = 0;
    std::uint32_t esp_ = 0;
    std::uint32_t at_ = 0;     ///< offset in CS of the instruction
    std::size_t in_piece_ = 0; ///< and in its piece
    x86::piece now_ = x86::piece::depart;
    bool guarding_ = false;               ///< the guard's gates are in force
    std::vector<std::uint64_t> rests_on_; ///< numbers of the pages that these lead through
};

static_assert(x86::processor<x86_processor>);

} // namespace lobos::sim
