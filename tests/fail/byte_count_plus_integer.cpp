// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: no match for .operator\+|invalid operands to binary expression
#include <lobos/core/address.hpp>

using namespace lobos;

byte_count more(byte_count n)
{
#ifdef OFFENCE
    return n + 4096;
#else
    return n + 4096_bytes;
#endif
}
