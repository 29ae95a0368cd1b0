// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Images of multiboot 1 [multiboot/0.6.96 §3.1]: any file with a multiboot header in its first 8192 bytes. The header
/// may carry the load addresses itself; otherwise the file is ELF, of either class although the manual only knows the
/// 32-bit one. Offsets are bytes of the file, addresses physical. The image is entered in flat 32-bit protected mode,
/// and told by x86/multiboot_info.hpp.

#include <lobos/image/flat.hpp>

namespace lobos {
namespace multiboot {

inline constexpr std::uint32_t magic = 0x1bad'b002;
inline constexpr std::uint64_t search_limit = 8192; ///< the whole header lies below

/// The header as far as this loader reads it. The addresses are there if the flags say so.
struct header {
    static constexpr std::uint32_t aligned_modules = 1u << 0, memory_information = 1u << 1, video_mode = 1u << 2,
                                   addresses = 1u << 16;
    /// The lower half are demands, of which three are known. The upper half may be ignored.
    static constexpr std::uint32_t unknown_demands = 0xffff & ~(aligned_modules | memory_information | video_mode);
    std::uint32_t magic, flags, checksum;
    flat::load_addresses load;
    std::uint32_t entry_addr;
};

/// Where the header is, if there is one.
template <image_source S> std::optional<std::uint64_t> find_header(const S& file)
{
    const std::uint64_t end = std::min(file.size().raw(), search_limit);
    for (std::uint64_t at = 0; at + 12 <= end; at += 4) {
        std::uint32_t words[3];
        if (read_value(file, at, words[0]) && words[0] == magic && read_value(file, at, words) &&
            ((std::uint64_t{magic} + words[1] + words[2]) & 0xffff'ffff) == 0)
            return at;
    }
    return std::nullopt;
}

} // namespace multiboot

/// True when `file` has a multiboot 1 header. It may still be one that cannot be loaded.
template <image_source S> bool is_multiboot(const S& file)
{
    return multiboot::find_header(file).has_value();
}

/// Loads a multiboot 1 image. Modules go to page boundaries if it asks for that. The load addresses of the header, if
/// it has them, count more than an ELF header.
/// Faults: unknown_format (no header, at 0; or it has no addresses and the file is not ELF), unsupported (the header
/// demands what the manual does not define; at: file offset of the flags), truncated_image (the file ends before the
/// header or the bytes to load), bad_header (the header reaches past 8192 bytes, at the flags; or an address
/// contradicts another one or the file, at that one), empty_image (nothing to load), bad_range (not below 4 GiB; at:
/// its first address), entry_not_in_image (at: the entry); for ELF files those of load_flat_elf.
template <image_source S> result<flat_image> load_multiboot(const S& file)
{
    using multiboot::header;
    const auto reject = [](fault_code code, std::uint64_t at) { return refuse(code, stage::loading, at); };
    const auto at = multiboot::find_header(file);
    if (!at)
        return reject(fault_code::unknown_format, 0);
    const std::uint64_t flags_at = *at + offsetof(header, flags);
    std::uint32_t flags = 0;
    if (!read_value(file, flags_at, flags))
        return reject(fault_code::truncated_image, file.size().raw());
    if ((flags & header::unknown_demands) != 0)
        return reject(fault_code::unsupported, flags_at);

    auto image = [&]() -> result<flat_image> {
        if ((flags & header::addresses) == 0)
            return load_flat_elf(file);
        if (*at + sizeof(header) > multiboot::search_limit)
            return reject(fault_code::bad_header, flags_at);
        header h;
        if (!read_value(file, *at, h))
            return reject(fault_code::truncated_image, file.size().raw());
        return flat::load_by_addresses(file, *at, h.load, *at + offsetof(header, load), phys_addr::at(h.entry_addr));
    }();
    if (image) {
        image->module_alignment = byte_count::of((flags & header::aligned_modules) != 0 ? 4096 : 1);
        image->wants_memory_map = (flags & header::memory_information) != 0;
        image->wants_video_mode = (flags & header::video_mode) != 0;
    }
    return image;
}

// Sanity checks
static_assert(sizeof(multiboot::header) == 32 && offsetof(multiboot::header, entry_addr) == 28);
static_assert(multiboot::header::unknown_demands == 0xfff8);

} // namespace lobos
