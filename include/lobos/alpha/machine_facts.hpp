// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What a plan rests on, of the processor that an Alpha's kernel runs on: whether a kernel in this state can be left at
/// all, and whether the state is still the one that was planned for. There are no descriptors.

#include <lobos/alpha/hwrpb.hpp>
#include <lobos/alpha/virtual_page_table.hpp>

namespace lobos::alpha {

/// The processor status, as `rdps` gives it [alpha/arm II-B].
namespace status_bit {
inline constexpr std::uint64_t priority = 7u << 0;  ///< of interrupts; 7 lets none through
inline constexpr std::uint64_t user_mode = 1u << 3; ///< not the kernel's
} // namespace status_bit

/// How a halt is made to lead to a new start: a word of the processor's slot in the HWRPB that the console looks into
/// when it takes over, and what it is to be then [alpha/arm III, per-CPU slot]. Address 0: nobody knows of one, and the
/// console does what it was set up for.
struct halt_request {
    static constexpr std::uint64_t bootstrap_in_progress = 1u << 0; ///< BIP; set, it is a boot that failed
    static constexpr std::uint64_t reason = 0xffu << 16;
    static constexpr std::uint64_t cold_bootstrap = 2u << 16;

    phys_addr flags;
    friend constexpr bool operator==(const halt_request&, const halt_request&) = default;
};

/// A byte that resets the machine when it is stored, at a device's address in kseg. Only for processors that store
/// bytes (BWX). Address 0: nobody knows of one.
struct reset_store {
    virt_addr at;
    std::uint8_t value = 0;
    friend constexpr bool operator==(const reset_store&, const reset_store&) = default;
};

struct machine_facts {
    phys_addr table_root;     ///< PTBR, as an address
    virt_addr vptb;           ///< where the PALcode looks for the virtual page table
    std::uint64_t status = 0; ///< PS
    bool primary = true;      ///< the processor that the console started the system on
    halt_request halt = {};   ///< nothing rests on it
    reset_store reset = {};   ///< nor on this; the guard tries it before it halts
    friend constexpr bool operator==(const machine_facts&, const machine_facts&) = default;
};

/// Whether a kernel in this state can be left. Faults: unsupported (at: PS, in user mode), misaligned (at: a root that
/// is no multiple of 8 KB, or VPTB), bad_range (at: a root that no PTBR names, or VPTB that tables do not reach),
/// wrong_processor (at: 0).
constexpr result<void> can_be_left(const machine_facts& f)
{
    if ((f.status & status_bit::user_mode) != 0)
        return refuse(fault_code::unsupported, stage::mapping, f.status);
    if (!is_aligned(f.table_root, paging_8k::table_size))
        return refuse(fault_code::misaligned, stage::mapping, f.table_root);
    if (!paging_8k::physical_reach.contains(f.table_root))
        return refuse(fault_code::bad_range, stage::mapping, f.table_root);
    if (const auto table = virtual_page_table::at(f.vptb); !table)
        return std::unexpected{table.error()};
    if (!f.primary)
        return refuse(fault_code::wrong_processor, stage::mapping, 0);
    return {};
}

/// Whether the machine is still the one that was planned for. The priority of interrupts may well be another.
/// Faults: table_root_changed (at: new root; a change of VPTB or of the mode is one too), wrong_processor (at: 0).
constexpr result<void> is_unchanged(const machine_facts& then, const machine_facts& now)
{
    if (then.table_root != now.table_root || then.vptb != now.vptb ||
        ((then.status ^ now.status) & status_bit::user_mode) != 0)
        return refuse(fault_code::table_root_changed, stage::committing, now.table_root);
    if (then.primary != now.primary)
        return refuse(fault_code::wrong_processor, stage::committing, 0);
    return {};
}

/// The facts that the HWRPB, or a copy of it, knows of the processor `whami`: VPTB, and whether it is the primary one.
/// Nobody but the running kernel knows its `table_root` and its `status`.
template <physical_memory Memory>
machine_facts facts_of(const hwrpb_reader<Memory>& block, std::uint64_t whami)
{
    machine_facts f{};
    f.vptb = virt_addr::at(block.fixed().vptb);
    f.primary = whami == block.fixed().primary_cpu;
    return f;
}

/// Where the console looks when the processor `whami` halts. Precondition: `block` is the console's own, for nobody
/// looks into a copy.
template <physical_memory Memory>
halt_request halt_request_of(const hwrpb_reader<Memory>& block, std::uint64_t whami)
{
    if (whami >= block.fixed().slot_count || !block.slot(whami))
        return {};
    return {block.slot_address(whami) + byte_count::of(offsetof(hwrpb_slot, flags))};
}

/// `told`, as it is on the processor that runs: with its `status`, and with the root that the running tables name,
/// seen by `load(virt_addr)`, which loads a quadword through them. Precondition: they can be seen at VPTB.
template <class Load> constexpr machine_facts facts_now(machine_facts told, std::uint64_t status, Load load)
{
    told.status = status;
    if (const auto table = virtual_page_table::at(told.vptb))
        told.table_root = paging_8k::entry<2>{load(table->self())}.target();
    return told;
}

// Sanity checks
static_assert(can_be_left({0x2000_pa, virt_addr::at(0xffff'fffe'0000'0000), 7, true, {}, {}}));
static_assert(!can_be_left({0x2000_pa, virt_addr::at(0xffff'fffe'0000'0000), 8, true, {}, {}}));

} // namespace lobos::alpha
