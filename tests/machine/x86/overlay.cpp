// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// The copy loop as this machine's kernels run it, against a byte-exact model.

#include <lobos/machine/overlay.hpp>

#include <tests/catch.hpp>
#include <tests/support/loop_bench.hpp>

using namespace lobos;
using namespace lobos::test;

TEST_CASE("the loop moves every small overlap at every alignment", "[machine]")
{
    check_small_overlaps(machine::lobos_x86_copy);
}

TEST_CASE("the loop moves large overlaps in words and in pieces", "[machine]")
{
    check_large_overlaps(machine::lobos_x86_copy);
}

TEST_CASE("the loop follows the chain of pages and leaves its trail", "[machine]")
{
    check_chain_and_trail(machine::lobos_x86_copy, GENERATE(1u, 2u, 5u, plan_page::capacity));
}
