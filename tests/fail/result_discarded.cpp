// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: ignoring return(ed)? value|ignoring returned value|declared with attribute .?nodiscard|declared with .nodiscard. attribute
#include <lobos/core/region_map.hpp>

using namespace lobos;

void add(region_map& map)
{
#ifdef OFFENCE
    map.add(phys_range::of(0_pa, 1_bytes), region_kind::usable);
#else
    if (!map.add(phys_range::of(0_pa, 1_bytes), region_kind::usable))
        return;
#endif
}
