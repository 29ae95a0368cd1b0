// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// EXPECT: call to non-.constexpr. function|must be initialized by a constant expression
#include <lobos/core/address.hpp>

using namespace lobos;

#ifdef OFFENCE
constexpr byte_count size = 17'179'869'184_GiB;
#else
constexpr byte_count size = 17'179'869'183_GiB;
#endif
static_assert(size > 0_bytes);
