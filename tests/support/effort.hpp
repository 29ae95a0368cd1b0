// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// How much work a test is to do: `scripts/test --full` wants more.

#include <cstdlib>

namespace lobos::test {

template <class T> T effort(T usual, T full)
{
    return std::getenv("LOBOS_FULL") ? full : usual;
}

} // namespace lobos::test
