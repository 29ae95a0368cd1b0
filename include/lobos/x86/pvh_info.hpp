// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The start information of a PVH entry, version 1 [xen/pvh start_info.h]: module list, command line, ACPI's root
/// pointer and memory map, in one block. All addresses are physical and 64 bits wide, 0 stands for none; numbers are
/// little-endian.

#include <lobos/x86/multiboot_info.hpp>
#include <lobos/x86/setup_data.hpp>

namespace lobos {

/// The structure as it lies in memory.
struct pvh_start_info {
    static constexpr std::uint32_t right_magic = 0x336e'c578; ///< "xEn3" with bit 7 of the E set
    std::uint32_t magic, version, flags, module_count;
    std::uint64_t modules, command_line, rsdp, memory_map;
    std::uint32_t memory_map_entries, reserved;
};

/// An entry of the module list.
struct pvh_module {
    std::uint64_t first, size, command_line, reserved;
};

/// An entry of the memory map; types are those of e820 [acpi/6.5 table 15.2].
struct pvh_memory {
    std::uint64_t base, length;
    std::uint32_t type, reserved;
};

/// Lays out structure, module list, memory map and strings in `out`, which will lie at `at`. `rsdp` is where ACPI's
/// root pointer lies, if that is known. Safe regions are told as reserved. Returns the bytes used. Faults: no_space
/// (at: bytes needed), misaligned (`at` is no multiple of 8; at: it), bad_range (the block or a module does not lie
/// below 4 GiB, the root pointer is 0, which says none, or a region is the whole 2^64 bytes; at: its first address),
/// command_line_too_long (a string with a NUL in it, of which the next kernel would see only a part).
inline result<std::size_t> make_pvh_start_info(const region_map& map, std::span<const multiboot_module> modules,
    std::string_view command_line, std::optional<phys_addr> rsdp, phys_addr at, std::span<std::byte> out)
{
    const auto reject = [](fault_code code, std::uint64_t where) { return refuse(code, stage::staging, where); };
    const std::uint64_t list_size = std::uint64_t{modules.size()} * sizeof(pvh_module);
    const std::uint64_t map_size = std::uint64_t{map.regions().size()} * sizeof(pvh_memory);
    std::uint64_t needed = sizeof(pvh_start_info) + list_size + map_size + command_line.size() + 1;
    if (has_terminator(command_line))
        return reject(fault_code::command_line_too_long, command_line.size());
    for (const multiboot_module& m : modules) {
        if (m.range.last().raw() > 0xffff'ffff)
            return reject(fault_code::bad_range, m.range.first().raw());
        if (has_terminator(m.string))
            return reject(fault_code::command_line_too_long, m.string.size());
        needed += m.string.size() + 1;
    }
    if (rsdp && rsdp->raw() == 0)
        return reject(fault_code::bad_range, 0);
    if (needed > out.size())
        return reject(fault_code::no_space, needed);
    if (!is_aligned(at, byte_count::of(8)))
        return reject(fault_code::misaligned, at.raw());
    if (at.raw() > 0xffff'ffff || needed - 1 > 0xffff'ffff - at.raw())
        return reject(fault_code::bad_range, at.raw());

    std::size_t used = 0;
    const auto put = [&](std::span<const std::byte> bytes) {
        std::copy(bytes.begin(), bytes.end(), out.subspan(used).begin());
        used += bytes.size();
    };
    const auto put_string = [&](std::string_view s) {
        put({reinterpret_cast<const std::byte*>(s.data()), s.size()});
        put(bytes_of('\0'));
    };

    const std::uint64_t list = at.raw() + sizeof(pvh_start_info);
    const std::uint64_t regions = list + list_size;
    const std::uint64_t line = regions + map_size;
    put(bytes_of(pvh_start_info{.magic = pvh_start_info::right_magic,
        .version = 1,
        .flags = 0,
        .module_count = static_cast<std::uint32_t>(modules.size()),
        .modules = modules.empty() ? 0 : list,
        .command_line = line,
        .rsdp = rsdp.value_or(phys_addr{}).raw(),
        .memory_map = map.regions().empty() ? 0 : regions,
        .memory_map_entries = static_cast<std::uint32_t>(map.regions().size()),
        .reserved = 0}));
    std::uint64_t string = line + command_line.size() + 1;
    for (const multiboot_module& m : modules) {
        put(bytes_of(pvh_module{m.range.first().raw(), m.range.size().raw(), string, 0}));
        string += m.string.size() + 1;
    }
    for (const region& r : map.regions()) {
        const std::uint64_t base = r.range.first().raw();
        const std::uint64_t all_but_one = r.range.last().raw() - base;
        if (all_but_one == ~std::uint64_t{0})
            return reject(fault_code::bad_range, base);
        put(bytes_of(pvh_memory{base, all_but_one + 1, e820_type(r.kind), 0}));
    }
    put_string(command_line);
    for (const multiboot_module& m : modules)
        put_string(m.string);
    return used;
}

// Sanity checks
static_assert(sizeof(pvh_start_info) == 56 && offsetof(pvh_start_info, memory_map) == 40);
static_assert(sizeof(pvh_module) == 32 && sizeof(pvh_memory) == 24);

} // namespace lobos
