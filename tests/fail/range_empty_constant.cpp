// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: non-constant condition|call to non-.constexpr. function|must be initialized by a constant expression
#include <lobos/core/range.hpp>

using namespace lobos;

#ifdef OFFENCE
constexpr phys_range nothing = phys_range::of(0x1000_pa, 0_bytes);
#else
constexpr phys_range nothing = phys_range::of(0x1000_pa, 1_bytes);
#endif
static_assert(nothing.first() == 0x1000_pa);
