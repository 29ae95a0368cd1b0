// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The page of an x86, whatever the mode: its tables are of this size, and what a kernel has to give.

#include <lobos/core/address.hpp>

namespace lobos::x86 {

inline constexpr byte_count page_size = byte_count::of(4096);

} // namespace lobos::x86
