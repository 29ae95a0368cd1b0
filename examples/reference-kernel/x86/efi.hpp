// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// EFI firmware, for the kernels that come after: this one never calls it. Its boot services are over, and their memory
/// is free; but the system table leads to tables that a next kernel wants to read [uefi/2.9 §4.6], and some of these
/// lie in what was boot services'. That memory is kept, all of it where the system table cannot be read, and so is
/// everything that the firmware works with at run time, whatever the loader's own map says.

#include "../survivors.hpp"
#include "rsdp.hpp"

#include <lobos/x86/efi_memory_map.hpp>

namespace kernel {

/// The copy of the firmware's memory map.
inline constinit std::array<std::byte, 32768> efi_memory_map_copy{};

class efi_tables {
public:
    /// What next kernels are told, if there is such firmware. The memory map in it is a copy.
    std::optional<lobos::efi_firmware> firmware;
    std::optional<lobos::phys_addr> acpi_root; ///< if the firmware tells of it, it is one, and in reach
    lobos::byte_count kept;                    ///< of boot services' memory

    /// Copies the memory map of `told`, and adds what is kept to `map`. Precondition: that map is in memory.
    /// Faults: no_space (it has more bytes than there is room for; at: them), those of for_each_descriptor, and of
    /// `region_map::add`.
    lobos::result<void> take(const lobos::efi_firmware& told, lobos::region_map& map)
    {
        using namespace lobos;
        const std::uint64_t size = told.memory_map.size().raw();
        if (size > efi_memory_map_copy.size())
            return refuse(fault_code::no_space, stage::loading, size);
        const auto copied = std::span{efi_memory_map_copy}.first(static_cast<std::size_t>(size));
        memory.read(told.memory_map.first(), copied);
        efi_firmware own = told;
        own.memory_map = physical(copied.data(), copied.data() + copied.size());

        const bool known = read_tables(own);
        const auto done = efi::for_each_descriptor(
            memory, own, stage::loading, [&](const efi::descriptor& d, phys_range r) -> result<void> {
                const bool of_boot_services = d.type == efi::boot_services_code || d.type == efi::boot_services_data;
                const bool wanted = of_boot_services && (!known || has_table(r));
                if (wanted)
                    kept += r.size();
                if (wanted || (d.attributes & efi::descriptor::at_run_time) != 0)
                    return map.add(r, region_kind::reserved);
                return {};
            });
        if (done)
            firmware = own;
        return done;
    }

private:
    /// Offsets in the system table [uefi/2.9 §4.3], and of the pointer in each entry of its list of tables.
    struct layout {
        std::uint64_t count, list, entry, pointer;
    };
    static constexpr layout wide = {104, 112, 24, 16}, narrow = {64, 68, 20, 16};

    static bool in_reach(std::uint64_t at, std::uint64_t size)
    {
        const auto r = lobos::phys_range::checked(lobos::phys_addr::at(at), lobos::byte_count::of(size));
        return r && mapped_memory.contains(*r);
    }
    static std::uint64_t word(std::uint64_t at) { return lobos::load<std::uint64_t>(memory, lobos::phys_addr::at(at)); }
    static std::uint32_t half(std::uint64_t at) { return lobos::load<std::uint32_t>(memory, lobos::phys_addr::at(at)); }

    /// The places of all tables, the system's and their list among them. False when they cannot be read.
    bool read_tables(const lobos::efi_firmware& from)
    {
        const layout& l = from.is_64_bit ? wide : narrow;
        const auto pointer = [&](std::uint64_t at) { return from.is_64_bit ? word(at) : half(at); };
        const std::uint64_t system = from.system_table.raw();
        if (!in_reach(system, l.list + 8) || word(system) != 0x5453'5953'2049'4249) // "IBI SYST"
            return false;
        const std::uint64_t count = half(system + l.count), list = pointer(system + l.list);
        if (count > tables_.size() - 2 || !in_reach(list, count * l.entry + 8))
            return false;
        for (const std::uint64_t at : {system, list})
            tables_[count_++] = lobos::phys_addr::at(at);
        for (std::uint64_t i = 0; i < count; ++i) {
            const std::uint64_t entry = list + i * l.entry, at = pointer(entry + l.pointer);
            tables_[count_++] = lobos::phys_addr::at(at);
            // ACPI's, of version 2 on and before: the first of these that there is.
            const bool new_root = word(entry) == 0x11d3'e4f1'8868'e871 && word(entry + 8) == 0x8188'3cc7'8000'22bc;
            const bool old_root = word(entry) == 0x11d3'2d88'eb9d'2d30 && word(entry + 8) == 0x4dc1'3f27'9000'169a;
            const bool wanted = (new_root || (old_root && !acpi_root)) && in_reach(at, whole_rsdp);
            if (wanted && is_rsdp(lobos::phys_addr::at(at)))
                acpi_root = lobos::phys_addr::at(at);
        }
        return true;
    }

    bool has_table(lobos::phys_range r) const
    {
        for (std::size_t i = 0; i < count_; ++i)
            if (r.contains(tables_[i]))
                return true;
        return false;
    }

    std::array<lobos::phys_addr, 66> tables_{};
    std::size_t count_ = 0;
};

} // namespace kernel
