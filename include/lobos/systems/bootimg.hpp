// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// bootimg: virtual memory goes off before the copy, segments in the style of the i386 stay on, and the kernel is
/// entered in 32-bit code [lobos/2000 §5.1]. The original relocated the GDT four times and had to have its image in
/// contiguous memory first. Here it is relocated twice, once for the copy of the running kernel's and once for the
/// new kernel's, and the steps are physical addresses as they are, so the image may lie as scattered as it likes.

#include <lobos/systems/system.hpp>

namespace lobos::systems {

struct bootimg {
    static constexpr copy_regime copy = copy_regime::unpaged;
    static constexpr bool enters(x86::entry_state state) { return state == x86::entry_state::flat_32; }
    static constexpr account about{
        .name = "bootimg",
        .purest = x86::entry_state::flat_32,
        .paging_throughout = false,
        .segmentation_throughout = true,
        .reaches_bios = false,
        .descriptor_table_loads = 2,
        .table_root_loads = 1,
        .papers_relocations = 4,
        .papers_contiguous = true,
    };
};

static_assert(system<bootimg>);

} // namespace lobos::systems
