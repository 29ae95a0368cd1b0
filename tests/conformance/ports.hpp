// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The ports that the conformance suite runs over, one line each.

#include <tuple>

#include <lobos/x86/paging_4k.hpp>
#include <lobos/x86/paging_4level.hpp>
#include <lobos/x86/paging_4m.hpp>
#include <lobos/x86/paging_5level.hpp>
#include <lobos/x86/paging_pae.hpp>

#include <tests/conformance/alpha.hpp>
#include <tests/conformance/x86.hpp>

namespace lobos::conformance {

using ports = std::tuple<         //
    alpha_port<false>,            //
    alpha_port<true>,             //
    x86_port<x86::paging_4k>,     //
    x86_port<x86::paging_4m>,     //
    x86_port<x86::paging_pae>,    //
    x86_port<x86::paging_4level>, //
    x86_port<x86::paging_5level>  //
    >;

} // namespace lobos::conformance
