// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The registers that rule an x86 processor's translation, and what it refuses to be loaded into them [intel/vol3 §2.5,
/// §4.1.1, §4.10.1, §9.8.5]: a general-protection exception there is a machine_error here, and nothing has changed.
/// The bits are written from the manual, apart from the ones that the library works with.

#include <algorithm>
#include <cstdint>
#include <string>

#include <lobos/sim/machine_error.hpp>
#include <lobos/x86/paging_mode.hpp>

namespace lobos::sim {

/// Exceptions by their vectors [intel/vol3 §6.3].
namespace x86_vector {
inline constexpr unsigned segment_not_present = 11;
inline constexpr unsigned stack_fault = 12;
inline constexpr unsigned general_protection = 13;
inline constexpr unsigned page_fault = 14;
} // namespace x86_vector

class x86_control {
public:
    std::uint64_t cr0() const { return cr0_; }
    std::uint64_t cr3() const { return cr3_; }
    std::uint64_t cr4() const { return cr4_; }
    std::uint64_t efer() const { return efer_; }

    /// MAXPHYADDR, from 36 to 52: bits of a physical address.
    unsigned physical_bits = 52;
    /// CS.L: the processor runs 64-bit code, out of which it cannot turn paging on or off.
    bool code_64 = false;

    bool paging() const { return cr0_ & pg; }
    bool write_protect() const { return cr0_ & wp; }
    bool large_pages() const { return cr4_ & pse; }
    bool wide_entries() const { return cr4_ & pae; }
    bool five_levels() const { return cr4_ & la57; }
    bool global_pages() const { return cr4_ & pge; }
    bool smep() const { return cr4_ & smep_bit; }
    bool smap() const { return cr4_ & smap_bit; }
    bool long_mode() const { return efer_ & lma; }
    bool execute_disable() const { return efer_ & nxe; }
    x86::paging_mode mode() const
    {
        using enum x86::paging_mode;
        if (!paging())
            return none;
        if (long_mode())
            return five_levels() ? five_level : four_level;
        return wide_entries() ? pae : large_pages() ? bits_32_pse : bits_32;
    }
    /// Whether the four pointers of PAE paging are in use.
    bool has_pointers() const { return paging() && wide_entries() && !long_mode(); }
    /// The process context, 0 when there are none.
    unsigned context() const { return cr4_ & pcide ? static_cast<unsigned>(cr3_ & 0xfff) : 0; }
    bool contexts() const { return cr4_ & pcide; }

    void load_cr0(std::uint64_t value)
    {
        const auto refuse = [&](const char* what) { general_protection(what, value); };
        if (value >> 32)
            refuse("reserved bits of CR0");
        if ((value & pg) && !(value & pe))
            refuse("paging without protection");
        if ((value & nw) && !(value & cd))
            refuse("not write-through with the cache on");
        if (!(value & wp) && (cr4_ & cet))
            refuse("write protection goes while CET is on");
        if (!(value & pg) && (cr0_ & pg)) {
            if (cr4_ & pcide)
                refuse("paging goes while process contexts are on");
            if ((efer_ & lma) && code_64)
                refuse("paging goes in 64-bit code");
            efer_ &= ~lma;
        }
        if ((value & pg) && !(cr0_ & pg) && (efer_ & lme)) {
            if (!(cr4_ & pae))
                refuse("long mode without PAE");
            if (code_64)
                refuse("long mode comes in a code segment with L set");
            efer_ |= lma;
        }
        cr0_ = value;
    }

    /// Bit 63, with process contexts, is no part of the register: it says that nothing is to be forgotten.
    void load_cr3(std::uint64_t value)
    {
        if (cr4_ & pcide)
            value &= ~keep_entries;
        if (value >> (long_mode() ? physical_bits : 32))
            general_protection("reserved bits of CR3", value);
        cr3_ = value;
    }

    void load_cr4(std::uint64_t value)
    {
        const auto refuse = [&](const char* what) { general_protection(what, value); };
        const std::uint64_t changed = cr4_ ^ value;
        if (value & ~known_cr4)
            refuse("reserved bits of CR4");
        if (long_mode() && !(value & pae))
            refuse("PAE goes in long mode");
        if (long_mode() && (changed & la57))
            refuse("the number of levels changes in long mode");
        if ((changed & value & pcide) && !long_mode())
            refuse("process contexts outside long mode");
        if ((changed & value & pcide) && (cr3_ & 0xfff))
            refuse("process contexts come while CR3 holds another than the first");
        if ((value & cet) && !(cr0_ & wp))
            refuse("CET without write protection");
        cr4_ = value;
    }

    /// WRMSR to IA32_EFER. LMA is the processor's own: what is written to it is not looked at.
    void load_efer(std::uint64_t value)
    {
        if (value & ~(sce | lme | lma | nxe))
            general_protection("reserved bits of EFER", value);
        if (((efer_ ^ value) & lme) && paging())
            general_protection("long mode asked for or given up while paging is on", value);
        efer_ = (value & ~lma) | (efer_ & lma);
    }

    [[noreturn]] static void general_protection(const char* what, std::uint64_t value)
    {
        throw machine_error{std::string{"general protection: "} + what, value, {x86_vector::general_protection}};
    }

    static constexpr std::uint64_t keep_entries = std::uint64_t{1} << 63;

    static constexpr std::uint64_t pe = 1u << 0, wp = 1u << 16, nw = 1u << 29, cd = 1u << 30, pg = 1u << 31;
    static constexpr std::uint64_t pse = 1u << 4, pae = 1u << 5, pge = 1u << 7, la57 = 1u << 12, pcide = 1u << 17;
    static constexpr std::uint64_t smep_bit = 1u << 20, smap_bit = 1u << 21, cet = 1u << 23;
    static constexpr std::uint64_t sce = 1u << 0, lme = 1u << 8, lma = 1u << 10, nxe = 1u << 11;

private:
    static constexpr std::uint64_t known_cr4 = 0x03ff'7fff; // up to UINTR, without bit 15

    std::uint64_t cr0_ = 0;
    std::uint64_t cr3_ = 0;
    std::uint64_t cr4_ = 0;
    std::uint64_t efer_ = 0;
};

} // namespace lobos::sim
