// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The ways into a Linux kernel.

#include "exec.hpp"
#include "rsdp.hpp"

#include <lobos/image/bzimage.hpp>
#include <lobos/x86/linux32_entry.hpp>

namespace kernel {

/// Enters as `Contract` says what `load` makes of the image and, if there is one, the initrd.
template <class Contract, class Load> lobos::text_line exec_linux(const exec_request& request, const Load& load)
{
    const auto enter = [&](const lobos::result<lobos::linux_image>& image) {
        return image ? go(request, Contract{*image, {.acpi_rsdp = find_rsdp()}}) : in_words(image.error());
    };
    const std::string_view name = request.asked.initrd;
    if (name.empty())
        return enter(load(request.image.source()));
    const auto initrd = find_file(request.host.files, name);
    if (!initrd)
        return in_words(name, initrd.error());
    const auto initrd_in = read(*initrd, request.asked);
    if (!initrd_in)
        return in_words(initrd_in.error());
    return enter(load(request.image.source(), initrd_in->source()));
}

/// A bzImage by its 32-bit entry.
inline lobos::text_line exec_linux32(const exec_request& request)
{
    return exec_linux<lobos::x86::linux32_entry>(request, [&](const auto&... files) {
        return load_bzimage(files..., {.command_line = request.asked.target}, request.host.map);
    });
}

} // namespace kernel
