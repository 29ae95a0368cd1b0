// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// All of the overlay for 32-bit x86, as a kernel gets it by including a header; tests/static/overlay-object looks at
// it.
#include <lobos/machine/overlay.hpp>
#include <lobos/machine/processor.hpp>

lobos::x86::overlay_code overlay_code_of(const lobos::machine::processor& p)
{
    return p.code();
}
