// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: no match for .operator==|invalid operands to binary expression
#include <lobos/core/address.hpp>

using namespace lobos;

bool null(phys_addr p)
{
#ifdef OFFENCE
    return p == 0;
#else
    return p == 0_pa;
#endif
}
