// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Rule 10 on x86: what lies in the frame and in the pages of modes is what the code in the safe page relies on. Read
/// from memory, by way of the page tables; nothing is asked of whoever wrote it. QEMU's TCG does not check the limits
/// of tables as hardware does, so this does.

#include <lobos/paging/walk.hpp>
#include <lobos/plan/plan.hpp>
#include <lobos/x86/interrupt_gate.hpp>
#include <lobos/x86/machine_facts.hpp>
#include <lobos/x86/page.hpp>
#include <lobos/x86/segment_descriptor.hpp>

namespace lobos::x86 {

/// From a kernel in mode `Paging` to an image in mode `Entry`.
template <paging_traits Paging, paging_traits Entry, physical_memory M> class departure_rules {
    static constexpr bool from_long = is_long(mode_of_traits<Paging>());

public:
    explicit departure_rules(const verifier_context<M>& context)
        : plan_{context.plan},
          memory_{context.memory},
          frame_{load<departure_frame>(memory_, plan_.frame)}
    {
    }

    /// Faults: entry_contract_broken (at: frame, code page or table page that does not agree with the plan),
    /// bad_descriptor_table (at: selector, base of a table, or handler of a gate), not_mapped, not_writable,
    /// not_executable (at: linear address).
    result<void> hold() const
    {
        result<void> held = fields_agree();
        const auto then = [&](auto rule) {
            if (held)
                held = rule();
        };
        then([&] { return head_agrees(); });
        then([&] { return copy_tables(); });
        if (frame_.hub != 0)
            then([&] { return hub_tables(); });
        if (ends_long() && frame_.entry_gdt.base != 0)
            then([&] { return entry_tables(); });
        if (up())
            then([&] { return arrival_is_mapped(); });
        then([&] { return entry_selectors(); });
        return held;
    }

private:
    bool ends_long() const { return frame_.efer_set != 0 || (from_long && frame_.hub == 0); }
    bool up() const { return frame_.up_cr3 != 0; }

    std::unexpected<fault> broken(phys_addr at) const
    {
        return refuse(fault_code::entry_contract_broken, stage::verifying, at);
    }
    static std::unexpected<fault> bad_table(std::uint64_t at)
    {
        return refuse(fault_code::bad_descriptor_table, stage::verifying, at);
    }

    /// An address of a piece that lies behind the head of the code page.
    bool in_code(std::uint64_t address) const
    {
        return address >= plan_.code.raw() + sizeof(code_page_head) &&
            address - plan_.code.raw() < plan_.code_size.raw();
    }
    /// The same, or none where none is needed.
    bool in_code_if(bool needed, std::uint64_t address) const { return needed ? in_code(address) : address == 0; }

    result<void> fields_agree() const
    {
        const departure_frame& f = frame_;
        const auto program_at = plan_.frame + byte_count::of(offsetof(departure_frame, program));
        const bool places = f.self == plan_.frame.raw() + departure_frame::middle &&
            f.table_root == plan_.new_root.raw() && f.stack_top == plan_.stack.raw() + page_size.raw() &&
            f.program_at == plan_.program.raw() && plan_.program == program_at && f.trail == f.program.trail;
        const bool code = in_code(f.arrive) && in_code(f.after_arrive) && in_code(f.after_copy) &&
            in_code_if(f.hub != 0, f.hub) && in_code_if(f.hub != 0, f.after_hub) && in_code_if(up(), f.after_up);
        const bool entered = plan_.entered_paged
            ? f.entry == plan_.entry.raw() && (!up() || f.up_cr3 == plan_.entry_root.raw())
            : f.hub != 0 && !up() && f.entry <= plan_.entry.raw();
        if (!places || !code || !entered || !reached_by_32_bits() || !register_is_written() || !modes_agree())
            return broken(plan_.frame);
        return stack_is_alike();
    }

    /// What 32-bit code reads of a field is its low half.
    bool reached_by_32_bits() const
    {
        const departure_frame& f = frame_;
        if (from_long && f.hub == 0)
            return true;
        const auto low = [](std::uint64_t address) { return address <= below_4g.last().raw(); };
        const bool pages = low(plan_.code.raw()) && low(plan_.frame.raw()) && low(f.stack_top) &&
            (f.hub == 0 || low(plan_.mode_pages[0].raw()));
        return pages && (from_long || (low(f.table_root) && low(f.stack_alias) && low(f.gdt.base))) && low(f.up_cr3) &&
            (ends_long() || low(f.entry)) && (f.trail == overlay_program::no_trail || low(f.trail));
    }

    /// What the hub sets in IA32_EFER it sets where it writes the register, which a way that has none does not; and it
    /// is long mode alone, for a reserved bit would be a fault there. A 64-bit kernel's own it clears, or PAE paging
    /// would be long mode.
    bool register_is_written() const
    {
        const departure_frame& f = frame_;
        const bool written = up() && static_cast<std::uint32_t>(f.efer_kept) != ~std::uint32_t{0};
        const bool leaves_long = !from_long || f.hub == 0 || (f.efer_kept & efer::long_mode) == 0;
        return leaves_long && (f.efer_set == 0 || (written && f.efer_set == efer::long_mode));
    }

    /// CR4 of the copy, and the registers of the way up, stand for the modes that the tables are made for.
    bool modes_agree() const
    {
        constexpr std::uint64_t during = cr4::large_pages | cr4::wide_pages | cr4::five_levels | cr4::machine_check;
        const std::uint64_t asked = from_long ? efer::long_mode : 0;
        const bool copy =
            (frame_.cr4 & ~during) == 0 && mode_of(cr0::paging, frame_.cr4, asked) == mode_of_traits<Paging>();
        const bool entry = (frame_.up_cr4 & ~during) == 0 && (frame_.up_cr0 & cr0::protection) != 0 &&
            mode_of(frame_.up_cr0, frame_.up_cr4, frame_.efer_set) == mode_of_traits<Entry>();
        return copy && (!up() || entry);
    }

    result<void> stack_is_alike() const
    {
        const virt_addr last = virt_addr::at(frame_.stack_alias - 1);
        const phys_addr wanted = plan_.stack + (page_size - byte_count::of(1));
        return alike(last, wanted, access::read_write); // an exception pushes there, under either tables
    }

    /// `v` is `wanted` in the running tables and in the new ones, with these rights at least.
    result<void> alike(virt_addr v, phys_addr wanted, access rights) const
    {
        for (const phys_addr root : {plan_.running_root, plan_.new_root}) {
            const auto found = walk<Paging>(memory_, root, v);
            if (!found || found->physical != wanted)
                return refuse(fault_code::not_mapped, stage::verifying, v);
            if (rights == access::read_write && found->rights != access::read_write)
                return refuse(fault_code::not_writable, stage::verifying, v);
        }
        return {};
    }

    result<void> head_agrees() const
    {
        const auto head = load<code_page_head>(memory_, plan_.code);
        const bool agrees = head.self == plan_.code.raw() && head.frame == frame_.self &&
            head.table_root == plan_.new_root.raw() && head.cr4 == frame_.cr4;
        if (!agrees)
            return broken(plan_.code);
        return {};
    }

    /// The tables of one page, as `gdt` and `idt` name them at linear address `linear`.
    result<void> tables_in(
        phys_addr page, std::uint64_t linear, const pseudo_descriptor& gdt, const pseudo_descriptor& idt) const
    {
        if (gdt.base != linear + offsetof(table_page, descriptors) || gdt.limit >= sizeof(table_page::descriptors) ||
            gdt.limit % 8 != 7)
            return bad_table(gdt.base);
        if (idt.base != linear + offsetof(table_page, gates) || idt.limit != sizeof(table_page::gates) - 1)
            return bad_table(idt.base);
        if (load<std::uint64_t>(memory_, page + byte_count::of(offsetof(table_page, descriptors))) != 0)
            return bad_table(0); // the null selector
        return {};
    }

    std::uint64_t descriptor(phys_addr page, std::uint64_t selector) const
    {
        return load<std::uint64_t>(
            memory_, page + byte_count::of(offsetof(table_page, descriptors) + (selector & ~7u)));
    }

    /// `selector` is in the table of `page` and names what `accepts` says.
    template <class Accepts>
    result<void> selector_is(
        phys_addr page, const pseudo_descriptor& gdt, std::uint64_t selector, Accepts accepts) const
    {
        const bool inside = selector >= 8 && selector % 8 == 0 && selector + 7 <= gdt.limit;
        if (!inside || !accepts(descriptor(page, selector)))
            return bad_table(selector);
        return {};
    }

    /// `selector` names a data segment. What only 64-bit code will use may be none, and has neither base nor limit
    /// [intel/vol3 §3.4.4].
    result<void> data_selector_is_sound(
        phys_addr page, const pseudo_descriptor& gdt, std::uint64_t selector, bool for_64_bits) const
    {
        if (selector == 0 && for_64_bits)
            return {};
        return selector_is(page, gdt, selector, for_64_bits ? is_data_64 : is_data);
    }
    /// All of `bits` as in `wanted`.
    static bool has(std::uint64_t word, std::uint64_t bits, std::uint64_t wanted) { return (word & bits) == wanted; }
    static bool is_code_32(std::uint64_t word)
    {
        return segment_word::is_flat(word, segment_descriptor::type::code_execute_read);
    }
    static bool is_code_64(std::uint64_t word)
    {
        using w = segment_word;
        constexpr std::uint64_t wanted = w::accessed | w::executable | w::not_system | w::present | w::long_mode;
        return has(word, wanted | w::privilege | w::default_32, wanted);
    }
    static bool is_data_64(std::uint64_t word)
    {
        using w = segment_word;
        constexpr std::uint64_t wanted = w::accessed | w::writable | w::not_system | w::present;
        return has(word, wanted | w::privilege | w::executable, wanted);
    }
    static bool is_data(std::uint64_t word)
    {
        return segment_word::is_flat(word, segment_descriptor::type::data_read_write);
    }
    static bool is_code(std::uint64_t word, bool is_64) { return is_64 ? is_code_64(word) : is_code_32(word); }

    /// All gates of `page` are present interrupt gates of privilege 0 to a handler for which `reaches` holds.
    template <class Reaches>
    result<void> gates(phys_addr page, const pseudo_descriptor& gdt, bool is_64, Reaches reaches) const
    {
        for (std::size_t v = 0; v < exception_vectors; ++v) {
            const std::size_t words = is_64 ? 2 : 1;
            const auto at = page + byte_count::of(offsetof(table_page, gates) + v * words * 8);
            const auto low = load<std::uint64_t>(memory_, at);
            const auto high = is_64 ? load<std::uint64_t>(memory_, at + byte_count::of(8)) : 0;
            const std::uint64_t handler = (low & 0xffff) | ((low >> 48) << 16) | (high << 32);
            if (((low >> 32) & 0xffff) != 0x8e00)
                return bad_table(handler);
            const auto named = selector_is(page, gdt, (low >> 16) & 0xffff, [&](auto w) { return is_code(w, is_64); });
            if (!named)
                return named;
            if (const auto reached = reaches(handler); !reached)
                return reached;
        }
        return {};
    }

    /// The tables of the copy: in force from before the switch of page tables on, so they are alike in both.
    result<void> copy_tables() const
    {
        const std::uint64_t linear = frame_.gdt.base - offsetof(table_page, descriptors);
        if (const auto held = tables_in(plan_.frame, linear, frame_.gdt, frame_.idt); !held)
            return held;
        if (const auto held = alike(virt_addr::at(linear), plan_.frame, access::read_only); !held)
            return held;
        const auto code =
            selector_is(plan_.frame, frame_.gdt, frame_.code_selector, [](auto w) { return is_code(w, from_long); });
        if (!code)
            return code;
        const auto data =
            data_selector_is_sound(plan_.frame, frame_.gdt, frame_.data_selector, from_long && frame_.hub == 0);
        if (!data)
            return data;
        const std::uint64_t switch_page = plan_.switch_page.raw();
        return gates(plan_.frame, frame_.gdt, from_long, [&](std::uint64_t handler) -> result<void> {
            if (!in_code(handler - switch_page + plan_.code.raw()))
                return bad_table(handler);
            return {};
        });
    }

    result<void> identity_handler(std::uint64_t handler) const
    {
        if (!in_code(handler))
            return bad_table(handler);
        return {};
    }

    /// The hub's tables, at an address that means the copy's as long as these are 64-bit ones.
    result<void> hub_tables() const
    {
        const phys_addr page = plan_.mode_pages[0];
        if (const auto held = tables_in(page, page.raw(), frame_.hub_gdt, frame_.hub_idt); !held)
            return held;
        const auto found = walk<Paging>(memory_, plan_.new_root, virt_addr::at(page.raw()));
        if (!found || found->physical != (from_long ? plan_.frame : page))
            return refuse(fault_code::not_mapped, stage::verifying, page);
        for (const phys_addr in : {page, plan_.frame}) {
            if (const auto code = selector_is(in, frame_.hub_gdt, frame_.hub_code_selector, is_code_32); !code)
                return code;
            if (const auto data = selector_is(in, frame_.hub_gdt, frame_.data_selector, is_data); !data)
                return data;
        }
        return gates(page, frame_.hub_gdt, false, [&](std::uint64_t handler) { return identity_handler(handler); });
    }

    /// The tables of a 64-bit image; after the way up they are in force at the hub's address.
    result<void> entry_tables() const
    {
        const phys_addr page = plan_.mode_pages[frame_.hub != 0 ? 1 : 0];
        if (const auto held = tables_in(page, page.raw(), frame_.entry_gdt, frame_.entry_idt); !held)
            return held;
        const std::uint64_t linear = up() ? plan_.mode_pages[0].raw() : page.raw();
        const auto found = walk<Entry>(memory_, plan_.entry_root, virt_addr::at(linear));
        if (!found || found->physical != page)
            return refuse(fault_code::not_mapped, stage::verifying, linear);
        return gates(page, frame_.entry_gdt, true, [&](std::uint64_t handler) { return identity_handler(handler); });
    }

    /// The pages of the way up, one to one in the tables that come into force on it, and the hub's tables where its
    /// registers say.
    result<void> arrival_is_mapped() const
    {
        for (const phys_addr page : {plan_.code, plan_.frame, plan_.stack, plan_.mode_pages[0]}) {
            const bool tables = page == plan_.mode_pages[0];
            const auto found = walk<Entry>(memory_, plan_.entry_root, virt_addr::at(page.raw()));
            if (!found || found->physical != (tables && ends_long() ? plan_.mode_pages[1] : page))
                return refuse(fault_code::not_mapped, stage::verifying, page);
            if (page == plan_.code && !found->executable)
                return refuse(fault_code::not_executable, stage::verifying, page);
            if (page == plan_.stack && found->rights != access::read_write)
                return refuse(fault_code::not_writable, stage::verifying, page);
        }
        return {};
    }

    result<void> entry_selectors() const
    {
        const bool own_page = ends_long() && frame_.entry_gdt.base != 0;
        const phys_addr page = own_page ? plan_.mode_pages[frame_.hub != 0 ? 1 : 0]
            : frame_.hub != 0           ? plan_.mode_pages[0]
                                        : plan_.frame;
        const pseudo_descriptor& gdt = own_page ? frame_.entry_gdt : frame_.hub != 0 ? frame_.hub_gdt : frame_.gdt;
        // An entry below the plan's is an offset in a segment as real mode has them.
        const bool real = !plan_.entered_paged && frame_.entry != plan_.entry.raw();
        const std::uint64_t base = plan_.entry.raw() - frame_.entry;
        const auto code = selector_is(page, gdt, frame_.entry_code_selector, [&](auto w) {
            using enum segment_descriptor::type;
            return !real ? is_code(w, ends_long())
                         : base <= below_4g.last().raw() && frame_.entry <= 0xffff &&
                    w == segment_word::real(static_cast<std::uint32_t>(base), code_execute_read);
        });
        if (!code)
            return code;
        if (real) {
            const auto data = selector_is(page, gdt, real_data_selector, [&](auto w) {
                return w ==
                    segment_word::real(static_cast<std::uint32_t>(base), segment_descriptor::type::data_read_write);
            });
            if (!data)
                return data;
        }
        return data_selector_is_sound(page, gdt, frame_.entry_data_selector, ends_long() && !own_page);
    }

    const exec_plan& plan_;
    M& memory_;
    departure_frame frame_;
};

} // namespace lobos::x86
