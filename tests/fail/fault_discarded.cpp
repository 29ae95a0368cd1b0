// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: ignoring return(ed)? value|nodiscard
#include <lobos/core/fault.hpp>

using namespace lobos;

fault last_fault();
void forget()
{
#ifdef OFFENCE
    last_fault();
#else
    static_cast<void>(last_fault());
#endif
}
