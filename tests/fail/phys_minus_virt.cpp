// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: no match for .operator-|invalid operands to binary expression
#include <lobos/core/address.hpp>

using namespace lobos;

auto offset(phys_addr p, virt_addr v)
{
#ifdef OFFENCE
    return p - v;
#else
    return p.raw() - v.raw();
#endif
}
