// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The exceptions of the machine that this is compiled for, for guard_record().

#include <lobos/alpha/exceptions.hpp>
#include <lobos/survive/guard_record.hpp>

namespace lobos::machine {

using exceptions = alpha::exceptions;

// Sanity checks
static_assert(exception_names<exceptions>);
static_assert(guard_record<exceptions>({2, 0, 17, 0, 0, 3, 2, 0x1234, 0x5678}).view() ==
    "ended by exception 2 (memory management fault), error 0x2, at 0x00001234, address 0x00005678, stage copying, "
    "step 17");

} // namespace lobos::machine
