// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: no match for .operator\*|invalid operands to binary expression
#include <lobos/core/address.hpp>

using namespace lobos;

phys_addr twice(phys_addr a)
{
#ifdef OFFENCE
    return a * 2;
#else
    return phys_addr::at(a.raw() * 2);
#endif
}
