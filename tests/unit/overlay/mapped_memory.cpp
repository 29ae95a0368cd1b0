// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/overlay/mapped_memory.hpp>

#include <tests/catch.hpp>
#include <tests/support/loop_bench.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

/// A machine that has words and nothing better, mapped one to one.
struct plain_machine : overlay::mapped_memory<> {
    static std::uint64_t clock() { return ++ticks; }
    static inline std::uint64_t ticks = 0;
};
static_assert(overlay::loop_memory<plain_machine> && !overlay::block_memory<plain_machine>);

void plain_loop(std::uintptr_t program)
{
    plain_machine memory{};
    overlay::run<overlay::skips_in_plan>(memory, program);
}

} // namespace

TEST_CASE("plain loads and stores are all that the loop needs", "[overlay]")
{
    check_small_overlaps(plain_loop);
    check_large_overlaps(plain_loop);
    check_chain_and_trail(plain_loop, GENERATE(1u, 2u, 5u, plan_page::capacity));
}

TEST_CASE("memory that is mapped elsewhere is found there, in every size", "[overlay]")
{
    constexpr std::uintptr_t base = 0x10000;
    using elsewhere = overlay::mapped_memory<base>;
    alignas(8) std::uint8_t bytes[24];
    for (std::uint8_t i = 0; i < sizeof bytes; ++i)
        bytes[i] = i;
    const std::uintptr_t at = reinterpret_cast<std::uintptr_t>(bytes) - base;
    CHECK(elsewhere::load_byte(at + 5) == 5);
    CHECK(elsewhere::load_u64(at + 8) == 0x0f0e'0d0c'0b0a'0908);
    CHECK(elsewhere::load_word(at) == static_cast<std::uintptr_t>(0x0706'0504'0302'0100));
    elsewhere::store_byte(at + 1, 0xa1);
    elsewhere::store_u32(at + 4, 0xb4b3'b2b1);
    elsewhere::store_u64(at + 8, 0xc8c7'c6c5'c4c3'c2c1);
    elsewhere::store_word(at + 16, static_cast<std::uintptr_t>(0xd8d7'd6d5'd4d3'd2d1));
    CHECK(bytes[0] == 0);
    CHECK(elsewhere::load_u64(at) == 0xb4b3'b2b1'0302'a100);
    CHECK(elsewhere::load_u64(at + 8) == 0xc8c7'c6c5'c4c3'c2c1);
    CHECK(elsewhere::load_word(at + 16) == static_cast<std::uintptr_t>(0xd8d7'd6d5'd4d3'd2d1));
    CHECK(bytes[16 + sizeof(std::uintptr_t) - 1] == (sizeof(std::uintptr_t) == 8 ? 0xd8 : 0xd4));
}
