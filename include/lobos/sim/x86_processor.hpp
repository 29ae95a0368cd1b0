// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A simulated 32-bit x86 that can leave one kernel and enter another. It models the instructions of
/// arch/x86/lobos/machine/overlay.hpp one after another: each is fetched through the page tables, each load of a
/// segment register is checked against the table's limit as hardware does and QEMU's TCG does not. The copy loop is
/// the real one, on memory behind these tables.

#include <array>
#include <vector>

#include <lobos/overlay/copy_loop.hpp>
#include <lobos/sim/x86_mmu.hpp>
#include <lobos/x86/protected_mode.hpp>

namespace lobos::sim {

/// What the new kernel's first instruction finds.
struct entry_state {
    std::uint32_t eip = 0;
    phys_addr physical_eip;
    std::uint32_t eax = 0, ebx = 0, esi = 0, ebp = 0, edi = 0;
    std::uint16_t cs = 0, ds = 0, es = 0, fs = 0, gs = 0, ss = 0;
    std::uint32_t cr0 = 0, cr3 = 0, cr4 = 0;
    bool interrupts = true;
};

/// Thrown by x86_processor::depart when it arrives: the exec has happened.
struct new_kernel_entered {
    entry_state state;
};

/// One write of the copy loop.
struct recorded_write {
    std::uint64_t address;
    std::uint64_t size;
};

class x86_processor {
public:
    explicit x86_processor(memory& memory) : memory_{memory}, mmu{memory} {}

    x86::machine_facts facts() const
    {
        return {.table_root = phys_addr::at(mmu.cr3() & 0xffff'f000),
            .descriptors = {virt_addr::at(gdtr_base), gdtr_limit},
            .cr0 = mmu.cr0(),
            .cr4 = mmu.cr4(),
            .code_selector = state.cs,
            .data_selector = state.ds};
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
        if (state.interrupts)
            throw machine_error{"left with interrupts on", code.raw()};
        const auto here = static_cast<std::uint32_t>(code.raw());
        const auto old_frame = static_cast<std::uint32_t>(frame.raw());

        // depart
        execute(here, 0);
        const std::uint32_t root = load_linear(old_frame + offsetof(x86::departure_frame, table_root));
        const std::uint32_t self = load_linear(old_frame + offsetof(x86::departure_frame, self));
        const std::uint32_t arrive = load_linear(old_frame + offsetof(x86::departure_frame, arrive));
        mmu.load_cr4(mmu.cr4() & ~x86::cr4::global_pages);
        mmu.load_cr3(root);
        execute(here, 0); // the next instruction is fetched through the new tables

        // arrive
        execute(arrive, 32);
        const auto field = [&](std::size_t offset) { return load_linear(self + static_cast<std::uint32_t>(offset)); };
        gdtr_limit = field(offsetof(x86::departure_frame, gdt)) & 0xffff;
        gdtr_base = field(offsetof(x86::departure_frame, gdt) + 2);
        std::uint32_t stack = field(offsetof(x86::departure_frame, stack_top));
        const auto data = static_cast<std::uint16_t>(field(offsetof(x86::departure_frame, data_selector)));
        for (std::uint16_t* segment : {&state.ds, &state.es, &state.fs, &state.gs, &state.ss})
            load_segment(*segment, data, false);
        for (int pushes = 0; pushes < 4; ++pushes)
            store_linear(stack -= 4, 0);
        const auto selector = static_cast<std::uint16_t>(field(offsetof(x86::departure_frame, code_selector)));
        load_segment(state.cs, selector, true);

        // the copy loop, which uses a little stack
        execute(field(offsetof(x86::departure_frame, copy)), 64);
        for (std::uint32_t used = 4; used <= loop_stack; used += 4)
            store_linear(stack - used, 0);
        loop_view view{*this};
        overlay::run(view, field(offsetof(x86::departure_frame, program_at)));

        // the way out
        const std::uint32_t leave = field(offsetof(x86::departure_frame, leave));
        const bool unpaged = load_byte_linear(leave) == code_bytes[96];
        execute(leave, unpaged ? 96 : 128);
        state.eax = field(offsetof(x86::departure_frame, eax));
        state.ebx = field(offsetof(x86::departure_frame, ebx));
        state.esi = field(offsetof(x86::departure_frame, esi));
        state.eip = field(offsetof(x86::departure_frame, entry));
        if (unpaged) {
            mmu.load_cr0(mmu.cr0() & ~x86::cr0::paging);
            execute(leave, 96); // goes on at the same address without paging
            mmu.load_cr3(0);
            mmu.load_cr4(0);
        }
        state.cr0 = mmu.cr0();
        state.cr3 = mmu.cr3();
        state.cr4 = mmu.cr4();
        state.physical_eip = mmu.translate(state.eip, x86_mmu::intent::execute);
        throw new_kernel_entered{state};
    }

    /// What the copy loop wrote, in order.
    std::vector<recorded_write> writes;

    static constexpr std::array<std::byte, 160> code_bytes = [] {
        std::array<std::byte, 160> bytes{};
        for (std::size_t i = 0; i < bytes.size(); ++i)
            bytes[i] = static_cast<std::byte>(0x40 + i);
        return bytes;
    }();

private:
    memory& memory_;

public:
    x86_mmu mmu;
    std::uint32_t gdtr_base = 0;
    std::uint32_t gdtr_limit = 0;
    entry_state state;

private:
    static constexpr std::uint32_t loop_stack = 512; // more than any compiler has been seen to use

    /// An instruction of the overlay at `linear` must be there, under the tables in force.
    void execute(std::uint32_t linear, std::size_t offset)
    {
        const phys_addr at = mmu.translate(linear, x86_mmu::intent::execute);
        if (load<std::byte>(memory_, at) != code_bytes[offset])
            throw machine_error{"executes what is not the overlay's code", linear};
    }

    std::byte load_byte_linear(std::uint32_t linear)
    {
        return load<std::byte>(memory_, mmu.translate(linear, x86_mmu::intent::read));
    }
    std::uint32_t load_linear(std::uint32_t linear)
    {
        std::uint32_t value = 0;
        for (std::uint32_t i = 0; i < 4; ++i)
            value |= std::to_integer<std::uint32_t>(load_byte_linear(linear + i)) << (8 * i);
        return value;
    }
    void store_linear(std::uint32_t linear, std::uint32_t value)
    {
        store(memory_, mmu.translate(linear, x86_mmu::intent::write), value);
    }

    /// [intel/vol3 §5.3, §3.4.3]: inside the limit, present, of the right type. An accessed bit that has to be set is a
    /// write to the table, which then has to be writable; lobos sets it beforehand, so here it is an error.
    void load_segment(std::uint16_t& segment, std::uint16_t selector, bool code)
    {
        if (selector < 4 || (selector | 7u) > gdtr_limit)
            throw machine_error{"general protection: selector outside the descriptor table", selector};
        const std::uint32_t at = gdtr_base + (selector & ~7u);
        const std::uint32_t high = load_linear(at + 4);
        const bool present = (high & 0x8000) != 0;
        const bool right = (high & 0x1000) != 0 && ((high & 0x0800) != 0) == code && (code || (high & 0x0200) != 0);
        if (!present || !right)
            throw machine_error{"general protection: wrong descriptor", selector};
        if ((high & 0x0100) == 0)
            throw machine_error{"the processor writes an accessed bit into the descriptor table", selector};
        segment = selector;
    }

    /// What the copy loop sees: everything through the tables in force.
    struct loop_view {
        using address = std::uint32_t;
        using word = std::uint32_t;
        x86_processor& cpu;

        template <class T> T get(address at)
        {
            T value{};
            const auto part = bytes_to(value);
            if ((at & 0xfff) + sizeof(T) <= 0x1000)
                cpu.memory_.read(cpu.mmu.translate(at, x86_mmu::intent::read), part);
            else
                for (std::size_t i = 0; i < sizeof(T); ++i)
                    cpu.memory_.read(
                        cpu.mmu.translate(at + static_cast<address>(i), x86_mmu::intent::read), part.subspan(i, 1));
            return value;
        }
        template <class T> void put(address at, T value)
        {
            const auto part = bytes_of(value);
            cpu.writes.push_back({at, sizeof(T)});
            for (std::size_t i = 0; i < sizeof(T); ++i)
                cpu.memory_.write(
                    cpu.mmu.translate(at + static_cast<address>(i), x86_mmu::intent::write), part.subspan(i, 1));
        }
        template <class T> static std::span<std::byte> bytes_to(T& value)
        {
            return {reinterpret_cast<std::byte*>(&value), sizeof(T)};
        }

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
