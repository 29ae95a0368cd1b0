// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The paper's way into a kernel: at its virtual address, with paging on. In which mode, only who built the image
/// knows: `paging=` says it, and without that it is this kernel's own.

#include "exec_multiboot.hpp"

#include <lobos/image/elf.hpp>
#include <lobos/x86/paged_entry.hpp>
#include <lobos/x86/paging_mode.hpp>

namespace kernel {

/// An ELF file, or a plain binary if the images are said to be that. Faults: those of load_elf and load_flat_paged.
template <class Class> lobos::result<lobos::paged_image> load_paged(const exec_request& request, std::uint16_t machine)
{
    using namespace lobos;
    if (const auto& flat = request.asked.flat)
        return load_flat_paged(request.image.source(), phys_addr::at(flat->at), virt_addr::at(flat->mapped_at),
            byte_count::of(flat->zeros), byte_count::of(flat->entry));
    return load_elf<Class>(request.image.source(), machine);
}

/// In the mode of `Paging`, or in this kernel's, on its own tables, for `same_paging`.
template <class Paging, class Class> lobos::text_line exec_paged_in(const exec_request& request, std::uint16_t machine)
{
    using namespace lobos;
    const auto image = load_paged<Class>(request, machine);
    if (!image)
        return in_words(image.error());
    const module_list modules = kept_files(request, image->segments);
    const auto contract = x86::paged_entry_in<Paging>::make(*image, modules, request.command_line);
    return contract ? go(request, *contract) : in_words(contract.error());
}

template <class Paging> lobos::text_line exec_32(const exec_request& request)
{
    return exec_paged_in<Paging, lobos::elf32_class>(request, lobos::x86::elf_machine);
}
template <class Paging> lobos::text_line exec_64(const exec_request& request)
{
    return exec_paged_in<Paging, lobos::elf64_class>(request, lobos::x86::elf_machine_64);
}

/// What `paging=` calls the modes.
struct target_mode {
    std::string_view name;
    lobos::text_line (*exec)(const exec_request&);
};
inline constexpr target_mode target_modes[] = {
    {"4m", exec_32<lobos::x86::paging_4m>},
    {"4k", exec_32<lobos::x86::paging_4k>},
    {"pae", exec_32<lobos::x86::paging_pae>},
    {"4level", exec_64<lobos::x86::paging_4level>},
    {"5level", exec_64<lobos::x86::paging_5level>},
};

inline lobos::text_line exec_paged(const exec_request& request)
{
    const options& asked = request.asked;
    if (asked.paging.empty() && !asked.unpaged)
        return glue::port::from_long ? exec_64<lobos::same_paging>(request) : exec_32<lobos::same_paging>(request);
    const std::string_view wanted = asked.paging.empty() ? std::string_view{REFERENCE_MODE} : asked.paging;
    for (const target_mode& mode : target_modes)
        if (mode.name == wanted)
            return mode.exec(request);
    return in_words(wanted, "no such mode of paging");
}

} // namespace kernel
