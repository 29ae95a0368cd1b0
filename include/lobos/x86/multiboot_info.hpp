// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The information structure of multiboot 1 [multiboot/0.6.96 §3.3], both ways: read by a kernel that was booted with
/// it, and written for the next kernel in the same words. All addresses in it are physical and 32 bits wide, `mod_end`
/// is one past the last byte, the numbers are little-endian. The reader believes no size and no sum; that the addresses
/// are readable it has to believe, since nobody else knows. Its faults say with `at` the physical address of the field.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include <lobos/core/physical_memory.hpp>
#include <lobos/core/region_map.hpp>
#include <lobos/core/text.hpp>

namespace lobos {

/// What a boot loader leaves in %eax [multiboot/0.6.96 §3.2].
inline constexpr std::uint32_t multiboot_loader_magic = 0x2bad'b002;

/// The structure as it lies in memory. What the flags do not announce means nothing.
struct multiboot_info {
    static constexpr std::uint32_t has_memory = 1u << 0, has_command_line = 1u << 2, has_modules = 1u << 3,
                                   has_memory_map = 1u << 6;
    std::uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4], mmap_length,
        mmap_addr, drives_length, drives_addr, config_table, boot_loader_name, apm_table, vbe[4], framebuffer[7];
};

/// An entry of the memory map. `size` does not count itself.
struct multiboot_memory {
    std::uint32_t size, base_low, base_high, length_low, length_high, type;
};

/// An entry of the module list.
struct multiboot_module_entry {
    std::uint32_t mod_start, mod_end, string, reserved;
};

/// A module to announce.
struct multiboot_module {
    phys_range range;
    std::string_view string;
};

/// A module that was announced. `size` may be 0, `string` is address 0 when there is none.
struct multiboot_found_module {
    phys_addr start;
    byte_count size;
    phys_addr string;
};

/// The numbers of the kinds. 0x6c6f62xx ("lob") are lobos's own: any value that the manual does not list means
/// reserved, so another kernel leaves such memory alone, and the next lobos kernel knows what it is.
constexpr std::uint32_t multiboot_type(region_kind kind)
{
    switch (kind) {
    case region_kind::usable: return 1;
    case region_kind::reserved: return 2;
    case region_kind::acpi_reclaimable: return 3;
    case region_kind::acpi_nvs: return 4;
    case region_kind::defective: return 5;
    case region_kind::safe: return 0x6c6f'6253;
    case region_kind::surviving: return 0x6c6f'6254;
    }
    return 2;
}

/// The kind of a number; `reserved` for one that is not known.
constexpr region_kind multiboot_kind(std::uint32_t type)
{
    for (const auto kind : {region_kind::usable, region_kind::acpi_reclaimable, region_kind::acpi_nvs,
             region_kind::defective, region_kind::safe, region_kind::surviving})
        if (multiboot_type(kind) == type)
            return kind;
    return region_kind::reserved;
}

/// Adds an untrusted entry of a memory map; one of no length is skipped.
/// Faults: bad_range (it wraps; at: its base), no_space (from `region_map::add`).
inline result<void> multiboot_add(region_map& map, std::uint64_t base, std::uint64_t length, region_kind kind)
{
    if (length == 0)
        return {};
    const auto range = phys_range::checked(phys_addr::at(base), byte_count::of(length));
    if (!range)
        return refuse(fault_code::bad_range, stage::loading, base);
    return map.add(*range, kind);
}

/// The KiB of usable memory from 0, at most 640, and from 1 MiB up to the first byte that is not usable.
struct multiboot_sizes {
    std::uint32_t lower, upper;
};
inline multiboot_sizes multiboot_sizes_of(const region_map& map)
{
    const auto usable_from = [&map](phys_addr a) -> std::uint64_t {
        const region* r = map.find(a);
        return r && r->kind == region_kind::usable ? ((r->range.last() - a).raw() + 1) >> 10 : 0;
    };
    return {static_cast<std::uint32_t>(std::min<std::uint64_t>(usable_from(phys_addr{}), 640)),
        static_cast<std::uint32_t>(std::min<std::uint64_t>(usable_from(phys_addr::at(0x10'0000)), 0xffff'ffff))};
}

/// Reads what a boot loader left. Precondition: `info`, which came in %ebx, lies below 4 GiB.
template <physical_memory Memory> class multiboot_reader {
    static_assert(std::endian::native == std::endian::little, "the structure is read as it lies in memory");

public:
    multiboot_reader(Memory& memory, phys_addr info)
        : memory_{&memory},
          at_{info},
          info_{load<multiboot_info>(memory, info)}
    {
    }

    /// Adds the memory map to `map`; without one, the two sizes of `mem_lower` and `mem_upper` as usable memory.
    /// Entries of no length are skipped. Faults: bad_header (neither is there; the map wraps; an entry is too short, or
    /// longer than what is left), bad_range (an entry that wraps; at: its base), no_space (from `region_map::add`).
    /// After a fault `map` holds the entries before it.
    result<void> read_memory_map(region_map& map) const
    {
        if (!has(multiboot_info::has_memory_map))
            return read_memory_sizes(map);
        std::uint64_t left = info_.mmap_length;
        std::uint64_t at = info_.mmap_addr;
        if (left > end_of_memory - at)
            return bad(at_.raw() + offsetof(multiboot_info, mmap_length));
        while (left != 0) {
            if (left < sizeof(multiboot_memory))
                return bad(at);
            const auto entry = load<multiboot_memory>(*memory_, phys_addr::at(at));
            const std::uint64_t step = std::uint64_t{entry.size} + sizeof entry.size;
            if (step < sizeof entry || step > left)
                return bad(at);
            const std::uint64_t base = std::uint64_t{entry.base_high} << 32 | entry.base_low;
            const std::uint64_t length = std::uint64_t{entry.length_high} << 32 | entry.length_low;
            if (auto added = multiboot_add(map, base, length, multiboot_kind(entry.type)); !added)
                return added;
            at += step;
            left -= step;
        }
        return {};
    }

    /// How many modules there are.
    std::uint32_t module_count() const { return has(multiboot_info::has_modules) ? info_.mods_count : 0; }

    /// Module `i`. Precondition: `i < module_count()`.
    /// Faults: bad_header (its entry lies past 4 GiB, or it ends before it starts).
    result<multiboot_found_module> module(std::uint32_t i) const
    {
        expects(i < module_count(), "multiboot: no such module");
        const std::uint64_t at = info_.mods_addr + std::uint64_t{i} * sizeof(multiboot_module_entry);
        if (at + sizeof(multiboot_module_entry) > end_of_memory)
            return bad(at_.raw() + offsetof(multiboot_info, mods_count));
        const auto entry = load<multiboot_module_entry>(*memory_, phys_addr::at(at));
        if (entry.mod_end < entry.mod_start)
            return bad(at + offsetof(multiboot_module_entry, mod_end));
        return multiboot_found_module{phys_addr::at(entry.mod_start), byte_count::of(entry.mod_end - entry.mod_start),
            phys_addr::at(entry.string)};
    }

    /// Where the command line lies, if there is one.
    std::optional<phys_addr> command_line() const
    {
        return has(multiboot_info::has_command_line) ? std::optional{phys_addr::at(info_.cmdline)} : std::nullopt;
    }

    /// The string at `at`, copied into `out`, which needs a place for the terminator too.
    /// Faults: command_line_too_long (no terminator within `out` or below 4 GiB; at: the bytes looked at).
    result<std::string_view> string(phys_addr at, std::span<char> out) const
    {
        for (std::size_t i = 0; i < out.size() && at.raw() + i < end_of_memory; ++i) {
            out[i] = static_cast<char>(load<std::uint8_t>(*memory_, at + byte_count::of(i)));
            if (out[i] == '\0')
                return std::string_view{out.data(), i};
        }
        return refuse(fault_code::command_line_too_long, stage::loading, out.size());
    }

private:
    static constexpr std::uint64_t end_of_memory = std::uint64_t{1} << 32;

    bool has(std::uint32_t flag) const { return (info_.flags & flag) != 0; }

    static std::unexpected<fault> bad(std::uint64_t field)
    {
        return refuse(fault_code::bad_header, stage::loading, field);
    }

    result<void> read_memory_sizes(region_map& map) const
    {
        if (!has(multiboot_info::has_memory))
            return bad(at_.raw());
        if (auto lower = multiboot_add(map, 0, std::uint64_t{info_.mem_lower} << 10, region_kind::usable); !lower)
            return lower;
        return multiboot_add(map, 0x10'0000, std::uint64_t{info_.mem_upper} << 10, region_kind::usable);
    }

    Memory* memory_;
    phys_addr at_;
    multiboot_info info_;
};

/// Lays out the structure, the memory map, the module list and all strings in `out`, which will lie at `at`. Returns
/// the bytes used. `mem_lower` and `mem_upper` tell the usable memory from 0 (at most 640 KiB) and from 1 MiB up to the
/// first byte that is not usable, in KiB.
/// Faults: no_space (at: bytes needed), bad_range (the block, or a module with the byte after it, does not lie below
/// 4 GiB, or a region is the whole 2^64 bytes; at: its first address), command_line_too_long (a string with a NUL in
/// it, of which the next kernel would see only a part).
inline result<std::size_t> make_multiboot_info(const region_map& map, std::span<const multiboot_module> modules,
    std::string_view command_line, phys_addr at, std::span<std::byte> out)
{
    const auto reject = [](fault_code code, std::uint64_t where) { return refuse(code, stage::staging, where); };
    const std::uint64_t map_size = std::uint64_t{map.regions().size()} * sizeof(multiboot_memory);
    const std::uint64_t list_size = std::uint64_t{modules.size()} * sizeof(multiboot_module_entry);
    std::uint64_t needed = sizeof(multiboot_info) + map_size + list_size + command_line.size() + 1;
    if (has_terminator(command_line))
        return reject(fault_code::command_line_too_long, command_line.size());
    for (const multiboot_module& m : modules) {
        if (m.range.last().raw() >= 0xffff'ffff)
            return reject(fault_code::bad_range, m.range.first().raw());
        if (has_terminator(m.string))
            return reject(fault_code::command_line_too_long, m.string.size());
        needed += m.string.size() + 1;
    }
    if (needed > out.size())
        return reject(fault_code::no_space, needed);
    if (at.raw() > 0xffff'ffff || needed - 1 > 0xffff'ffff - at.raw())
        return reject(fault_code::bad_range, at.raw());

    std::size_t used = sizeof(multiboot_info);
    const auto here = [&] { return static_cast<std::uint32_t>(at.raw() + used); };
    const auto put = [&](std::span<const std::byte> bytes) {
        std::copy(bytes.begin(), bytes.end(), out.subspan(used).begin());
        used += bytes.size();
    };
    const auto put_string = [&](std::string_view s) {
        put({reinterpret_cast<const std::byte*>(s.data()), s.size()});
        put(bytes_of('\0'));
    };

    multiboot_info info{};
    info.flags = multiboot_info::has_memory | multiboot_info::has_command_line | multiboot_info::has_modules |
        multiboot_info::has_memory_map;
    info.mmap_addr = here();
    info.mmap_length = static_cast<std::uint32_t>(map_size);
    for (const region& r : map.regions()) {
        const std::uint64_t base = r.range.first().raw();
        const std::uint64_t all_but_one = r.range.last().raw() - base;
        if (all_but_one == ~std::uint64_t{0})
            return reject(fault_code::bad_range, base);
        const std::uint64_t length = all_but_one + 1;
        put(bytes_of(multiboot_memory{sizeof(multiboot_memory) - 4, static_cast<std::uint32_t>(base),
            static_cast<std::uint32_t>(base >> 32), static_cast<std::uint32_t>(length),
            static_cast<std::uint32_t>(length >> 32), multiboot_type(r.kind)}));
    }
    const multiboot_sizes sizes = multiboot_sizes_of(map);
    info.mem_lower = sizes.lower;
    info.mem_upper = sizes.upper;

    info.mods_addr = here();
    info.mods_count = static_cast<std::uint32_t>(modules.size());
    auto string = static_cast<std::uint32_t>(here() + list_size);
    for (const multiboot_module& m : modules) {
        put(bytes_of(multiboot_module_entry{static_cast<std::uint32_t>(m.range.first().raw()),
            static_cast<std::uint32_t>(m.range.last().raw() + 1), string, 0}));
        string += static_cast<std::uint32_t>(m.string.size() + 1);
    }
    for (const multiboot_module& m : modules)
        put_string(m.string);
    info.cmdline = here();
    put_string(command_line);

    const auto head = bytes_of(info);
    std::copy(head.begin(), head.end(), out.begin());
    return used;
}

// Sanity checks
static_assert(sizeof(multiboot_info) == 116 && offsetof(multiboot_info, mmap_length) == 44);
static_assert(sizeof(multiboot_memory) == 24 && sizeof(multiboot_module_entry) == 16);
static_assert(multiboot_kind(multiboot_type(region_kind::surviving)) == region_kind::surviving);
static_assert(multiboot_kind(0) == region_kind::reserved && multiboot_kind(6) == region_kind::reserved);

} // namespace lobos
