// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: could not convert|no viable conversion|cannot convert|no match for .operator=|no viable overloaded|conversion from .* to non-scalar type|no suitable|is not contextually convertible
#include <lobos/core/address.hpp>

using namespace lobos;

int set(phys_addr p)
{
#ifdef OFFENCE
    return p ? 1 : 0;
#else
    return p != 0_pa ? 1 : 0;
#endif
}
