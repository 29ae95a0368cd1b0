// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: could not convert|no viable conversion|cannot convert|no matching function
#include <lobos/core/range.hpp>

using namespace lobos;

bool meet(phys_range p, virt_range v)
{
#ifdef OFFENCE
    return p.overlaps(v);
#else
    return p.overlaps(p) && v.overlaps(v);
#endif
}
