// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Fills the safe pages of an x86 departure: the pieces of code that lie on the way, the frame, and a page of
/// descriptors and gates for each further mode of the processor.
///
/// Every table has three selectors of the overlay's own, behind all others: flat 32-bit code, flat data, 64-bit code.
/// They are what the gates of the guard name, so an exception finds its handler whichever table is in force.
///
/// Where 64-bit tables and 32-bit ones follow each other, the change has to happen in the very instruction that turns
/// paging on or off: so they lie at one linear address, which the page tables map to the page of 64-bit tables and
/// which is, without paging, the physical address of the page of 32-bit ones.

#include <algorithm>

#include <lobos/paging/walk.hpp>
#include <lobos/plan/plan.hpp>
#include <lobos/x86/interrupt_gate.hpp>
#include <lobos/x86/machine_facts.hpp>
#include <lobos/x86/page.hpp>
#include <lobos/x86/route.hpp>
#include <lobos/x86/segment_descriptor.hpp>

namespace lobos::x86 {

/// What the image's first instruction finds in its registers; all others of them are 0.
struct entry_registers {
    std::uint64_t ax = 0;
    std::uint64_t bx = 0;
    std::uint64_t si = 0;
    std::uint32_t real_base = 0; ///< for `real_16`: of its 64 KB segment
};

template <paging_traits Paging, physical_memory M> class frame_writer {
    static constexpr bool from_long = is_long(mode_of_traits<Paging>());

public:
    frame_writer(
        M& memory, exec_plan& plan, const route& way, const departure_aliases& aliases, const machine_facts& running)
        : memory_{memory},
          plan_{plan},
          way_{way},
          aliases_{aliases},
          running_{running}
    {
    }

    /// Puts the pieces of `code` into the code page, one behind another. Fault: no_space (at: bytes needed).
    result<void> put_code(const overlay_code& code)
    {
        std::uint64_t used = sizeof(code_page_head);
        for (std::size_t i = 0; i < pieces; ++i) {
            const auto p = static_cast<piece>(i);
            if (!way_.takes(p))
                continue;
            const auto bytes = code[p];
            expects(!bytes.empty(), "a machine has the pieces of the ways that it offers");
            places_[i] = static_cast<std::uint32_t>(used);
            used += bytes.size();
            if (used > page_size.raw())
                return refuse(fault_code::no_space, stage::staging, used);
            memory_.write(plan_.code + byte_count::of(places_[i]), bytes);
        }
        plan_.code_size = byte_count::of(used);
        const code_page_head head{.self = plan_.code.raw(),
            .frame = plan_.frame.raw() + departure_frame::middle,
            .table_root = plan_.new_root.raw(),
            .cr4 = copy_cr4()};
        store(memory_, plan_.code, head);
        return {};
    }

    /// Fills the frame and the pages of modes.
    /// Faults: those of clone_descriptor_table and of the walk to the running table.
    result<void> put_tables(const entry_registers& values, const overlay_program& program, reset_register reset)
    {
        const auto cloned = clone_descriptor_table<segment_word, departure_frame::descriptor_capacity - 3>(
            running_.descriptors, [&](virt_addr at) { return running_word(at); });
        if (!cloned)
            return std::unexpected{cloned.error()};
        constexpr std::size_t prescribed = 6; // 0x10, 0x18, and real mode's
        const std::size_t first = std::max(cloned->words().size(), prescribed);
        first_own_ = static_cast<std::uint16_t>(first * sizeof(std::uint64_t));

        clear(plan_.frame);
        store(memory_, plan_.frame, make_fields(values, program, reset));
        put_descriptors(plan_.frame, cloned->words());
        put_own_descriptors(plan_.frame);
        put_gates(plan_.frame, from_long, running_.code_selector, aliases_.code.raw());
        if (way_.hub)
            put_hub_tables(values.real_base);
        if (way_.entry_page())
            put_entry_tables();
        return {};
    }

private:
    phys_addr hub_page() const { return plan_.mode_pages[0]; }
    phys_addr entry_page() const { return plan_.mode_pages[way_.hub ? 1 : 0]; }
    std::uint16_t own_code_32() const { return first_own_; }
    std::uint16_t own_data() const { return static_cast<std::uint16_t>(first_own_ + 8); }
    std::uint16_t own_code_64() const { return static_cast<std::uint16_t>(first_own_ + 16); }
    std::uint64_t place(piece p) const { return plan_.code.raw() + places_[static_cast<std::size_t>(p)]; }

    /// What CR4 keeps during the copy: the mode of paging, and that machine checks are heard of.
    std::uint64_t copy_cr4() const
    {
        return running_.cr4 & (cr4::large_pages | cr4::wide_pages | cr4::five_levels | cr4::machine_check);
    }

    result<std::uint64_t> running_word(virt_addr at)
    {
        std::uint64_t word = 0;
        for (unsigned i = 0; i < sizeof word; ++i) { // a table need not be aligned: pages end inside words
            const auto found = walk<Paging>(memory_, running_.table_root, at + byte_count::of(i));
            if (!found)
                return std::unexpected{found.error()};
            word |= std::uint64_t{load<std::uint8_t>(memory_, found->physical)} << (8 * i);
        }
        return word;
    }

    pseudo_descriptor gdt_at(std::uint64_t page) const
    {
        return {.limit = static_cast<std::uint16_t>(first_own_ + 3 * 8 - 1),
            .base = page + offsetof(table_page, descriptors),
            .unused = {}};
    }
    static pseudo_descriptor idt_at(std::uint64_t page)
    {
        return {.limit = sizeof(table_page::gates) - 1, .base = page + offsetof(table_page, gates), .unused = {}};
    }

    // Word by word, for a kernel's stack has no room for pages.

    void clear(phys_addr page)
    {
        for (std::uint64_t at = 0; at < page_size.raw(); at += sizeof(std::uint64_t))
            store(memory_, page + byte_count::of(at), std::uint64_t{0});
    }
    void put_descriptor(phys_addr page, std::size_t selector, std::uint64_t word)
    {
        store(memory_, page + byte_count::of(offsetof(table_page, descriptors) + selector), word);
    }
    void put_descriptors(phys_addr page, std::span<const std::uint64_t> words)
    {
        for (std::size_t i = 0; i < words.size(); ++i)
            put_descriptor(page, i * sizeof(std::uint64_t), words[i]);
    }

    void put_own_descriptors(phys_addr page)
    {
        using enum segment_descriptor::type;
        put_descriptor(page, own_code_32(), segment_word::encode({0, 0xfffff, code_execute_read}));
        put_descriptor(page, own_data(), segment_word::encode({0, 0xfffff, data_read_write}));
        put_descriptor(page, own_code_64(), segment_word::code_64());
    }

    /// Gates to the guard, whose page is at `code`.
    void put_gates(phys_addr page, bool is_64, std::uint16_t selector, std::uint64_t code)
    {
        const std::uint64_t guard = code + places_[static_cast<std::size_t>(is_64 ? piece::guard_64 : piece::guard_32)];
        const phys_addr gates = page + byte_count::of(offsetof(table_page, gates));
        for (std::uint64_t v = 0; v < exception_vectors; ++v) {
            const std::uint64_t handler = guard + (v == nmi_vector ? guard_nmi : v * guard_stub_size);
            if (is_64)
                store(memory_, gates + byte_count::of(16 * v), gate_64(selector, handler));
            else
                store(memory_, gates + byte_count::of(8 * v), gate_32(selector, static_cast<std::uint32_t>(handler)));
        }
    }

    void put_hub_tables(std::uint32_t real_base)
    {
        using enum segment_descriptor::type;
        const phys_addr page = hub_page();
        clear(page);
        put_descriptors(page, flat_descriptor_table().words());
        put_descriptor(page, real_code_selector, segment_word::real(real_base, code_execute_read));
        put_descriptor(page, real_data_selector, segment_word::real(real_base, data_read_write));
        put_own_descriptors(page);
        put_gates(page, false, own_code_32(), plan_.code.raw());
    }

    void put_entry_tables()
    {
        const phys_addr page = entry_page();
        clear(page);
        put_descriptors(page, flat_descriptor_table().words());
        put_descriptor(page, linux_code_selector, segment_word::code_64());
        put_own_descriptors(page);
        put_gates(page, true, own_code_64(), plan_.code.raw());
    }

    departure_frame make_fields(
        const entry_registers& values, const overlay_program& program, reset_register reset) const
    {
        const bool stays = way_.state == entry_state::as_running;
        const bool paged = way_.regime == copy_regime::paged;
        const bool to_long = way_.state == entry_state::long_64;
        const std::uint64_t out = place(to_long ? piece::leave_long
                : from_long && !way_.hub        ? piece::leave_long
                                                : piece::leave_flat);
        const std::uint64_t from_hub = way_.up ? place(piece::up) : out;
        const std::uint64_t down = way_.hub  ? place(piece::down)
            : way_.takes(piece::switch_long) ? place(piece::switch_long)
                                             : out;

        departure_frame f{};
        f.self = plan_.frame.raw() + departure_frame::middle;
        f.table_root = plan_.new_root.raw();
        f.cr4 = copy_cr4();
        f.stack_alias = aliases_.stack.raw() + page_size.raw();
        f.stack_top = plan_.stack.raw() + page_size.raw();
        f.arrive = place(piece::arrive);
        f.gdt = gdt_at(aliases_.frame.raw());
        f.idt = idt_at(aliases_.frame.raw());
        f.after_arrive = paged ? place(piece::copy) : down;
        f.after_copy = paged ? down : from_hub;
        f.program_at = plan_.program.raw();
        f.code_selector = stays ? running_.code_selector : from_long ? own_code_64() : own_code_32();
        f.data_selector = stays ? running_.data_selector : own_data();
        if (way_.hub) {
            f.hub = place(piece::hub);
            f.after_hub = paged ? from_hub : place(piece::copy_32);
            f.hub_code_selector = own_code_32();
            f.hub_gdt = gdt_at(hub_page().raw());
            f.hub_idt = idt_at(hub_page().raw());
            constexpr std::uint64_t gone = efer::long_mode | efer::execute_disable;
            f.efer_set = to_long ? efer::long_mode : 0;
            f.efer_kept = (running_.efer & gone) == 0 && !to_long ? 0xffff'ffff : ~gone & 0xffff'ffff;
        }
        if (way_.up) {
            f.up_cr4 = cr4::machine_check | registers_of(way_.entered).cr4;
            f.up_cr3 = plan_.entry_root.raw();
            f.up_cr0 = cr0::protection | cr0::extension_type | cr0::write_protect | cr0::paging;
            f.after_up = to_long ? place(piece::enter_long) : out;
        }
        if (way_.entry_page()) {
            f.entry_gdt = gdt_at(entry_page().raw());
            f.entry_idt = idt_at(entry_page().raw());
        }
        f.entry = plan_.entry.raw() - values.real_base;
        f.entry_code_selector = stays            ? running_.code_selector
            : way_.state == entry_state::real_16 ? real_code_selector
                                                 : linux_code_selector;
        f.entry_data_selector = stays ? running_.data_selector : linux_data_selector;
        f.ax = values.ax;
        f.bx = values.bx;
        f.si = values.si;
        f.trail = program.trail;
        f.reset_port = reset.port;
        f.reset_value = reset.value;
        f.program = program;
        return f;
    }

    M& memory_;
    exec_plan& plan_;
    const route& way_;
    departure_aliases aliases_;
    const machine_facts& running_;
    std::array<std::uint32_t, pieces> places_ = {};
    std::uint16_t first_own_ = 0;
};

} // namespace lobos::x86
