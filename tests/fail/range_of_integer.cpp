// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: could not convert|no viable conversion|no matching function|cannot convert
#include <lobos/core/range.hpp>

using namespace lobos;

phys_range page(phys_addr a)
{
#ifdef OFFENCE
    return phys_range::of(a, 4096);
#else
    return phys_range::of(a, 4_KiB);
#endif
}
