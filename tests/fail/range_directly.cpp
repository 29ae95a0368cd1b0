// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: is private within this context|calling a private constructor
#include <lobos/core/range.hpp>

using namespace lobos;

phys_range low()
{
#ifdef OFFENCE
    return phys_range{0_pa, 1_pa};
#else
    return phys_range::between(0_pa, 1_pa);
#endif
}
