// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: no match for .operator\+\+|cannot increment value of type
#include <lobos/core/address.hpp>

using namespace lobos;

void next(phys_addr& a)
{
#ifdef OFFENCE
    ++a;
#else
    a += 1_bytes;
#endif
}
