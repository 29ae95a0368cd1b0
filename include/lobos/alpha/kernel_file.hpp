// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// An ELF file for an Alpha. Kernels are linked for kseg, and their files give their addresses there where the format
/// wants physical ones; so does Linux's vmlinux. An address in kseg is taken for the memory that it is, as consoles and
/// QEMU do it; any other for what it says.

#include <lobos/alpha/port.hpp>
#include <lobos/image/elf.hpp>

namespace lobos::alpha {

/// The memory that a file means by `at`, all of whose bytes lie in one of both; or nothing if it can be none.
constexpr std::optional<phys_range> meant_memory(phys_range at)
{
    const auto as_virtual = virt_range::between(virt_addr::at(at.first().raw()), virt_addr::at(at.last().raw()));
    if (!kseg.overlaps(as_virtual))
        return at;
    const auto first = from_kseg(as_virtual.first()), last = from_kseg(as_virtual.last());
    if (!first || !last)
        return std::nullopt;
    return phys_range::between(*first, *last);
}

/// `load_elf64`, with all physical addresses as they are meant. Faults: those of `load_elf`, and bad_range (at: an
/// address that lies in kseg, but is no memory).
template <image_source S> result<elf_image> load_kernel_file(const S& file)
{
    auto image = load_elf64(file, elf_machine);
    if (!image)
        return image;
    for (std::size_t i = 0; i < image->segments.size(); ++i) {
        segment& s = image->segments[i];
        const auto meant = meant_memory(s.destination);
        if (!meant)
            return refuse(fault_code::bad_range, stage::loading, s.destination.first());
        s.destination = *meant;
    }
    for (std::size_t i = 0; i < image->mappings.size(); ++i) {
        virtual_segment& v = image->mappings[i];
        const auto meant = meant_memory(v.physical_range());
        if (!meant)
            return refuse(fault_code::bad_range, stage::loading, v.physical);
        v.physical = meant->first();
        // By its addresses in the file one part may be in kseg, and another in the same memory.
        for (std::size_t other = 0; other < i; ++other)
            if (const auto common = intersection(image->mappings[other].physical_range(), *meant))
                return refuse(fault_code::destinations_overlap, stage::loading, common->first());
    }
    return image;
}

// Sanity checks
static_assert(meant_memory(phys_range::of(phys_addr::at(0xffff'fc00'0101'0000), 1_bytes))->first() == 0x101'0000_pa);
static_assert(meant_memory(phys_range::of(0x101'0000_pa, 1_bytes))->first() == 0x101'0000_pa);
static_assert(!meant_memory(phys_range::of(phys_addr::at(0xffff'fd01'fc00'03f8), 1_bytes)));

} // namespace lobos::alpha
