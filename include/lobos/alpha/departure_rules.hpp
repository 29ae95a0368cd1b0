// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Rule 10 on Alpha: what lies in the frame, in the code page and in the root of the new tables is what the code in the
/// safe page relies on. Read from memory; nothing is asked of whoever wrote it.

#include <lobos/alpha/departure.hpp>
#include <lobos/alpha/machine_facts.hpp>
#include <lobos/plan/plan.hpp>

namespace lobos::alpha {

template <physical_memory M> class departure_rules {
public:
    explicit departure_rules(const verifier_context<M>& context)
        : plan_{context.plan},
          map_{context.map},
          memory_{context.memory},
          frame_{load<departure_frame>(memory_, plan_.frame)}
    {
    }

    /// Faults: entry_contract_broken (at: frame, code page or context that does not agree with the plan; or the root
    /// of tables that cannot be seen at VPTB), misaligned (at: a safe region that shares a quadword with what is none).
    result<void> hold() const
    {
        result<void> held = pages_are_in_kseg();
        const auto then = [&](bool agrees, phys_addr at) {
            if (held && !agrees)
                held = refuse(fault_code::entry_contract_broken, stage::verifying, at);
        };
        if (!held)
            return held;
        then(fields_agree(), plan_.frame);
        then(halt_agrees(), plan_.frame + byte_count::of(offsetof(departure_frame, halt_flags)));
        then(reset_agrees(), plan_.frame + byte_count::of(offsetof(departure_frame, reset_at)));
        then(context_agrees(), plan_.frame + byte_count::of(offsetof(departure_frame, context)));
        then(head_agrees(), plan_.code);
        then(root_is_seen(), plan_.new_root);
        return held ? regions_are_whole_quadwords() : held;
    }

private:
    static std::uint64_t kseg_address(phys_addr at) { return kseg_direct.virtual_of(at)->raw(); }

    /// So that there is an address for all of it.
    result<void> pages_are_in_kseg() const
    {
        for (const phys_addr page : {plan_.code, plan_.stack, plan_.frame})
            if (!kseg_memory.contains(phys_range::of(page, plan_.page)))
                return refuse(fault_code::entry_contract_broken, stage::verifying, page);
        return {};
    }

    /// An instruction of a piece that lies behind the head of the code page, with `size` bytes there from it on.
    bool in_code(std::uint64_t address, std::uint64_t size) const
    {
        const std::uint64_t offset = address - kseg_address(plan_.code);
        return address % 4 == 0 && offset >= sizeof(code_page_head) && offset <= plan_.code_size.raw() &&
            size <= plan_.code_size.raw() - offset;
    }

    bool fields_agree() const
    {
        const departure_frame& f = frame_;
        const auto program_at = plan_.frame + byte_count::of(offsetof(departure_frame, program));
        const bool places = f.self == kseg_address(plan_.frame) && plan_.program == program_at &&
            f.program_physical == plan_.program.raw() && f.entry == plan_.entry.raw() && f.entry % 4 == 0;
        const bool code =
            in_code(f.copy, 4) && in_code(f.leave, 4) && in_code(f.guard, guard_entries * guard_entry_size);
        const std::uint64_t trail = f.program.trail != overlay_program::no_trail
            ? f.program.trail
            : program_at.raw() + offsetof(overlay_program, untold);
        const auto trail_seen = kseg_direct.virtual_of(phys_addr::at(trail));
        return places && code && plan_.entered_paged && plan_.regime == copy_regime::paged && trail_seen &&
            f.trail == trail_seen->raw();
    }

    /// The guard writes there: to memory, or not at all; and what makes a halt a new start.
    bool halt_agrees() const
    {
        using request = halt_request;
        if (frame_.halt_action != request::cold_bootstrap ||
            frame_.halt_mask != ~(request::reason | request::bootstrap_in_progress))
            return false;
        const auto flags = kseg_direct.physical_of(virt_addr::at(frame_.halt_flags));
        const bool apart = flags && std::ranges::none_of(plan_.safe, [&](const safe_region& r) {
            return r.range.contains(*flags) && r.role != safe_role::parameters && r.role != safe_role::log;
        });
        return frame_.halt_flags == 0 || (frame_.halt_flags % 8 == 0 && apart);
    }

    /// No memory, but a device: in the half of kseg that is nothing else, or, on what is older than a 21264, where the
    /// map knows of nothing.
    bool reset_agrees() const
    {
        const virt_addr at = virt_addr::at(frame_.reset_at);
        const auto memory = from_kseg(at);
        return frame_.reset_at == 0 || (kseg.contains(at) && !(memory && map_.find(*memory)));
    }

    bool context_agrees() const
    {
        const hwpcb& c = frame_.context;
        const auto wanted = make_hwpcb(virt_addr::at(kseg_address(plan_.stack) + plan_.page.raw()), plan_.new_root, 0);
        return wanted && frame_.context_physical == plan_.frame.raw() + offsetof(departure_frame, context) &&
            is_aligned(phys_addr::at(frame_.context_physical), hwpcb::alignment) && c.ksp == wanted->ksp &&
            c.ptbr == wanted->ptbr && c.asn == 0 &&
            (c.flags & ~hwpcb_flag::no_alignment_traps) == hwpcb_flag::floating_point;
    }

    bool head_agrees() const
    {
        const auto head = load<code_page_head>(memory_, plan_.code);
        return head.self == kseg_address(plan_.code) && head.frame == frame_.self;
    }

    /// The PALcode may look for entries of the new tables at VPTB and nowhere else.
    bool root_is_seen() const
    {
        const auto table = virtual_page_table::at(virt_addr::at(frame_.vptb));
        if (!table)
            return false;
        const auto at = plan_.new_root + byte_count::of(table->root_index() * sizeof(paging_8k::word));
        const paging_8k::entry<2> self{load<paging_8k::word>(memory_, at)};
        return self.present() && self.target() == plan_.new_root;
    }

    /// A byte is stored by way of the quadword that it lies in, where the processor has no better way. What else is in
    /// that is written as it was read, which no safe region is to rely on.
    result<void> regions_are_whole_quadwords() const
    {
        for (const safe_region& r : plan_.safe)
            if (r.range.first().raw() % 8 != 0 || r.range.last().raw() % 8 != 7)
                return refuse(fault_code::misaligned, stage::verifying, r.range.first());
        return {};
    }

    const exec_plan& plan_;
    const region_map& map_;
    M& memory_;
    departure_frame frame_;
};

} // namespace lobos::alpha
