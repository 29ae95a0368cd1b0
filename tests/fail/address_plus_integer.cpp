// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: no match for .operator\+|invalid operands to binary expression
#include <lobos/core/address.hpp>

using namespace lobos;

phys_addr after(phys_addr a)
{
#ifdef OFFENCE
    return a + 16;
#else
    return a + byte_count::of(16);
#endif
}
