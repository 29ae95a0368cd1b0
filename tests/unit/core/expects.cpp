// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/core/expects.hpp>

#include <string>

#include <tests/catch.hpp>
#include <tests/contract.hpp>

namespace {

constexpr int half(int even)
{
    lobos::expects(even % 2 == 0, "half: the number is even");
    return even / 2;
}

} // namespace

TEST_CASE("a contract that holds costs nothing, even at compile time", "[core][expects]")
{
    STATIC_REQUIRE(half(4) == 2);
    CHECK_NOTHROW(half(2));
}

TEST_CASE("a broken contract reaches the embedder's hook with its words", "[core][expects]")
{
    std::string heard;
    try {
        half(3);
    } catch (const contract_error& e) {
        heard = e.what();
    }
    CHECK(heard == "half: the number is even");
}
