// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Two Kernel Monte: virtual memory and segmentation both go off, and the new kernel begins in real mode, with the BIOS
/// at its service, by which its own set-up code resets the video card [lobos/2000 §5.2]. Its map from virtual to
/// physical pages is the plan here. Like the original, it can also enter a kernel in 32-bit code instead; then it is
/// bootimg.

#include <lobos/systems/system.hpp>

namespace lobos::systems {

struct two_kernel_monte {
    static constexpr copy_regime copy = copy_regime::unpaged;
    static constexpr bool enters(x86::entry_state state)
    {
        return state == x86::entry_state::real_16 || state == x86::entry_state::flat_32;
    }
    static constexpr account about{
        .name = "Two Kernel Monte",
        .purest = x86::entry_state::real_16,
        .paging_throughout = false,
        .segmentation_throughout = false,
        .reaches_bios = true,
        .descriptor_table_loads = 2,
        .table_root_loads = 1,
        .papers_relocations = 1,
        .papers_contiguous = false,
    };
};

static_assert(system<two_kernel_monte>);

} // namespace lobos::systems
