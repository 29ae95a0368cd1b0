// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/departure.hpp>

#include <cstring>

#include <tests/catch.hpp>

using namespace lobos;
using namespace lobos::x86;

TEST_CASE("the frame is laid out as the assembly reads it", "[x86][departure]")
{
    // arch/x86/lobos/machine/overlay.hpp: 0(%eax) table_root, 4(%eax) self, 12(%eax) arrive; and of the rest by ebx.
    STATIC_REQUIRE(offsetof(departure_frame, table_root) == 0);
    STATIC_REQUIRE(offsetof(departure_frame, self) == 4);
    STATIC_REQUIRE(offsetof(departure_frame, stack_top) == 8);
    STATIC_REQUIRE(offsetof(departure_frame, arrive) == 12);
    STATIC_REQUIRE(offsetof(departure_frame, copy) == 16);
    STATIC_REQUIRE(offsetof(departure_frame, leave) == 20);
    STATIC_REQUIRE(offsetof(departure_frame, code_selector) == 24);
    STATIC_REQUIRE(offsetof(departure_frame, data_selector) == 28);
    STATIC_REQUIRE(offsetof(departure_frame, gdt) == 32);
    STATIC_REQUIRE(offsetof(departure_frame, entry) == 40);
    STATIC_REQUIRE(offsetof(departure_frame, eax) == 44);
    STATIC_REQUIRE(offsetof(departure_frame, ebx) == 48);
    STATIC_REQUIRE(offsetof(departure_frame, esi) == 52);
    STATIC_REQUIRE(offsetof(departure_frame, program_at) == 56);
}

TEST_CASE("the operand of LGDT is 6 bytes, limit first", "[x86][departure]")
{
    STATIC_REQUIRE(sizeof(pseudo_descriptor) == 6);
    const pseudo_descriptor operand{0x1234, 0x5678'9abc};
    const unsigned char expected[] = {0x34, 0x12, 0xbc, 0x9a, 0x78, 0x56};
    CHECK(std::memcmp(&operand, expected, sizeof expected) == 0);
}

TEST_CASE("the frame is the same on every machine and fits its page", "[x86][departure]")
{
    STATIC_REQUIRE(sizeof(overlay_program) == 24 + 16 * overlay_program::max_skips);
    STATIC_REQUIRE(offsetof(departure_frame, program) == 64);
    STATIC_REQUIRE(offsetof(departure_frame, descriptors) == 64 + sizeof(overlay_program));
    STATIC_REQUIRE(sizeof(departure_frame) == 64 + sizeof(overlay_program) + 8 * departure_frame::descriptor_capacity);
    STATIC_REQUIRE(sizeof(departure_frame) <= 4096);
    STATIC_REQUIRE(std::is_trivially_copyable_v<departure_frame>);
}
