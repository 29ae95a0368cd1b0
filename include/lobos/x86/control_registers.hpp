// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The registers that rule an x86 processor's mode, and their bits by name [intel/vol3 §2.5, §2.2.1]. What they come
/// to is for others to say; reading and writing them is for a machine (arch/x86).

#include <cstdint>
#include <string_view>

namespace lobos::x86 {

namespace cr0 {
inline constexpr std::uint64_t protection = 1u << 0;          ///< PE
inline constexpr std::uint64_t monitor_coprocessor = 1u << 1; ///< MP
inline constexpr std::uint64_t emulation = 1u << 2;           ///< EM: no floating-point unit
inline constexpr std::uint64_t task_switched = 1u << 3;       ///< TS
inline constexpr std::uint64_t extension_type = 1u << 4;      ///< ET: always set
inline constexpr std::uint64_t numeric_error = 1u << 5;       ///< NE
inline constexpr std::uint64_t write_protect = 1u << 16;      ///< WP: read-only pages are so for the kernel too
inline constexpr std::uint64_t alignment_mask = 1u << 18;     ///< AM
inline constexpr std::uint64_t not_write_through = 1u << 29;  ///< NW
inline constexpr std::uint64_t cache_disable = 1u << 30;      ///< CD
inline constexpr std::uint64_t paging = 1u << 31;             ///< PG
} // namespace cr0

namespace cr4 {
inline constexpr std::uint64_t virtual_8086_extensions = 1u << 0; ///< VME
inline constexpr std::uint64_t virtual_interrupts = 1u << 1;      ///< PVI
inline constexpr std::uint64_t time_stamp_disable = 1u << 2;      ///< TSD
inline constexpr std::uint64_t debugging_extensions = 1u << 3;    ///< DE
inline constexpr std::uint64_t large_pages = 1u << 4;             ///< PSE
inline constexpr std::uint64_t wide_pages = 1u << 5;              ///< PAE
inline constexpr std::uint64_t machine_check = 1u << 6;           ///< MCE
inline constexpr std::uint64_t global_pages = 1u << 7;            ///< PGE
inline constexpr std::uint64_t performance_counters = 1u << 8;    ///< PCE
inline constexpr std::uint64_t fxsave = 1u << 9;                  ///< OSFXSR
inline constexpr std::uint64_t simd_exceptions = 1u << 10;        ///< OSXMMEXCPT
inline constexpr std::uint64_t user_mode_instructions = 1u << 11; ///< UMIP: prevented
inline constexpr std::uint64_t five_levels = 1u << 12;            ///< LA57: 57-bit linear addresses
inline constexpr std::uint64_t virtual_machines = 1u << 13;       ///< VMXE
inline constexpr std::uint64_t safer_mode = 1u << 14;             ///< SMXE
inline constexpr std::uint64_t segment_bases = 1u << 16;          ///< FSGSBASE
inline constexpr std::uint64_t process_contexts = 1u << 17;       ///< PCIDE
inline constexpr std::uint64_t xsave = 1u << 18;                  ///< OSXSAVE
inline constexpr std::uint64_t key_locker = 1u << 19;             ///< KL
inline constexpr std::uint64_t no_user_execution = 1u << 20;      ///< SMEP: by the supervisor
inline constexpr std::uint64_t no_user_access = 1u << 21;         ///< SMAP: by the supervisor
inline constexpr std::uint64_t user_keys = 1u << 22;              ///< PKE
inline constexpr std::uint64_t control_flow = 1u << 23;           ///< CET
inline constexpr std::uint64_t supervisor_keys = 1u << 24;        ///< PKS
inline constexpr std::uint64_t user_interrupts = 1u << 25;        ///< UINTR
} // namespace cr4

/// IA32_EFER.
namespace efer {
inline constexpr std::uint32_t model_register = 0xc000'0080; ///< its number
inline constexpr std::uint64_t system_calls = 1u << 0;       ///< SCE
inline constexpr std::uint64_t long_mode = 1u << 8;          ///< LME: asked for
inline constexpr std::uint64_t long_mode_active = 1u << 10;  ///< LMA: asked for, and paging is on
inline constexpr std::uint64_t execute_disable = 1u << 11;   ///< NXE: bit 63 of an entry is XD
} // namespace efer

/// What they hold at one moment.
struct control_registers {
    std::uint64_t cr0 = 0;
    std::uint64_t cr3 = 0;
    std::uint64_t cr4 = 0;
    std::uint64_t efer = 0; ///< 0 on a processor without it
    friend constexpr bool operator==(const control_registers&, const control_registers&) = default;
};

/// How a mode of paging shows in the registers while CR0.PG is set [intel/vol3 §4.1.1]: what a traits class of x86 says
/// of its mode.
struct mode_registers {
    std::string_view name;
    std::uint64_t cr4;         ///< what is set of CR4 in it
    std::uint64_t cr4_decides; ///< the bits of CR4 that tell it from other modes
    bool long_mode;            ///< whether IA32_EFER.LME is set, which decides where CR4.PAE does
    std::uint64_t root;        ///< the bits of CR3 that name the root table
    friend constexpr bool operator==(const mode_registers&, const mode_registers&) = default;

    /// Whether a processor with paging on and these registers is in it.
    constexpr bool shows_in(std::uint64_t cr4_value, std::uint64_t efer_value) const
    {
        const bool wide = (cr4 & cr4::wide_pages) != 0;
        return (cr4_value & cr4_decides) == (cr4 & cr4_decides) &&
            (!wide || ((efer_value & efer::long_mode) != 0) == long_mode);
    }
};

// Sanity checks
static_assert(cr0::paging == 0x8000'0000 && ~cr0::paging == 0xffff'ffff'7fff'ffff); // wide, so that ~ is
static_assert((cr4::large_pages | cr4::wide_pages | cr4::global_pages) == 0xb0);
static_assert((efer::long_mode | efer::long_mode_active | efer::execute_disable) == 0xd00);

} // namespace lobos::x86
