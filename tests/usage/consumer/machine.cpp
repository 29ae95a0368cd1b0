// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#ifdef NO_MACHINE
#if __has_include(<lobos/machine/overlay.hpp>)
#error "a machine is on the include path of a target that links none"
#endif
#elif !__has_include(<lobos/machine/overlay.hpp>)
#error "lobos::x86 does not bring its machine"
#endif
