// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// The main of every test executable, and the embedder's hook as tests want it.

#if __has_include(<catch2/catch_session.hpp>)
#include <catch2/catch_session.hpp>
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#endif

#include <lobos/core/expects.hpp>

#include <tests/contract.hpp>

void lobos::contract_violated(const char* what)
{
    throw contract_error{what};
}

int main(int argc, char** argv)
{
    return Catch::Session().run(argc, argv);
}
