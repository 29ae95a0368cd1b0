// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: ignoring return(ed)? value|nodiscard
#include <lobos/core/region_map.hpp>

using namespace lobos;

void copy(region_map& map, const region_map& other)
{
#ifdef OFFENCE
    map.copy_from(other);
#else
    static_cast<void>(map.copy_from(other).has_value());
#endif
}
