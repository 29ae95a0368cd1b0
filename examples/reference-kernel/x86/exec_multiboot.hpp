// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The ways into kernels that a multiboot or a Xen loader starts: flat 32-bit code, paging off. Such a kernel finds the
/// same files as this one, where they lie; all but those that its own image, or this exec, puts something else over.

#include "../exec.hpp"
#include "rsdp.hpp"

#include <lobos/image/multiboot.hpp>
#include <lobos/image/multiboot2.hpp>
#include <lobos/x86/multiboot2_entry.hpp>
#include <lobos/x86/multiboot_entry.hpp>
#include <lobos/x86/pvh_entry.hpp>

namespace kernel {

using module_list = lobos::fixed_list<lobos::multiboot_module, file_table::capacity()>;

/// The files that can be left where they are for an image of these segments.
inline module_list kept_files(const exec_request& request, std::span<const lobos::segment> image)
{
    using namespace lobos;
    module_list modules;
    for (const file& f : request.host.files) {
        const auto range = phys_range::of(f.at, f.size);
        bool free = !request.asked.in_place || f.at != request.name.at;
        for (const segment& s : image)
            free = free && !s.destination.overlaps(range);
        if (free)
            (void)modules.push_back({range, f.path}); // of the same capacity
    }
    return modules;
}

/// Enters as `make` says from the image and its modules.
template <class Make>
lobos::text_line exec_with_modules(
    const exec_request& request, const lobos::result<lobos::flat_image>& image, const Make& make)
{
    if (!image)
        return in_words(image.error());
    const module_list modules = kept_files(request, image->segments);
    const auto contract = make(*image, std::span{modules});
    return contract ? go(request, *contract) : in_words(contract.error());
}

inline lobos::text_line exec_multiboot(const exec_request& request)
{
    return exec_with_modules(
        request, load_multiboot(request.image.source()), [&](const auto& image, const auto& modules) {
            return lobos::x86::multiboot_entry::make(image, modules, request.command_line);
        });
}

/// With EFI's tables, and a copy of ACPI's root pointer, which is longer from version 2 on if it is sound.
inline lobos::text_line exec_multiboot2(const exec_request& request)
{
    std::array<std::byte, whole_rsdp> root{};
    std::size_t size = 0;
    if (const auto at = find_rsdp()) {
        memory.read(*at, root);
        // The second part has a sum of its own, and is told only if that is right.
        const bool whole = std::to_integer<int>(root[15]) >= 2 &&
            lobos::load<std::uint32_t>(memory, *at + lobos::byte_count::of(20)) == whole_rsdp && sums_to_zero(root);
        size = whole ? root.size() : first_part_of_rsdp;
    }
    return exec_with_modules(
        request, load_multiboot2(request.image.source()), [&](const auto& image, const auto& modules) {
            return lobos::x86::multiboot2_entry::make(image, modules, request.command_line,
                {.rsdp = std::span{root}.first(size), .efi = request.host.efi.firmware});
        });
}

/// Xen's, which Linux has too. The initrd is the only module, and goes where there is room for it; the command line is
/// the target's alone.
inline lobos::text_line exec_pvh(const exec_request& request)
{
    using namespace lobos;
    auto image = load_pvh(request.image.source());
    if (!image)
        return in_words(image.error());
    const auto enter = [&](std::span<const multiboot_module> modules) {
        const auto contract = x86::pvh_entry::make(*image, modules, request.asked.target, find_rsdp());
        return contract ? go(request, *contract) : in_words(contract.error());
    };
    if (request.asked.initrd.empty())
        return enter({});
    return with_initrd(request, [&](const file_in_memory& initrd) {
        const auto place = add_module(*image, initrd.source(), request.host.map);
        if (!place)
            return in_words(place.error());
        const multiboot_module module{*place, request.asked.initrd};
        return enter({&module, 1});
    });
}

} // namespace kernel
