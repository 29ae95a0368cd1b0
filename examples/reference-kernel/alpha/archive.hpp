// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Files out of the loader's only one: a cpio archive of the "newc" format, as an initramfs is
/// [linux/buffer-format.rst]. An entry is a magic and 13 numbers of 8 hexadecimal digits, a name with a terminator, and
/// the content; name and content are padded to a multiple of 4, and the last entry has a name that says so.

#include "../files.hpp"

#include <array>

namespace kernel {

class archive {
public:
    archive(const std::byte* begin, lobos::byte_count size)
        : text_{reinterpret_cast<const char*>(begin), static_cast<std::size_t>(size.raw())}
    {
    }

    /// Whether it is one at all.
    constexpr bool has_magic() const { return text_.starts_with(magic); }

    /// Adds the regular files to `files`, by their names in the archive with a slash before them, where the archive
    /// lies at `at`. The names stay where they are. Faults: bad_header (at: offset of the entry), no_space (at: files).
    constexpr lobos::result<void> list(lobos::phys_addr at, file_table& files) const
    {
        using namespace lobos;
        for (std::size_t entry = 0;;) {
            const auto bad = refuse(fault_code::bad_header, stage::loading, entry);
            const std::string_view head = part(entry, header_size);
            if (head.size() != header_size || !head.starts_with(magic))
                return bad;
            const std::size_t mode = field(head, 1), size = field(head, 6), name_size = field(head, 11);
            const std::string_view name = part(entry + header_size, name_size);
            const std::size_t content = padded(entry + header_size + name_size);
            if (name_size == 0 || name.size() != name_size || name.back() != '\0' || content > text_.size() ||
                size > text_.size() - content)
                return bad;
            const std::string_view path{name.data(), name_size - 1};
            if (path == "TRAILER!!!")
                return {};
            if ((mode & type_mask) == regular_file && size != 0 &&
                !files.push_back({path, at + byte_count::of(content), byte_count::of(size)}))
                return refuse(fault_code::no_space, stage::loading, files.size() + 1);
            entry = padded(content + size);
        }
    }

private:
    static constexpr std::string_view magic = "070701";
    static constexpr std::size_t header_size = 6 + 13 * 8;
    static constexpr std::size_t type_mask = 0170000, regular_file = 0100000;

    static constexpr std::size_t padded(std::size_t n) { return (n + 3) & ~std::size_t{3}; }

    constexpr std::string_view part(std::size_t first, std::size_t size) const
    {
        return first > text_.size() ? std::string_view{}
                                    : std::string_view{text_.data() + first, std::min(size, text_.size() - first)};
    }

    /// Number `n` of a header; what is no digit counts as 0.
    static constexpr std::size_t field(std::string_view head, std::size_t n)
    {
        std::size_t value = 0;
        for (const char c : part_of_head(head, n)) {
            const int digit = c >= '0' && c <= '9' ? c - '0'
                : c >= 'A' && c <= 'F'             ? c - 'A' + 10
                : c >= 'a' && c <= 'f'             ? c - 'a' + 10
                                                   : 0;
            value = value << 4 | static_cast<std::size_t>(digit);
        }
        return value;
    }
    static constexpr std::string_view part_of_head(std::string_view head, std::size_t n)
    {
        return {head.data() + magic.size() + 8 * n, 8};
    }

    std::string_view text_;
};

} // namespace kernel
