// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The boot information of multiboot 2 as a kernel that was booted with it reads it [multiboot2/2.0 §3.6]. The reader
/// believes no size and no sum; that the block is readable it has to believe. Its faults say with `at` the physical
/// address of the field.

#include <lobos/x86/efi_memory_map.hpp>
#include <lobos/x86/multiboot2_format.hpp>
#include <lobos/x86/multiboot_info.hpp>

namespace lobos {

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

    /// The EFI firmware, if the loader has ended its boot services and tells all that it takes to call it later.
    /// Faults: bad_header.
    result<std::optional<efi_firmware>> efi() const
    {
        const auto running = find(multiboot2_tag::efi_not_terminated, 8),
                   map = find(multiboot2_tag::efi_memory_map, 16), table_64 = find(multiboot2_tag::efi_64, 16),
                   table_32 = find(multiboot2_tag::efi_32, 12);
        for (const auto* tag : {&map, &table_64, &table_32, &running})
            if (!*tag)
                return std::unexpected{tag->error()};
        if (*running || !*map || (*map)->size == byte_count::of(16) || (!*table_64 && !*table_32))
            return std::nullopt;
        const auto behind_head = [&](const std::optional<multiboot2_found>& tag) {
            return tag->at + byte_count::of(8);
        };
        const auto array = load<multiboot2_array>(*memory_, behind_head(*map));
        const multiboot2_found descriptors = inside(**map, 16);
        return efi_firmware{table_64->has_value(),
            phys_addr::at(*table_64 ? load<std::uint64_t>(*memory_, behind_head(*table_64))
                                    : load<std::uint32_t>(*memory_, behind_head(*table_32))),
            phys_range::of(descriptors.at, descriptors.size), array.entry_size, array.entry_version};
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
            at += multiboot2_padded(tag.size);
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

} // namespace lobos
