// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: is private within this context|calling a private constructor
#include <lobos/core/address.hpp>

using namespace lobos;

phys_addr kernel()
{
#ifdef OFFENCE
    return phys_addr{0x100000};
#else
    return phys_addr::at(0x100000);
#endif
}
