// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The instructions of arch/x86/lobos/machine/departure_32.hpp, and those of hub.hpp that are 32-bit code, one after
/// another: in protected mode, or in the compatibility mode that a 64-bit kernel comes to the hub in. A call of
/// `x86_execution::next` begins each.

#include <lobos/sim/x86_execution.hpp>
#include <lobos/x86/departure.hpp>

namespace lobos::sim {

class x86_code_32 {
    using layout = x86::departure_frame;
    using registers = x86_registers;
    using word = std::uint32_t;

public:
    explicit x86_code_32(x86_execution& cpu) : cpu_{cpu} {}

    /// Each returns where it goes.

    std::uint64_t depart()
    {
        cpu_.next(3); // endbr32, cld, and the argument
        cpu_.next();
        cpu_.set(registers::sp, field(offsetof(layout, stack_alias)));
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
        cpu_.next(); // fetched through the new tables
        return field(offsetof(layout, arrive));
    }

    std::uint64_t arrive()
    {
        cpu_.set(registers::bx, next_field(offsetof(layout, self)));
        cpu_.set(registers::sp, next_field(offsetof(layout, stack_top)));
        cpu_.load_data_segments(offsetof(layout, data_selector));
        for (const std::size_t pushed : {offsetof(layout, program_at), offsetof(layout, after_copy),
                 offsetof(layout, code_selector), offsetof(layout, after_arrive)})
            push_field(pushed);
        return cpu_.far_return<word>();
    }

    /// The loop comes back to where the stack says.
    std::uint64_t copy()
    {
        cpu_.next();
        cpu_.copy_loop(cpu_.on_stack<word>(sizeof(word)));
        cpu_.next();
        return cpu_.pop<word>();
    }

    std::uint64_t down()
    {
        cpu_.next();
        cpu_.load_table(cpu_.idtr, offsetof(layout, hub_idt));
        cpu_.next();
        cpu_.load_table(cpu_.gdtr, offsetof(layout, hub_gdt));
        return next_field(offsetof(layout, hub));
    }

    std::uint64_t hub()
    {
        cpu_.next();
        cpu_.next();
        cpu_.mmu.load_cr0(0x11);
        const word kept = next_field(offsetof(layout, efer_kept)); // at the same address without paging
        cpu_.next(2);
        if (kept != 0xffff'ffff) {
            cpu_.next(3); // rdmsr, masked
            const word wanted = next_field(offsetof(layout, efer_set));
            cpu_.next();
            cpu_.mmu.load_efer((cpu_.mmu.efer() & ~std::uint64_t{0xffff'ffff}) | (low_efer() & kept) | wanted);
        } else {
            cpu_.skip(5);
        }
        cpu_.next(); // xor
        cpu_.next();
        cpu_.mmu.load_cr3(0);
        cpu_.next();
        cpu_.mmu.load_cr4(0);
        cpu_.set(registers::sp, next_field(offsetof(layout, stack_top)));
        push_field(offsetof(layout, program_at));
        push_field(offsetof(layout, after_copy));
        return next_field(offsetof(layout, after_hub));
    }

    std::uint64_t up()
    {
        const word cr4 = next_field(offsetof(layout, up_cr4));
        cpu_.next();
        cpu_.mmu.load_cr4(cr4);
        const word root = next_field(offsetof(layout, up_cr3));
        cpu_.next();
        cpu_.mmu.load_cr3(root);
        const word cr0 = next_field(offsetof(layout, up_cr0));
        cpu_.next();
        cpu_.mmu.load_cr0(cr0);
        push_field(offsetof(layout, entry_code_selector)); // fetched through the image's tables
        push_field(offsetof(layout, after_up));
        return cpu_.far_return<word>();
    }

    /// To the image.
    std::uint64_t leave_flat()
    {
        cpu_.load_data_segments(offsetof(layout, entry_data_selector));
        push_field(offsetof(layout, entry_code_selector));
        push_field(offsetof(layout, entry));
        cpu_.set(registers::ax, next_field(offsetof(layout, ax)));
        cpu_.set(registers::si, next_field(offsetof(layout, si)));
        cpu_.set(registers::bx, next_field(offsetof(layout, bx)));
        for (const unsigned cleared : {registers::cx, registers::dx, registers::bp, registers::di}) {
            cpu_.next();
            cpu_.set(cleared, word{0});
        }
        return cpu_.far_return<word>();
    }

private:
    word field(std::size_t offset) { return cpu_.field<word>(offset); }
    /// An instruction that loads a field, or jumps to what it names.
    word next_field(std::size_t offset)
    {
        cpu_.next();
        return field(offset);
    }
    void push_field(std::size_t offset)
    {
        cpu_.next();
        cpu_.push(field(offset));
    }
    std::uint32_t low_efer() const { return static_cast<std::uint32_t>(cpu_.mmu.efer()); }

    x86_execution& cpu_;
};

} // namespace lobos::sim
