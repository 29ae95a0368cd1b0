// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: could not convert|no viable conversion|cannot convert|no match for .operator=|no viable overloaded|conversion from .* to non-scalar type|no suitable|invalid conversion|cannot initialize
#include <lobos/core/fault.hpp>

using namespace lobos;

fault_code first()
{
#ifdef OFFENCE
    return 0;
#else
    return fault_code::no_memory;
#endif
}
