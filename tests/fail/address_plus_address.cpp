// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: no match for .operator\+|invalid operands to binary expression
#include <lobos/core/address.hpp>

using namespace lobos;

auto sum(phys_addr a, phys_addr b)
{
#ifdef OFFENCE
    return a + b;
#else
    return a + (b - a);
#endif
}
