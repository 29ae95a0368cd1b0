// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The way into a Linux for Alpha, or into this kernel itself, which is loaded like one.

#include "../exec.hpp"

#include <lobos/alpha/linux_entry.hpp>

namespace kernel {

/// `initrd` is the name of the file that the next kernel finds as its initrd; empty for none.
inline lobos::text_line exec_linux(const exec_request& request, std::string_view initrd)
{
    using namespace lobos;
    const alpha::linux_request wanted{.command_line = request.command_line};
    const auto enter = [&](const result<alpha::linux_image>& image) {
        if (!image)
            return in_words(image.error());
        const auto contract = alpha::linux_entry::make(memory, *image, request.host.block->address());
        return contract ? go(request, *contract) : in_words(contract.error());
    };
    const image_bytes kernel = request.image.source();
    if (initrd.empty())
        return enter(alpha::load_linux(kernel, wanted));
    return with_file(request, initrd, [&](const file_in_memory& file) {
        return enter(alpha::load_linux(kernel, file.source(), wanted, request.host.map));
    });
}

} // namespace kernel
