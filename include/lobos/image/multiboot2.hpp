// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Images of multiboot 2 [multiboot2/2.0 §3.1]: any file with a multiboot 2 header, a list of tags, in its first 32768
/// bytes. A tag may give the load addresses; otherwise the file is ELF, of either class. Offsets are bytes of the file,
/// addresses physical. The image is entered in flat 32-bit protected mode, and told by x86/multiboot2_info.hpp.

#include <lobos/image/flat.hpp>

namespace lobos {
namespace multiboot2 {

inline constexpr std::uint32_t magic = 0xe852'50d6;
inline constexpr std::uint64_t search_limit = 32768; ///< the whole header lies below

struct header {
    std::uint32_t magic, architecture, length, checksum;
};

struct tag {
    static constexpr std::uint16_t optional = 1; ///< in `flags`: may be ignored
    std::uint16_t type, flags;
    std::uint32_t size; ///< with these 8 bytes, without the padding to the next multiple of 8
};

enum tag_type : std::uint16_t {
    end = 0,
    information_request = 1,
    address = 2,
    entry_address = 3,
    framebuffer = 5,
    module_alignment = 6,
    efi_boot_services = 7,
    entry_address_efi32 = 8,
    entry_address_efi64 = 9,
    relocatable = 10,
};

/// Whether `x86/multiboot2_info.hpp` answers a request for tags of this type: command line, loader name, modules, basic
/// memory, memory map, EFI system tables, EFI memory map and RSDPs of a machine that has them; and the boot device,
/// which is left out when there is no BIOS disk.
constexpr bool is_answered(std::uint32_t type)
{
    return type <= 6 || type == 11 || type == 12 || type == 14 || type == 15 || type == 17;
}

/// Where the header is, if there is one.
template <image_source S> std::optional<std::uint64_t> find_header(const S& file)
{
    const std::uint64_t end = std::min(file.size().raw(), search_limit);
    for (std::uint64_t at = 0; at + sizeof(header) <= end; at += 8) {
        header h;
        if (read_value(file, at, h.magic) && h.magic == magic && read_value(file, at, h) &&
            ((std::uint64_t{h.magic} + h.architecture + h.length + h.checksum) & 0xffff'ffff) == 0)
            return at;
    }
    return std::nullopt;
}

/// One reading of the tags. Each step returns the faults that `load_multiboot2` lists.
template <image_source S> class loader {
public:
    constexpr explicit loader(const S& file) : file_{file} {}

    result<flat_image> load()
    {
        const auto found = find_header(file_);
        header h;
        if (!found || !read_value(file_, *found, h))
            return refuse(fault_code::unknown_format, stage::loading, 0);
        if (h.architecture != 0) // 0 is i386 in 32-bit protected mode
            return bad(*found + offsetof(header, architecture), fault_code::unsupported);
        if (h.length < sizeof(header) + sizeof(tag) || h.length > search_limit - *found)
            return bad(*found + offsetof(header, length));
        if (h.length > file_.size().raw() - *found)
            return truncated();
        const std::uint64_t behind = *found + h.length;
        for (std::uint64_t at = *found + sizeof(header);;) {
            tag t;
            if (at > behind || sizeof t > behind - at) // there is no end tag
                return bad(*found + offsetof(header, length));
            if (!read_value(file_, at, t))
                return truncated();
            if (t.size < sizeof t || t.size > behind - at)
                return bad(at + offsetof(tag, size));
            if (t.type == tag_type::end)
                return place(*found);
            if (auto taken = take(at, t); !taken)
                return std::unexpected{taken.error()};
            at += (std::uint64_t{t.size} + 7) & ~std::uint64_t{7};
        }
    }

private:
    static std::unexpected<fault> bad(std::uint64_t field, fault_code code = fault_code::bad_header)
    {
        return refuse(code, stage::loading, field);
    }
    std::unexpected<fault> truncated() const { return bad(file_.size().raw(), fault_code::truncated_image); }

    // What follows the tag's first 8 bytes.
    template <class T> result<void> read(std::uint64_t at, const tag& t, T& value)
    {
        if (t.size < sizeof t + sizeof value)
            return bad(at + offsetof(tag, size));
        if (!read_value(file_, at + sizeof t, value))
            return truncated();
        return {};
    }

    result<void> take(std::uint64_t at, const tag& t)
    {
        switch (t.type) {
        case tag_type::information_request: return take_requests(at, t);
        case tag_type::address: addresses_at_ = at + sizeof t; return read(at, t, addresses_);
        case tag_type::entry_address: {
            std::uint32_t entry = 0;
            if (auto got = read(at, t, entry); !got)
                return got;
            entry_ = phys_addr::at(entry);
            return {};
        }
        case tag_type::module_alignment: wishes_.module_alignment = byte_count::of(4096); return {};
        case tag_type::framebuffer: wishes_.wants_video_mode = true; break;
        // It may be moved, and is not.
        case tag_type::relocatable: return {};
        // Boot services are over, and an image that cannot do without them is not entered. One that can says so, and
        // is entered as everywhere.
        case tag_type::efi_boot_services:
        case tag_type::entry_address_efi32:
        case tag_type::entry_address_efi64:
        default: break;
        }
        if ((t.flags & tag::optional) == 0)
            return bad(at, fault_code::unsupported);
        return {};
    }

    result<void> take_requests(std::uint64_t at, const tag& t)
    {
        if (t.size % 4 != 0)
            return bad(at + offsetof(tag, size));
        for (std::uint64_t next = at + sizeof t; next != at + t.size; next += 4) {
            std::uint32_t type = 0;
            if (!read_value(file_, next, type))
                return truncated();
            if (!is_answered(type) && (t.flags & tag::optional) == 0)
                return bad(next, fault_code::unsupported);
            wishes_.wants_memory_map |= type == 4 || type == 6;
        }
        return {};
    }

    result<flat_image> place(std::uint64_t found)
    {
        if (addresses_at_ && !entry_)
            return bad(*addresses_at_);
        if (addresses_at_ && addresses_.load_addr == 0xffff'ffff) { // from the beginning of the file
            if (addresses_.header_addr < found)
                return bad(*addresses_at_);
            addresses_.load_addr = addresses_.header_addr - static_cast<std::uint32_t>(found);
        }
        auto image = addresses_at_ ? flat::load_by_addresses(file_, found, addresses_, *addresses_at_, *entry_)
                                   : load_flat_elf(file_, entry_);
        if (image) {
            image->module_alignment = wishes_.module_alignment;
            image->wants_memory_map = wishes_.wants_memory_map;
            image->wants_video_mode = wishes_.wants_video_mode;
        }
        return image;
    }

    const S& file_;
    std::optional<std::uint64_t> addresses_at_;
    flat::load_addresses addresses_{};
    std::optional<phys_addr> entry_;
    flat_image wishes_;
};

} // namespace multiboot2

/// True when `file` has a multiboot 2 header. It may still be one that cannot be loaded.
template <image_source S> bool is_multiboot2(const S& file)
{
    return multiboot2::find_header(file).has_value();
}

/// Loads a multiboot 2 image. Modules go to page boundaries if it asks for that. An address tag counts more than an ELF
/// header, an entry tag more than `e_entry`. The image is placed where it was linked to, whether or not it could be
/// moved. Faults: unknown_format (no header, at 0; or it has no addresses and the file is not ELF), unsupported
/// (another architecture, at that field; a tag that is neither known nor optional, at the tag; one that asks for EFI's
/// boot services or for an entry with them, not optional, at the tag; a request for information that is never given,
/// not optional, at the request), truncated_image (the file ends before the header or
/// the bytes to load), bad_header (the header reaches past 32768 bytes or has no end tag, at its length; a tag is too
/// short or longer than the header, at its size; addresses without an entry tag, or that contradict each other or the
/// file, at the wrong one), empty_image (nothing to load), bad_range (not below 4 GiB; at: its first address),
/// entry_not_in_image (at: the entry); for ELF files those of load_flat_elf.
template <image_source S> result<flat_image> load_multiboot2(const S& file)
{
    return multiboot2::loader<S>{file}.load();
}

// Sanity checks
static_assert(sizeof(multiboot2::header) == 16 && sizeof(multiboot2::tag) == 8);
static_assert(multiboot2::is_answered(17) && !multiboot2::is_answered(8));

} // namespace lobos
