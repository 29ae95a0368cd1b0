// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The oldest way into a Linux kernel: by its own set-up code, in real mode, which asks the BIOS.

#include "exec.hpp"

#include <lobos/machine/legacy_devices.hpp>
#include <lobos/x86/linux16_entry.hpp>

namespace kernel {

inline lobos::text_line exec_linux_real(const exec_request& request)
{
    using namespace lobos;
    const linux_request wanted{.command_line = request.asked.target};
    const image_bytes kernel = request.image.source();
    const auto enter = [&](const result<linux16_image>& image) {
        if (!image)
            return in_words(image.error());
        // This kernel never took an interrupt, so the masks are still the BIOS's own.
        lobos::machine::restore_bios_devices(lobos::machine::read_interrupt_masks());
        return go(request, x86::linux16_entry{kernel, *image});
    };
    if (request.asked.initrd.empty())
        return enter(load_linux16(kernel, wanted, request.host.map));
    return with_initrd(request, [&](const file_in_memory& initrd) {
        return enter(load_linux16(kernel, initrd.source(), wanted, request.host.map));
    });
}

} // namespace kernel
