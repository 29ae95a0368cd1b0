// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: could not convert|no viable conversion|cannot convert|no match for .operator=|no viable overloaded|conversion from .* to non-scalar type|no suitable
#include <lobos/core/address.hpp>

using namespace lobos;

phys_addr kernel()
{
#ifdef OFFENCE
    return 0x100000;
#else
    return phys_addr::at(0x100000);
#endif
}
