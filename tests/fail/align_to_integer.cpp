// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: could not convert|no viable conversion|no matching function
#include <lobos/core/address.hpp>

using namespace lobos;

phys_addr page(phys_addr a)
{
#ifdef OFFENCE
    return align_down(a, 4096);
#else
    return align_down(a, 4_KiB);
#endif
}
