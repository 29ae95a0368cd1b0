// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The modes of paging that the shared tests run over.

#include <tuple>

#include <tests/support/paging_manual_alpha.hpp>
#include <tests/support/paging_manual_x86.hpp>
#include <tests/support/table_world.hpp>

namespace lobos::test {

/// One line for each mode.
using paging_modes = std::tuple< //
    example_paging,              //
    x86::paging_4k,              //
    x86::paging_4m,              //
    x86::paging_pae,             //
    x86::paging_4level,          //
    x86::paging_4level_1g,       //
    x86::paging_5level,          //
    x86::paging_5level_1g,       //
    alpha::paging_8k             //
    >;

} // namespace lobos::test
