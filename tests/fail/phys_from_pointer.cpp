// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: could not convert|no viable conversion|cannot convert|no match for .operator=|no viable overloaded|conversion from .* to non-scalar type|no suitable|cannot initialize|no matching|calling a private|invalid conversion
#include <lobos/core/address.hpp>

using namespace lobos;

phys_addr of(void* p)
{
#ifdef OFFENCE
    return phys_addr::at(p);
#else
    return phys_addr::at(reinterpret_cast<std::uintptr_t>(p));
#endif
}
