// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: invalid .?cast|cannot cast|is not allowed
#include <lobos/core/address.hpp>

using namespace lobos;

void* pointer(phys_addr p)
{
#ifdef OFFENCE
    return reinterpret_cast<void*>(p);
#else
    return reinterpret_cast<void*>(static_cast<std::uintptr_t>(p.raw()));
#endif
}
