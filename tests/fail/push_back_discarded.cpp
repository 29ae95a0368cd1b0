// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: ignoring return(ed)? value|nodiscard
#include <lobos/core/fixed_list.hpp>

using namespace lobos;

void add(fixed_list<int, 1>& list)
{
#ifdef OFFENCE
    list.push_back(1);
#else
    if (!list.push_back(1))
        return;
#endif
}
