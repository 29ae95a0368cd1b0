// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The boot information of multiboot 2 as it is written for a next kernel [multiboot2/2.0 §3.6], in the words of
/// multiboot2_format.hpp.

#include <lobos/x86/efi_told_map.hpp>
#include <lobos/x86/multiboot2_format.hpp>
#include <lobos/x86/multiboot_info.hpp>

namespace lobos {

/// What a running kernel can tell about the machine beside its memory map.
struct multiboot2_machine {
    /// A copy of ACPI's root pointer, 20 bytes of ACPI 1.0 or 36 of a later one, or empty.
    std::span<const std::byte> rsdp = {};
    std::optional<efi_firmware> efi = {}; ///< its memory map takes pages of parameters, in a row
};

namespace detail {

/// Puts one thing behind the other into memory.
template <physical_memory M> class block_writer {
public:
    block_writer(M& memory, phys_addr at) : memory_{memory}, begin_{at} {}

    void bytes(std::span<const std::byte> of)
    {
        memory_.write(here(), of);
        used_ += of.size();
    }
    template <class T> void value(const T& of) { bytes(bytes_of(of)); }
    void text(std::string_view of)
    {
        bytes({reinterpret_cast<const std::byte*>(of.data()), of.size()});
        value('\0');
    }
    void zeros(std::uint64_t behind) ///< up to there
    {
        while (used_ < behind)
            value(std::byte{0});
    }
    void tag(std::uint32_t type, std::uint64_t size)
    {
        zeros(multiboot2_padded(used_));
        value(multiboot2_tag{type, static_cast<std::uint32_t>(size)});
    }
    void skip(std::uint64_t n) { used_ += n; }
    phys_addr here() const { return begin_ + byte_count::of(used_); }
    std::uint64_t used() const { return used_; }

private:
    M& memory_;
    phys_addr begin_;
    std::uint64_t used_ = 0;
};

} // namespace detail

/// Lays out the block in `room`: command line, loader name, modules, basic memory, memory map, EFI's system table and
/// memory map, ACPI's root pointer, end; what is left of the room is zeros. A root pointer of 36 bytes is told twice,
/// its first 20 to those who know only ACPI 1.0. Of EFI's memory map, what is kept is told as that: see
/// efi_told_map.hpp. Returns the bytes used. Nothing is written before the last fault is found.
/// Faults: no_space (at: bytes needed), misaligned (the room begins at no multiple of 8; at: there), bad_range (the
/// block, or a module with the byte after it, or the system table of 32-bit firmware, does not lie below 4 GiB, or a
/// region is the whole 2^64 bytes; at: its first address), command_line_too_long (a string with a NUL in it, of which
/// the next kernel would see only a part), bad_header (a root pointer of another size; at: its size), those of
/// efi::told_size.
template <physical_memory M>
result<byte_count> write_multiboot2_info(M& memory, const region_map& map, std::span<const multiboot_module> modules,
    std::string_view command_line, const multiboot2_machine& machine, phys_range room)
{
    constexpr std::string_view loader = "lobos";
    const auto reject = [](fault_code code, std::uint64_t where) { return refuse(code, stage::staging, where); };
    const auto padded = [](std::uint64_t size) { return multiboot2_padded(size); };
    const std::size_t rsdp = machine.rsdp.size();
    const std::uint64_t at = room.first().raw();
    const std::uint64_t map_size = 16 + std::uint64_t{map.regions().size()} * sizeof(multiboot2_memory);
    std::uint64_t needed = sizeof(multiboot2_info) + padded(8 + command_line.size() + 1) +
        padded(8 + loader.size() + 1) + 16 + map_size + 8;
    if (has_terminator(command_line))
        return reject(fault_code::command_line_too_long, command_line.size());
    for (const multiboot_module& m : modules) {
        if (m.range.last().raw() >= 0xffff'ffff)
            return reject(fault_code::bad_range, m.range.first().raw());
        if (has_terminator(m.string))
            return reject(fault_code::command_line_too_long, m.string.size());
        needed += padded(16 + m.string.size() + 1);
    }
    for (const region& r : map.regions())
        if ((r.range.last() - r.range.first()).raw() == ~std::uint64_t{0})
            return reject(fault_code::bad_range, r.range.first().raw());
    if (rsdp != 0 && rsdp != 20 && rsdp != 36)
        return reject(fault_code::bad_header, rsdp);
    needed += (rsdp != 0 ? padded(8 + 20) : 0) + (rsdp == 36 ? padded(8 + 36) : 0);
    std::uint64_t efi_map_size = 0;
    if (machine.efi) {
        if (!machine.efi->is_64_bit && machine.efi->system_table.raw() > 0xffff'ffff)
            return reject(fault_code::bad_range, machine.efi->system_table.raw());
        const auto size = efi::told_size(memory, *machine.efi, map);
        if (!size)
            return std::unexpected{size.error()};
        efi_map_size = 16 + size->raw();
        needed += 16 + padded(efi_map_size);
    }
    if (needed - 1 > (room.last() - room.first()).raw())
        return reject(fault_code::no_space, needed);
    if (!is_aligned(room.first(), byte_count::of(8)))
        return reject(fault_code::misaligned, at);
    if (at > 0xffff'ffff || needed - 1 > 0xffff'ffff - at)
        return reject(fault_code::bad_range, at);

    detail::block_writer out{memory, room.first()};
    out.value(multiboot2_info{static_cast<std::uint32_t>(needed), 0});
    out.tag(multiboot2_tag::command_line, 8 + command_line.size() + 1);
    out.text(command_line);
    out.tag(multiboot2_tag::loader_name, 8 + loader.size() + 1);
    out.text(loader);
    for (const multiboot_module& m : modules) {
        out.tag(multiboot2_tag::module, 16 + m.string.size() + 1);
        out.value(static_cast<std::uint32_t>(m.range.first().raw()));
        out.value(static_cast<std::uint32_t>(m.range.last().raw() + 1));
        out.text(m.string);
    }
    out.tag(multiboot2_tag::memory_sizes, 16);
    out.value(multiboot_sizes_of(map));
    out.tag(multiboot2_tag::memory_map, map_size);
    out.value(multiboot2_array{sizeof(multiboot2_memory), 0});
    for (const region& r : map.regions())
        out.value(multiboot2_memory{r.range.first().raw(), r.range.size().raw(), multiboot_type(r.kind), 0});
    if (machine.efi) {
        const efi_firmware& firmware = *machine.efi;
        out.tag(firmware.is_64_bit ? multiboot2_tag::efi_64 : multiboot2_tag::efi_32, firmware.is_64_bit ? 16 : 12);
        out.bytes(bytes_of(firmware.system_table.raw()).first(firmware.is_64_bit ? 8 : 4));
        out.tag(multiboot2_tag::efi_memory_map, efi_map_size);
        out.value(multiboot2_array{firmware.descriptor_size, firmware.descriptor_version});
        efi::write_told(memory, firmware, map, out.here());
        out.skip(efi_map_size - 16);
    }
    if (rsdp != 0) {
        out.tag(multiboot2_tag::rsdp_old, 8 + 20);
        out.bytes(machine.rsdp.first(20));
    }
    if (rsdp == 36) {
        out.tag(multiboot2_tag::rsdp_new, 8 + 36);
        out.bytes(machine.rsdp);
    }
    out.tag(multiboot2_tag::end, 8);
    expects(out.used() == needed, "the tags of multiboot 2 take what was counted");
    out.zeros((room.last() - room.first()).raw() + 1);
    return byte_count::of(needed);
}

} // namespace lobos
