// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// LOBOS: paging and segmentation stay on, and what must survive lies in safe areas. GDT and page tables are relocated
/// once [lobos/2000 §5.3]. In its purest form the new kernel is entered paged, at its virtual address; kernels that
/// know no such entry get theirs by way of the same copy. It calls no BIOS, so none needs to be there.

#include <lobos/systems/system.hpp>

namespace lobos::systems {

struct lobos {
    static constexpr copy_regime copy = copy_regime::paged;
    static constexpr bool enters(x86::entry_state state) { return state != x86::entry_state::real_16; }
    static constexpr account about{
        .name = "LOBOS",
        .purest = x86::entry_state::as_running,
        .paging_throughout = true,
        .segmentation_throughout = true,
        .reaches_bios = false,
        .descriptor_table_loads = 1,
        .table_root_loads = 1,
        .papers_relocations = 1,
        .papers_contiguous = false,
    };
};

static_assert(system<lobos>);

} // namespace lobos::systems
