// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The instructions of arch/x86/lobos/machine/departure_64.hpp, and those of hub.hpp that are or become 64-bit code,
/// one after another. A call of `x86_execution::next` begins each.

#include <lobos/sim/x86_execution.hpp>
#include <lobos/x86/departure.hpp>

namespace lobos::sim {

class x86_code_64 {
    using layout = x86::departure_frame;
    using registers = x86_registers;
    using word = std::uint64_t;

public:
    explicit x86_code_64(x86_execution& cpu) : cpu_{cpu} {}

    /// Each returns where it goes.

    std::uint64_t depart()
    {
        cpu_.next(2); // endbr64, cld
        cpu_.next();
        cpu_.set(registers::bx, cpu_.general[registers::di]);
        cpu_.set(registers::sp, next_field(offsetof(layout, stack_alias)));
        cpu_.next();
        cpu_.load_table(cpu_.gdtr, offsetof(layout, gdt));
        cpu_.next();
        cpu_.load_table(cpu_.idtr, offsetof(layout, idt));
        cpu_.guarding = true;
        cpu_.next(); // xor
        cpu_.next();
        cpu_.dr7 = 0x400;
        const word cr4 = next_field(offsetof(layout, cr4));
        cpu_.next();
        cpu_.mmu.load_cr4(cr4);
        const word root = next_field(offsetof(layout, table_root));
        cpu_.next();
        cpu_.mmu.load_cr3(root);
        return next_field(offsetof(layout, arrive)); // fetched through the new tables
    }

    std::uint64_t arrive()
    {
        cpu_.set(registers::bx, next_field(offsetof(layout, self)));
        cpu_.set(registers::sp, next_field(offsetof(layout, stack_top)));
        cpu_.load_data_segments(offsetof(layout, data_selector));
        cpu_.set(registers::di, next_field(offsetof(layout, program_at)));
        push_field(offsetof(layout, after_copy));
        push_field(offsetof(layout, code_selector));
        push_field(offsetof(layout, after_arrive));
        return cpu_.far_return<word>();
    }

    std::uint64_t copy()
    {
        cpu_.next();
        cpu_.copy_loop(cpu_.general[registers::di]);
        cpu_.next();
        return cpu_.pop<word>();
    }

    /// To the hub, in compatibility mode.
    std::uint64_t down()
    {
        cpu_.next();
        cpu_.load_table(cpu_.idtr, offsetof(layout, hub_idt));
        cpu_.next();
        cpu_.load_table(cpu_.gdtr, offsetof(layout, hub_gdt));
        push_field(offsetof(layout, hub_code_selector));
        push_field(offsetof(layout, hub));
        return cpu_.far_return<word>();
    }

    std::uint64_t switch_long()
    {
        cpu_.next();
        cpu_.load_table(cpu_.idtr, offsetof(layout, entry_idt));
        cpu_.next();
        cpu_.load_table(cpu_.gdtr, offsetof(layout, entry_gdt));
        push_field(offsetof(layout, entry_code_selector));
        cpu_.next(); // the address of what lies behind this piece
        cpu_.set(registers::ax, cpu_.next_at() + 2 * x86_pieces::instruction_size);
        cpu_.next();
        cpu_.push(cpu_.general[registers::ax]);
        return cpu_.far_return<word>();
    }

    /// From compatibility mode; what comes next lies behind this piece.
    std::uint64_t enter_long()
    {
        for (const unsigned half_defined : {registers::bx, registers::sp}) {
            cpu_.next();
            cpu_.set(half_defined, static_cast<std::uint32_t>(cpu_.general[half_defined]));
        }
        return cpu_.next_at();
    }

    /// To the image.
    std::uint64_t leave_long()
    {
        cpu_.load_data_segments(offsetof(layout, entry_data_selector));
        push_field(offsetof(layout, entry));
        cpu_.set(registers::ax, next_field(offsetof(layout, ax)));
        cpu_.set(registers::si, next_field(offsetof(layout, si)));
        cpu_.set(registers::bx, next_field(offsetof(layout, bx)));
        for (const unsigned cleared : {registers::cx, registers::dx, registers::bp, registers::di}) {
            cpu_.next();
            cpu_.set(cleared, std::uint32_t{0});
        }
        for (unsigned cleared = registers::r8; cleared < registers::count; ++cleared) {
            cpu_.next();
            cpu_.set(cleared, std::uint32_t{0});
        }
        cpu_.next();
        return cpu_.pop<word>();
    }

private:
    /// An instruction that loads a field, or jumps to what it names.
    word next_field(std::size_t offset)
    {
        cpu_.next();
        return cpu_.field<word>(offset);
    }
    void push_field(std::size_t offset)
    {
        cpu_.next();
        cpu_.push(cpu_.field<word>(offset));
    }

    x86_execution& cpu_;
};

} // namespace lobos::sim
