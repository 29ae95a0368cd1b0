// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: could not convert|no viable conversion|no matching function|cannot convert
#include <lobos/core/range.hpp>

using namespace lobos;

phys_range mixed(phys_addr a, virt_addr b)
{
#ifdef OFFENCE
    return phys_range::between(a, b);
#else
    return phys_range::between(a, phys_addr::at(b.raw()));
#endif
}
