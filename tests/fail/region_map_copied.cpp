// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: use of deleted function|call to deleted constructor
#include <lobos/core/region_map.hpp>

using namespace lobos;

void share(const region_map& map)
{
#ifdef OFFENCE
    region_map other = map;
    static_cast<void>(other.regions());
#else
    static_cast<void>(map.regions());
#endif
}
