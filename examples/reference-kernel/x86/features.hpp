// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Turns on what the processor offers of all that has tripped kernel execs: global translations, process contexts,
/// what protects the supervisor from itself. A kernel of today has these on when it is replaced.

#include <lobos/core/text.hpp>
#include <lobos/machine/cpu.hpp>
#include <lobos/x86/control_registers.hpp>

#include <array>
#include <string_view>

namespace kernel {

/// A bit of CR4 and where CPUID offers it [intel/vol2 CPUID].
struct processor_feature {
    std::string_view name;
    std::uint64_t bit;
    std::uint32_t leaf;
    std::uint32_t lobos::machine::cpuid_answer::* answer;
    unsigned position;
    bool long_mode_only = false;
};

inline constexpr auto wanted_features = [] {
    namespace cr4 = lobos::x86::cr4;
    using answer = lobos::machine::cpuid_answer;
    return std::array{
        processor_feature{"DE", cr4::debugging_extensions, 1, &answer::edx, 2},
        processor_feature{"MCE", cr4::machine_check, 1, &answer::edx, 7},
        processor_feature{"PGE", cr4::global_pages, 1, &answer::edx, 13},
        processor_feature{"UMIP", cr4::user_mode_instructions, 7, &answer::ecx, 2},
        processor_feature{"FSGSBASE", cr4::segment_bases, 7, &answer::ebx, 0, true},
        processor_feature{"PCIDE", cr4::process_contexts, 1, &answer::ecx, 17, true},
        processor_feature{"SMEP", cr4::no_user_execution, 7, &answer::ebx, 7},
        processor_feature{"SMAP", cr4::no_user_access, 7, &answer::ebx, 20},
        processor_feature{"CET", cr4::control_flow, 7, &answer::ecx, 7, true},
    };
}();

/// Sets CR0.WP and every wanted bit of CR4; returns the names of those there are.
inline lobos::text_line turn_features_on(bool long_mode)
{
    namespace machine = lobos::machine;
    namespace x86 = lobos::x86;
    machine::write_cr0(machine::read_cr0() | static_cast<std::uintptr_t>(x86::cr0::write_protect));
    const std::uint32_t highest = machine::cpuid(0).eax;
    std::uint64_t on = machine::read_cr4();
    lobos::text_line names{"processor: WP"};
    for (const processor_feature& f : wanted_features) {
        const bool offered = f.leaf <= highest && ((machine::cpuid(f.leaf).*f.answer) >> f.position & 1) != 0;
        if (!offered || (f.long_mode_only && !long_mode))
            continue;
        on |= f.bit;
        names.add(" ").add(f.name);
    }
    machine::write_cr4(static_cast<std::uintptr_t>(on));
    return names;
}

} // namespace kernel
