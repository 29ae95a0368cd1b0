// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: no matching function|no matching constructor|no default constructor
#include <lobos/core/range.hpp>

using namespace lobos;

phys_range any()
{
#ifdef OFFENCE
    phys_range r;
    return r;
#else
    phys_range r = phys_range::of(0_pa, 1_bytes);
    return r;
#endif
}
