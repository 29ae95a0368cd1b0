// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The image's file as rule 11 reads it: where it wants to be entered, by the offsets of the formats' manuals
/// [elf/gabi ch. 4, ch. 5] [multiboot/0.6.96 §3.1] [multiboot2/2.0 §3.1] [xen/pvh]. It shares no code with the loaders,
/// and it need not say what is wrong with a file: what the loaders refuse never comes here. Offsets are bytes of the
/// file.

#include <optional>

#include <lobos/image/segment.hpp>

namespace lobos::x86 {

template <physical_memory M> class told_file {
public:
    /// The file that the kernel of `image` is copied from.
    told_file(M& memory, std::span<const segment> image) : file_{memory, extents_of(image)} {}

    /// Whether a multiboot 1 image wants to be entered at `entry`.
    bool is_multiboot_entry(phys_addr entry) const
    {
        for (std::uint64_t at = 0; at + 12 <= 8192; at += 4)
            if (word(at) == 0x1bad'b002 && word(at) + word(at + 4) + word(at + 8) == 0)
                return (word(at + 4) & 0x1'0000) != 0 ? word(at + 28) == entry.raw() : is_elf_entry(entry);
        return false;
    }

    /// Whether a multiboot 2 image wants to be entered at `entry`.
    bool is_multiboot2_entry(phys_addr entry) const
    {
        std::uint64_t at = 0;
        while (word(at) != 0xe852'50d6 || word(at) + word(at + 4) + word(at + 8) + word(at + 12) != 0) {
            at += 8;
            if (at >= 32768)
                return false;
        }
        for (std::uint64_t tag = at + 16; tag < at + word(at + 8) && half(tag) != 0;) {
            if (half(tag) == 3)
                return word(tag + 8) == entry.raw();
            const std::uint64_t size = word(tag + 4);
            if (size < 8)
                return false;
            tag += (size + 7) / 8 * 8;
        }
        return is_elf_entry(entry);
    }

    /// Whether a note of Xen's names `entry`.
    bool is_pvh_entry(phys_addr entry) const
    {
        for (unsigned i = 0; i < parts(); ++i) {
            if (word(part(i)) != 4) // PT_NOTE
                continue;
            const std::uint64_t pad = address(part(i) + (wide() ? 48 : 28)) == 8 ? 7 : 3;
            const std::uint64_t first = address(part(i) + (wide() ? 8 : 4));
            const std::uint64_t size = address(part(i) + (wide() ? 32 : 16));
            for (std::uint64_t at = first; at >= first && at - first < size && at < file_.size().raw();) {
                const std::uint64_t value = first + ((at - first + 12 + word(at) + pad) & ~pad);
                if (word(at) == 4 && word(at + 8) == 18 && word(at + 12) == 0x006e'6558) // "Xen"
                    return word(value) == entry.raw() && (word(at + 4) == 4 || word(value + 4) == 0);
                at = first + ((value - first + word(at + 4) + pad) & ~pad);
            }
        }
        return false;
    }

    /// Whether it is ELF and `entry` is its entry as it was linked.
    bool is_linked_entry(virt_addr entry) const { return word(0) == 0x464c'457f && address(24) == entry.raw(); }

    /// Whether it is ELF and `entry` is its entry, as it stands or where a program header has that loaded.
    bool is_elf_entry(phys_addr entry) const
    {
        const std::uint64_t wanted = address(24);
        if (word(0) != 0x464c'457f)
            return false;
        if (wanted == entry.raw())
            return true;
        for (unsigned i = 0; i < parts(); ++i) {
            const std::uint64_t v = address(part(i) + (wide() ? 16 : 8)), p = address(part(i) + (wide() ? 24 : 12));
            const std::uint64_t size = address(part(i) + (wide() ? 32 : 16));
            if (word(part(i)) == 1 && wanted >= v && wanted - v < size && p + (wanted - v) == entry.raw())
                return true;
        }
        return false;
    }

private:
    static std::span<const extent> extents_of(std::span<const segment> image)
    {
        for (const segment& s : image)
            if (s.what == content::copy && s.role == segment_role::kernel)
                return s.file;
        return {};
    }

    /// Numbers past the end of the file are 0. No loop may count on meeting another there.
    template <class T> T number(std::uint64_t at) const
    {
        T value = 0;
        return read_value(file_, at, value) ? value : T{0};
    }
    std::uint16_t half(std::uint64_t at) const { return number<std::uint16_t>(at); }
    std::uint32_t word(std::uint64_t at) const { return number<std::uint32_t>(at); }
    bool wide() const { return number<std::uint8_t>(4) == 2; }
    std::uint64_t address(std::uint64_t at) const { return wide() ? number<std::uint64_t>(at) : word(at); }
    unsigned parts() const { return word(0) == 0x464c'457f ? half(wide() ? 56 : 44) : 0; }
    std::uint64_t part(unsigned i) const { return address(wide() ? 32 : 28) + std::uint64_t{i} * (wide() ? 56 : 32); }

    staged_file<M> file_;
};

} // namespace lobos::x86
