// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The port for 32-bit protected mode: what there is to know about the machine that a kernel exec leaves and enters. A
/// template over the mode of paging; the instructions themselves are a processor's, real (arch/x86) or simulated.

#include <algorithm>

#include <lobos/handoff/contract.hpp>
#include <lobos/plan/plan.hpp>
#include <lobos/x86/control_registers.hpp>
#include <lobos/x86/departure.hpp>
#include <lobos/x86/segment_descriptor.hpp>

namespace lobos::x86 {

/// EM_386: the machine of an ELF file for this port [elf/gabi].
inline constexpr std::uint16_t elf_machine = 3;

/// What a plan rests on, read from the processor.
struct machine_facts {
    phys_addr table_root;                  ///< CR3
    descriptor_table_register descriptors; ///< GDTR
    std::uint32_t cr0 = 0;
    std::uint32_t cr4 = 0;
    std::uint16_t code_selector = 0;
    std::uint16_t data_selector = 0;
    friend constexpr bool operator==(const machine_facts&, const machine_facts&) = default;
};

/// What the image's first instruction finds; ebp and edi are 0.
struct entry_registers {
    std::uint32_t eax = 0;
    std::uint32_t ebx = 0;
    std::uint32_t esi = 0;
};

/// The overlay's code as a block of bytes, and where in it things are.
struct overlay_code {
    std::span<const std::byte> bytes;
    std::uint32_t depart;
    std::uint32_t arrive;
    std::uint32_t copy;
    std::uint32_t leave_unpaged;
    std::uint32_t leave_paged;
};

/// A processor, real or simulated.
template <class P>
concept processor = requires(P& p, virt_addr code, virt_addr frame) {
    { p.facts() } -> std::same_as<machine_facts>;
    { p.code() } -> std::same_as<overlay_code>;
    /// The point of no return: interrupts off for good.
    { p.interrupts_off() } noexcept;
    /// Goes to `code` with `frame`, both addresses of the running kernel. Does not return; a simulated processor
    /// leaves by an exception once the new kernel is entered.
    p.depart(code, frame);
};

template <paging_traits Paging> struct protected_mode {
    using paging = Paging;
    using facts = machine_facts;
    using registers = entry_registers;

    /// Whether a kernel in this state can be left by this port.
    /// Faults: unsupported (at: CR4, or CR0 when it is not in protected mode with paging on).
    static result<void> accepts(const facts& f)
    {
        constexpr std::uint32_t needed = cr0::protection | cr0::paging;
        if ((f.cr0 & needed) != needed)
            return refuse(fault_code::unsupported, stage::mapping, f.cr0);
        if ((f.cr4 & cr4::wide_pages) != 0 || (f.cr4 & cr4::large_pages) == 0)
            return refuse(fault_code::unsupported, stage::mapping, f.cr4);
        return {};
    }

    /// Whether the machine is still the one that was planned for. Of CR0 only what translation rests on counts: a
    /// kernel may well set and clear CR0.TS in the meantime.
    /// Faults: table_root_changed (at: new root; a change of CR0 or CR4 is one too), descriptor_table_changed (at: new
    /// base; a change of the selectors is one too).
    static result<void> unchanged(const facts& then, const facts& now)
    {
        constexpr std::uint32_t counts = cr0::protection | cr0::write_protect | cr0::paging;
        if (then.table_root != now.table_root || ((then.cr0 ^ now.cr0) & counts) != 0 || then.cr4 != now.cr4)
            return refuse(fault_code::table_root_changed, stage::committing, now.table_root);
        const bool same_table = then.descriptors == now.descriptors && then.code_selector == now.code_selector &&
            then.data_selector == now.data_selector;
        if (!same_table)
            return refuse(fault_code::descriptor_table_changed, stage::committing, now.descriptors.base);
        return {};
    }

    /// Where in the frame the overlay's program lies.
    static constexpr std::uint64_t program_offset = offsetof(departure_frame, program);

    /// Fills the frame: descriptors, program, registers. Everything it names is in place in `plan`.
    /// Faults: those of clone_descriptor_table and of the walk to the running table.
    template <physical_memory M>
    static result<void> write_frame(M& memory, const exec_plan& plan, const facts& running, const overlay_code& code,
        descriptor_choice choice, way_out out, const registers& values, const overlay_program& program)
    {
        departure_frame f{};
        const auto low = [](phys_addr a) { return static_cast<std::uint32_t>(a.raw()); };
        const auto in_code = [&](std::uint32_t offset) { return low(plan.code) + offset; };
        f.table_root = low(plan.new_root);
        f.self = low(plan.frame);
        f.stack_top = low(plan.stack) + static_cast<std::uint32_t>(page_size.raw());
        f.arrive = in_code(code.arrive);
        f.copy = in_code(code.copy);
        f.leave = in_code(out == way_out::paged ? code.leave_paged : code.leave_unpaged);
        f.entry = static_cast<std::uint32_t>(plan.entry.raw());
        f.eax = values.eax;
        f.ebx = values.ebx;
        f.esi = values.esi;
        f.program_at = low(plan.program);
        f.program = program;

        if (choice == descriptor_choice::flat) {
            constexpr auto table = flat_descriptor_table();
            put_table(f, table.words(), linux_code_selector, linux_data_selector);
        } else {
            const auto table = clone_descriptor_table<segment_word, departure_frame::descriptor_capacity>(
                running.descriptors, [&](virt_addr at) -> result<std::uint64_t> {
                    std::uint64_t word = 0;
                    for (unsigned i = 0; i < sizeof word; ++i) { // a table need not be aligned: pages end inside words
                        const auto found = walk<Paging>(memory, running.table_root, at + byte_count::of(i));
                        if (!found)
                            return std::unexpected{found.error()};
                        word |= std::uint64_t{load<std::uint8_t>(memory, found->physical)} << (8 * i);
                    }
                    return word;
                });
            if (!table)
                return std::unexpected{table.error()};
            put_table(f, table->words(), running.code_selector, running.data_selector);
        }
        f.gdt.base = low(plan.frame) + static_cast<std::uint32_t>(offsetof(departure_frame, descriptors));
        store(memory, plan.frame, f);
        return {};
    }

    /// Rule 10: the frame agrees with the plan, its descriptor table lies in it whole, and the selectors of the way out
    /// are in the table and flat. QEMU's TCG does not check limits as hardware does, so this does.
    /// Faults: bad_descriptor_table (at: selector, or base of the table), entry_contract_broken (at: frame).
    template <physical_memory M> static result<void> departure_is_sound(const exec_plan& plan, M& memory)
    {
        const auto f = load<departure_frame>(memory, plan.frame);
        const auto is = [](std::uint32_t field, std::uint64_t wanted) { return field == wanted; };
        const bool agrees = is(f.table_root, plan.new_root.raw()) && is(f.self, plan.frame.raw()) &&
            is(f.stack_top, plan.stack.raw() + page_size.raw()) && is(f.program_at, plan.program.raw()) &&
            plan.program == plan.frame + byte_count::of(offsetof(departure_frame, program)) &&
            is(f.entry, plan.entry.raw()) && inside(plan, f.arrive) && inside(plan, f.copy) && inside(plan, f.leave);
        if (!agrees)
            return refuse(fault_code::entry_contract_broken, stage::verifying, plan.frame);
        const std::uint64_t table = plan.frame.raw() + offsetof(departure_frame, descriptors);
        if (f.gdt.base != table || f.gdt.limit >= sizeof f.descriptors || f.gdt.limit % 8 != 7)
            return refuse(fault_code::bad_descriptor_table, stage::verifying, f.gdt.base);
        using enum segment_descriptor::type;
        for (const auto& [selector, what] :
            {std::pair{f.code_selector, code_execute_read}, std::pair{f.data_selector, data_read_write}}) {
            const bool usable = selector >= 8 && selector % 8 == 0 && selector + 7 <= f.gdt.limit;
            if (!usable || !segment_word::is_flat(f.descriptors[selector / 8], what))
                return refuse(fault_code::bad_descriptor_table, stage::verifying, selector);
        }
        return {};
    }

private:
    static void put_table(
        departure_frame& f, std::span<const std::uint64_t> words, std::uint16_t code, std::uint16_t data)
    {
        std::ranges::copy(words, f.descriptors);
        f.gdt.limit = static_cast<std::uint16_t>(words.size() * sizeof(std::uint64_t) - 1);
        f.code_selector = code;
        f.data_selector = data;
    }
    static bool inside(const exec_plan& plan, std::uint32_t address)
    {
        return address >= plan.code.raw() && address - plan.code.raw() < plan.code_size.raw();
    }
};

} // namespace lobos::x86
