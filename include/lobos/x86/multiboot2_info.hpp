// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The boot information of multiboot 2 [multiboot2/2.0 §3.6], both ways: read by a kernel that was booted with it, and
/// written for the next kernel. It is one block, a list of tags each on a multiple of 8 bytes; numbers are
/// little-endian, addresses physical, `mod_end` is one past the last byte. Memory has the types of multiboot 1. The
/// reader believes no size and no sum; that the block is readable it has to believe. Its faults say with `at` the
/// physical address of the field.

#include <lobos/x86/multiboot_info.hpp>

namespace lobos {

/// What a boot loader leaves in %eax [multiboot2/2.0 §3.3].
inline constexpr std::uint32_t multiboot2_loader_magic = 0x36d7'6289;

/// The beginning of the block. `total_size` counts itself and the end tag.
struct multiboot2_info {
    std::uint32_t total_size, reserved;
};

/// The beginning of a tag. `size` counts itself, not the padding to the next tag.
struct multiboot2_tag {
    static constexpr std::uint32_t end = 0, command_line = 1, loader_name = 2, module = 3, memory_sizes = 4,
                                   memory_map = 6, efi_32 = 11, efi_64 = 12, rsdp_old = 14, rsdp_new = 15;
    std::uint32_t type, size;
};

/// An entry of the memory map.
struct multiboot2_memory {
    std::uint64_t base, length;
    std::uint32_t type, reserved;
};

/// A string or a structure that was found in the block.
struct multiboot2_found {
    phys_addr at;
    byte_count size; ///< of a string: with its terminator
};

/// A module that was announced. `size` may be 0.
struct multiboot2_found_module {
    phys_addr start;
    byte_count size;
    multiboot2_found string;
};

/// The EFI firmware of the machine. Its boot services are over; its memory map is told as everybody's is.
struct multiboot2_efi {
    bool is_64_bit; ///< the firmware, not the kernel
    phys_addr system_table;
};

/// What a running kernel can tell about the machine beside its memory map.
struct multiboot2_machine {
    /// A copy of ACPI's root pointer, 20 bytes of ACPI 1.0 or 36 of a later one, or empty.
    std::span<const std::byte> rsdp = {};
    std::optional<multiboot2_efi> efi = {};
};

/// Reads what a boot loader left. Precondition: `info`, which came in %ebx, lies below 4 GiB.
template <physical_memory Memory> class multiboot2_reader {
    static_assert(std::endian::native == std::endian::little, "the block is read as it lies in memory");

public:
    /// Every function but `string` may return bad_header: the block reaches past 4 GiB or is too short for its own
    /// beginning (at: `info`), or ends without an end tag (at: where one had to be), or a tag is too short for what it
    /// is or longer than what is left (at: its size). Tags behind the one that is looked for are not looked at.
    multiboot2_reader(Memory& memory, phys_addr info)
        : memory_{&memory},
          at_{info.raw()},
          size_{load<multiboot2_info>(memory, info).total_size}
    {
    }

    /// Adds the memory map to `map`; without one, the two sizes of the basic memory tag as usable memory. Entries of no
    /// length are skipped. Faults: bad_header (also: neither is there, at `info`; entries of less than 24 bytes, at
    /// their size), bad_range (an entry that wraps; at: its base), no_space (from `region_map::add`). After a fault
    /// `map` holds the entries before it.
    result<void> read_memory_map(region_map& map) const
    {
        const auto tag = find(multiboot2_tag::memory_map, 16);
        if (!tag)
            return std::unexpected{tag.error()};
        if (!*tag)
            return read_memory_sizes(map);
        const auto entry_size = load<std::uint32_t>(*memory_, (*tag)->at + byte_count::of(8));
        if (entry_size < sizeof(multiboot2_memory))
            return bad((*tag)->at.raw() + 8);
        const std::uint64_t end = (*tag)->at.raw() + (*tag)->size.raw();
        for (std::uint64_t at = (*tag)->at.raw() + 16; at != end; at += entry_size) {
            if (entry_size > end - at)
                return bad((*tag)->at.raw() + 4);
            const auto entry = load<multiboot2_memory>(*memory_, phys_addr::at(at));
            if (auto added = multiboot_add(map, entry.base, entry.length, multiboot_kind(entry.type)); !added)
                return added;
        }
        return {};
    }

    /// How many modules there are. Faults: bad_header.
    result<std::uint32_t> module_count() const
    {
        for (std::uint32_t n = 0;; ++n) {
            const auto tag = find(multiboot2_tag::module, 17, n);
            if (!tag)
                return std::unexpected{tag.error()};
            if (!*tag)
                return n;
        }
    }

    /// Module `i`; nothing if there are not so many. Faults: bad_header (also: it ends before it starts, at its end).
    result<std::optional<multiboot2_found_module>> module(std::uint32_t i) const
    {
        const auto tag = find(multiboot2_tag::module, 17, i);
        if (!tag)
            return std::unexpected{tag.error()};
        if (!*tag)
            return std::nullopt;
        const phys_addr at = (*tag)->at;
        const auto start = load<std::uint32_t>(*memory_, at + byte_count::of(8));
        const auto end = load<std::uint32_t>(*memory_, at + byte_count::of(12));
        if (end < start)
            return bad(at.raw() + 12);
        return multiboot2_found_module{phys_addr::at(start), byte_count::of(end - start), inside(**tag, 16)};
    }

    /// Where the command line lies, if there is one. Faults: bad_header.
    result<std::optional<multiboot2_found>> command_line() const { return body(find(multiboot2_tag::command_line, 9)); }

    /// Where the copy of ACPI's root pointer lies, if there is one: the longer of the two that there may be.
    /// Faults: bad_header.
    result<std::optional<multiboot2_found>> rsdp() const
    {
        const auto longer = find(multiboot2_tag::rsdp_new, 8 + 36);
        if (!longer || *longer)
            return body(longer);
        return body(find(multiboot2_tag::rsdp_old, 8 + 20));
    }

    /// The string `s`, copied into `out`, which needs a place for the terminator too.
    /// Faults: command_line_too_long (no terminator within `out` or `s`; at: the bytes looked at).
    result<std::string_view> string(multiboot2_found s, std::span<char> out) const
    {
        const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), s.size.raw()));
        for (std::size_t i = 0; i < most; ++i) {
            out[i] = static_cast<char>(load<std::uint8_t>(*memory_, s.at + byte_count::of(i)));
            if (out[i] == '\0')
                return std::string_view{out.data(), i};
        }
        return refuse(fault_code::command_line_too_long, stage::loading, most);
    }

private:
    using maybe_found = result<std::optional<multiboot2_found>>;

    static std::unexpected<fault> bad(std::uint64_t field)
    {
        return refuse(fault_code::bad_header, stage::loading, field);
    }

    static multiboot2_found inside(multiboot2_found tag, std::uint64_t skip)
    {
        return {tag.at + byte_count::of(skip), tag.size - byte_count::of(skip)};
    }
    static maybe_found body(maybe_found tag)
    {
        if (tag && *tag)
            **tag = inside(**tag, sizeof(multiboot2_tag));
        return tag;
    }

    // The tag of `type`, at least `least` bytes long, that has `skip` others of its type before it.
    maybe_found find(std::uint32_t type, std::uint32_t least, std::uint32_t skip = 0) const
    {
        const std::uint64_t end = at_ + size_;
        if (size_ < sizeof(multiboot2_info) || end > std::uint64_t{1} << 32)
            return bad(at_);
        for (std::uint64_t at = at_ + sizeof(multiboot2_info);;) {
            if (at > end || sizeof(multiboot2_tag) > end - at)
                return bad(at);
            const auto tag = load<multiboot2_tag>(*memory_, phys_addr::at(at));
            if (tag.size < sizeof tag || tag.size > end - at || (tag.type == type && tag.size < least))
                return bad(at + offsetof(multiboot2_tag, size));
            if (tag.type == multiboot2_tag::end)
                return std::nullopt;
            if (tag.type == type) {
                if (skip == 0)
                    return multiboot2_found{phys_addr::at(at), byte_count::of(tag.size)};
                --skip;
            }
            at += (std::uint64_t{tag.size} + 7) & ~std::uint64_t{7};
        }
    }

    result<void> read_memory_sizes(region_map& map) const
    {
        const auto tag = find(multiboot2_tag::memory_sizes, 16);
        if (!tag)
            return std::unexpected{tag.error()};
        if (!*tag)
            return bad(at_);
        const auto sizes = load<multiboot_sizes>(*memory_, (*tag)->at + byte_count::of(8));
        if (auto lower = multiboot_add(map, 0, std::uint64_t{sizes.lower} << 10, region_kind::usable); !lower)
            return lower;
        return multiboot_add(map, 0x10'0000, std::uint64_t{sizes.upper} << 10, region_kind::usable);
    }

    Memory* memory_;
    std::uint64_t at_;
    std::uint32_t size_;
};

namespace detail {

/// The bytes that a tag of `size` takes with the padding to the next one.
constexpr std::uint64_t padded_tag(std::uint64_t size)
{
    return (size + 7) & ~std::uint64_t{7};
}

/// The bytes of all tags about the machine.
inline std::uint64_t size_of_tags(const multiboot2_machine& machine)
{
    constexpr std::uint64_t old = padded_tag(8 + 20), later = padded_tag(8 + 36), efi = 16;
    return (machine.rsdp.empty() ? 0 : machine.rsdp.size() == 20 ? old : old + later) + (machine.efi ? efi : 0);
}

} // namespace detail

/// Lays out the block in `out`, which will lie at `at`: command line, loader name, modules, basic memory, memory map,
/// EFI's system table, ACPI's root pointer, end. A root pointer of 36 bytes is told twice, its first 20 to those who
/// know only ACPI 1.0. Returns the bytes used.
/// Faults: no_space (at: bytes needed), misaligned (`at` is no multiple of 8; at: it), bad_range (the block, or a
/// module with the byte after it, or the system table of 32-bit firmware, does not lie below 4 GiB, or a region is the
/// whole 2^64 bytes; at: its first address), command_line_too_long (a string with a NUL in it, of which the next kernel
/// would see only a part), bad_header (a root pointer of another size; at: its size).
inline result<std::size_t> make_multiboot2_info(const region_map& map, std::span<const multiboot_module> modules,
    std::string_view command_line, const multiboot2_machine& machine, phys_addr at, std::span<std::byte> out)
{
    constexpr std::string_view loader = "lobos";
    const auto reject = [](fault_code code, std::uint64_t where) { return refuse(code, stage::staging, where); };
    const std::size_t rsdp = machine.rsdp.size();
    const std::uint64_t map_size = 16 + std::uint64_t{map.regions().size()} * sizeof(multiboot2_memory);
    std::uint64_t needed = sizeof(multiboot2_info) + detail::padded_tag(8 + command_line.size() + 1) +
        detail::padded_tag(8 + loader.size() + 1) + 16 + map_size + detail::size_of_tags(machine) + 8;
    if (has_terminator(command_line))
        return reject(fault_code::command_line_too_long, command_line.size());
    for (const multiboot_module& m : modules) {
        if (m.range.last().raw() >= 0xffff'ffff)
            return reject(fault_code::bad_range, m.range.first().raw());
        if (has_terminator(m.string))
            return reject(fault_code::command_line_too_long, m.string.size());
        needed += detail::padded_tag(16 + m.string.size() + 1);
    }
    if (rsdp != 0 && rsdp != 20 && rsdp != 36)
        return reject(fault_code::bad_header, rsdp);
    if (machine.efi && !machine.efi->is_64_bit && machine.efi->system_table.raw() > 0xffff'ffff)
        return reject(fault_code::bad_range, machine.efi->system_table.raw());
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
    const auto pad = [&] {
        while (used % 8 != 0)
            put(bytes_of('\0'));
    };
    const auto put_head = [&](std::uint32_t type, std::uint64_t size) {
        put(bytes_of(multiboot2_tag{type, static_cast<std::uint32_t>(size)}));
    };
    const auto put_string = [&](std::string_view s) { // the last thing in its tag
        put({reinterpret_cast<const std::byte*>(s.data()), s.size()});
        put(bytes_of('\0'));
        pad();
    };

    put(bytes_of(multiboot2_info{static_cast<std::uint32_t>(needed), 0}));
    put_head(multiboot2_tag::command_line, 8 + command_line.size() + 1);
    put_string(command_line);
    put_head(multiboot2_tag::loader_name, 8 + loader.size() + 1);
    put_string(loader);
    for (const multiboot_module& m : modules) {
        put_head(multiboot2_tag::module, 16 + m.string.size() + 1);
        put(bytes_of(static_cast<std::uint32_t>(m.range.first().raw())));
        put(bytes_of(static_cast<std::uint32_t>(m.range.last().raw() + 1)));
        put_string(m.string);
    }
    put_head(multiboot2_tag::memory_sizes, 16);
    put(bytes_of(multiboot_sizes_of(map)));
    put_head(multiboot2_tag::memory_map, map_size);
    put(bytes_of(static_cast<std::uint32_t>(sizeof(multiboot2_memory))));
    put(bytes_of(std::uint32_t{0})); // the version of the entries
    for (const region& r : map.regions()) {
        const std::uint64_t base = r.range.first().raw();
        const std::uint64_t all_but_one = r.range.last().raw() - base;
        if (all_but_one == ~std::uint64_t{0})
            return reject(fault_code::bad_range, base);
        put(bytes_of(multiboot2_memory{base, all_but_one + 1, multiboot_type(r.kind), 0}));
    }
    if (machine.efi && machine.efi->is_64_bit) {
        put_head(multiboot2_tag::efi_64, 16);
        put(bytes_of(machine.efi->system_table.raw()));
    } else if (machine.efi) {
        put_head(multiboot2_tag::efi_32, 12);
        put(bytes_of(static_cast<std::uint32_t>(machine.efi->system_table.raw())));
        pad();
    }
    if (rsdp != 0) {
        put_head(multiboot2_tag::rsdp_old, 8 + 20);
        put(machine.rsdp.first(20));
        pad();
    }
    if (rsdp == 36) {
        put_head(multiboot2_tag::rsdp_new, 8 + 36);
        put(machine.rsdp);
        pad();
    }
    put_head(multiboot2_tag::end, 8);
    return used;
}

// Sanity checks
static_assert(sizeof(multiboot2_info) == 8 && sizeof(multiboot2_tag) == 8 && sizeof(multiboot2_memory) == 24);
static_assert(sizeof(multiboot_sizes) == 8 && offsetof(multiboot_sizes, upper) == 4);

} // namespace lobos
