// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: could not convert|no viable conversion|cannot convert|no match for .operator=|no viable overloaded|conversion from .* to non-scalar type|no suitable
#include <lobos/core/fault.hpp>

using namespace lobos;

int value(const result<int>& r)
{
#ifdef OFFENCE
    return r;
#else
    return r ? *r : 0;
#endif
}
