// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What a plan rests on, read from the processor that an x86 kernel runs on: whether a kernel in this state can be left
/// at all, and whether the state is still the one that was planned for.

#include <lobos/core/fault.hpp>
#include <lobos/descriptor/builder.hpp>
#include <lobos/x86/departure.hpp>
#include <lobos/x86/paging_mode.hpp>

namespace lobos::x86 {

struct machine_facts {
    phys_addr table_root;                       ///< the address bits of CR3
    descriptor_table_register descriptors = {}; ///< GDTR
    std::uint64_t cr0 = 0;
    std::uint64_t cr4 = 0;
    std::uint64_t efer = 0; ///< 0 on a processor without it
    std::uint16_t code_selector = 0;
    std::uint16_t data_selector = 0;      ///< what SS holds; 0 in 64-bit mode if the kernel has none
    std::uint8_t default_memory_type = 6; ///< entry 0 of the PAT, which new mappings have; 6 is write-back
    bool memory_encrypted = false;        ///< SME, SEV or TDX is at work
    bool boot_processor = true;           ///< INIT would not stop the others' keeper
    reset_register reset = {};            ///< the firmware's, if the kernel knows it; nothing rests on it
    friend constexpr bool operator==(const machine_facts&, const machine_facts&) = default;
};

/// The mode that a traits class stands for.
template <paging_traits T> constexpr paging_mode mode_of_traits()
{
    if constexpr (T::levels == 2)
        return T::largest_new_leaf == 1 ? paging_mode::bits_32_pse : paging_mode::bits_32;
    else
        return T::levels == 3 ? paging_mode::pae : T::levels == 4 ? paging_mode::four_level : paging_mode::five_level;
}

/// Whether it is a mode of 64-bit code.
constexpr bool is_long(paging_mode mode)
{
    return mode == paging_mode::four_level || mode == paging_mode::five_level;
}

/// Whether a kernel in this state can be left by way of tables of `T`.
/// Faults: unsupported (at: CR0, when it is not in protected mode with paging on; CR4, when that is another mode of
/// paging, or when virtual machines may be running; the memory type, when new mappings would not be write-back),
/// memory_encrypted (at: CR4), wrong_processor (at: 0).
template <paging_traits T> constexpr result<void> can_be_left(const machine_facts& f)
{
    constexpr std::uint64_t needed = cr0::protection | cr0::paging;
    if ((f.cr0 & needed) != needed)
        return refuse(fault_code::unsupported, stage::mapping, f.cr0);
    if (mode_of(f.cr0, f.cr4, f.efer) != mode_of_traits<T>() || (f.cr4 & cr4::virtual_machines) != 0)
        return refuse(fault_code::unsupported, stage::mapping, f.cr4);
    if (f.memory_encrypted)
        return refuse(fault_code::memory_encrypted, stage::mapping, f.cr4);
    constexpr std::uint8_t write_back = 6;
    if (f.default_memory_type != write_back)
        return refuse(fault_code::unsupported, stage::mapping, f.default_memory_type);
    if (!f.boot_processor)
        return refuse(fault_code::wrong_processor, stage::mapping, 0);
    return {};
}

/// Whether the machine is still the one that was planned for. Of CR0 only what translation rests on counts: a kernel
/// may well set and clear CR0.TS in the meantime.
/// Faults: table_root_changed (at: new root; a change of CR0, CR4, IA32_EFER, memory types or encryption is one too),
/// descriptor_table_changed (at: new base; a change of the selectors is one too), wrong_processor (at: 0).
constexpr result<void> is_unchanged(const machine_facts& then, const machine_facts& now)
{
    constexpr std::uint64_t counts = cr0::protection | cr0::write_protect | cr0::paging;
    const bool same_paging = then.table_root == now.table_root && ((then.cr0 ^ now.cr0) & counts) == 0 &&
        then.cr4 == now.cr4 && then.efer == now.efer && then.default_memory_type == now.default_memory_type &&
        then.memory_encrypted == now.memory_encrypted;
    if (!same_paging)
        return refuse(fault_code::table_root_changed, stage::committing, now.table_root);
    const bool same_table = then.descriptors == now.descriptors && then.code_selector == now.code_selector &&
        then.data_selector == now.data_selector;
    if (!same_table)
        return refuse(fault_code::descriptor_table_changed, stage::committing, now.descriptors.base);
    if (then.boot_processor != now.boot_processor)
        return refuse(fault_code::wrong_processor, stage::committing, 0);
    return {};
}

} // namespace lobos::x86
