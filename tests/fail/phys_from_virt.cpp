// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: could not convert|no viable conversion|cannot convert|no match for .operator=|no viable overloaded|conversion from .* to non-scalar type|no suitable
#include <lobos/core/address.hpp>

using namespace lobos;

void assign(phys_addr& p, virt_addr v)
{
#ifdef OFFENCE
    p = v;
#else
    p = phys_addr::at(v.raw());
#endif
}
