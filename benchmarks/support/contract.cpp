// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// A broken contract ends the benchmark.
#include <cstdio>
#include <cstdlib>

#include <lobos/core/expects.hpp>

void lobos::contract_violated(const char* contract)
{
    std::fprintf(stderr, "broken contract: %s\n", contract);
    std::abort();
}
