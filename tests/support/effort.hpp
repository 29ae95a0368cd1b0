// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// How much work a test is to do. `scripts/test --full` wants more (LOBOS_FULL is set); where every instruction costs
/// ten, under the sanitizers or in an emulator, less will do (LOBOS_LITTLE): what is exhaustive is so natively.

#include <cstdlib>

namespace lobos::test {

template <class T> T effort(T little, T usual, T full)
{
    return std::getenv("LOBOS_FULL") ? full : std::getenv("LOBOS_LITTLE") ? little : usual;
}

/// The step of a loop that else takes every value.
template <class T = unsigned> T stride(T little)
{
    return effort<T>(little, 1, 1);
}

} // namespace lobos::test
