// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/alpha/palcode.hpp>

#include <tests/catch.hpp>

using namespace lobos::alpha;

namespace {

/// As an assembler writes it: opcode 0, and the function.
constexpr std::uint32_t call_pal(pal function)
{
    return static_cast<std::uint32_t>(function);
}

} // namespace

TEST_CASE("calls have the manual's numbers, privileged ones below 0x40", "[alpha][palcode]")
{
    constexpr pal privileged[] = {
        pal::halt, pal::wrvptptr, pal::swpctx, pal::tbi, pal::wrent, pal::swpipl, pal::rdps, pal::wrkgp, pal::whami};
    constexpr std::uint32_t manual[] = {0x00, 0x2d, 0x30, 0x33, 0x34, 0x35, 0x36, 0x37, 0x3c};
    for (std::size_t i = 0; i < std::size(manual); ++i)
        CHECK(call_pal(privileged[i]) == manual[i]);
    CHECK(call_pal(pal::imb) == 0x86);
    CHECK(static_cast<std::int64_t>(tbi_all) == -2);
    CHECK(static_cast<std::uint64_t>(system_entry::interrupt) == 0);
    CHECK(static_cast<std::uint64_t>(system_entry::system_call) == 5);
}
