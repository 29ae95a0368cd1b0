// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The processor that the kernel runs on, as the port wants it.

#include <lobos/machine/cpu.hpp>
#include <lobos/machine/overlay.hpp>
#include <lobos/x86/port.hpp>

namespace lobos::machine {

/// What CPUID and the model-specific registers say that control registers do not.
class processor_features {
public:
    std::uint64_t efer() const
    {
        constexpr std::uint32_t no_execute = 1u << 20;
        constexpr std::uint32_t long_mode = 1u << 29;
        if (highest_extended_ < 0x8000'0001 || (cpuid(0x8000'0001).edx & (no_execute | long_mode)) == 0)
            return 0;
        return read_msr(x86::efer::model_register);
    }

    /// Whether new page tables may have pages of 1 GB.
    bool gigabyte_pages() const { return highest_extended_ >= 0x8000'0001 && (cpuid(0x8000'0001).edx & 1u << 26) != 0; }

    /// Entry 0 of the page attribute table [intel/vol3 §11.12]; write-back where there is none.
    std::uint8_t default_memory_type() const
    {
        constexpr std::uint32_t pat_register = 0x277;
        return (basic_ & 1u << 16) != 0 ? static_cast<std::uint8_t>(read_msr(pat_register) & 7) : std::uint8_t{6};
    }

    bool boot_processor() const
    {
        constexpr std::uint32_t apic_base_register = 0x1b; // bit 8: BSP [intel/vol3 §10.4.4]
        return (basic_ & 1u << 9) == 0 || (read_msr(apic_base_register) & 1u << 8) != 0;
    }

    /// SME or SEV [amd/vol2 §7.10, §15.34], or a TDX guest [intel/tdx].
    bool memory_encrypted() const
    {
        if (highest_extended_ >= 0x8000'001f) {
            const std::uint32_t offers = cpuid(0x8000'001f).eax;
            if ((offers & 1) != 0 && (read_msr(0xc001'0010) & 1u << 23) != 0) // SYSCFG: SME is on
                return true;
            if ((offers & 2) != 0 && (read_msr(0xc001'0131) & 1) != 0) // SEV_STATUS
                return true;
        }
        if (cpuid(0).eax < 0x21)
            return false;
        const auto tdx = cpuid(0x21);
        return tdx.ebx == 0x6574'6e49 && tdx.edx == 0x5844'546c && tdx.ecx == 0x2020'2020; // "IntelTDX    "
    }

private:
    std::uint32_t basic_ = cpuid(1).edx;
    std::uint32_t highest_extended_ = cpuid(0x8000'0000).eax;
};

class processor {
public:
    /// `reset` is the firmware's way to reset the machine, for the exception guard; see <lobos/x86/acpi_reset.hpp>.
    explicit processor(x86::reset_register reset = {}) : reset_{reset} {}

    x86::machine_facts facts() const
    {
        const auto gdtr = read_gdtr();
        const processor_features features;
        const x86::control_registers now{read_cr0(), read_cr3(), read_cr4(), features.efer()};
        return {
            .table_root = x86::table_root_of(x86::mode_of(now), now.cr3),
            .descriptors = {virt_addr::at(gdtr.base), gdtr.limit},
            .cr0 = now.cr0,
            .cr4 = now.cr4,
            .efer = now.efer,
            .code_selector = read_cs(),
            .data_selector = read_ss(),
            .default_memory_type = features.default_memory_type(),
            .memory_encrypted = features.memory_encrypted(),
            .boot_processor = features.boot_processor(),
            .reset = reset_,
        };
    }

    x86::overlay_code code() const { return overlay_pieces(); }

    void interrupts_off() noexcept { machine::interrupts_off(); }

    [[noreturn]] void depart(virt_addr code, virt_addr frame) noexcept
    {
        using function = void (*)(std::uintptr_t);
        const auto go = reinterpret_cast<function>(static_cast<std::uintptr_t>(code.raw()));
        go(static_cast<std::uintptr_t>(frame.raw()));
        __builtin_unreachable();
    }

private:
    x86::reset_register reset_;
};

static_assert(x86::processor<processor>);

} // namespace lobos::machine
