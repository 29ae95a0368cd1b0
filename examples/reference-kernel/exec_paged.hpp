// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The paper's way into a kernel: at its virtual address, with paging on.

#include "exec.hpp"

#include <lobos/image/elf.hpp>
#include <lobos/x86/paged_entry.hpp>

namespace kernel {

/// An ELF file in this kernel's mode of paging. It finds the same files where they lie, but its own when that is taken
/// from there.
inline lobos::text_line exec_paged(const exec_request& request)
{
    using namespace lobos;
    const auto image = glue::port::from_long ? load_elf64(request.image.source(), x86::elf_machine_64)
                                             : load_elf32(request.image.source(), x86::elf_machine);
    if (!image)
        return in_words(image.error());
    fixed_list<multiboot_module, file_table::capacity()> modules;
    for (const file& f : request.host.files)
        if (!request.asked.in_place || f.at != request.name.at)
            (void)modules.push_back({phys_range::of(f.at, f.size), f.path}); // of the same capacity
    const auto contract = x86::paged_entry::make(*image, modules, request.command_line);
    return contract ? go(request, *contract) : in_words(contract.error());
}

} // namespace kernel
