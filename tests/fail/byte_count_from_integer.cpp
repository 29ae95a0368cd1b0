// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: could not convert|no viable conversion|cannot convert|no match for .operator=|no viable overloaded|conversion from .* to non-scalar type|no suitable
#include <lobos/core/address.hpp>

using namespace lobos;

byte_count page()
{
#ifdef OFFENCE
    return 4096;
#else
    return byte_count::of(4096);
#endif
}
