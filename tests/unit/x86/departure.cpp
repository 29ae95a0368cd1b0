// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/departure.hpp>

#include <cstring>
#include <type_traits>

#include <tests/catch.hpp>

using namespace lobos;
using namespace lobos::x86;

TEST_CASE("the frame is laid out as the assembly reads it", "[x86][departure]")
{
    // arch/x86/lobos/machine/frame_offsets.hpp, by hand.
    STATIC_REQUIRE(departure_frame::middle == 128);
    STATIC_REQUIRE(offsetof(departure_frame, self) == 0);
    STATIC_REQUIRE(offsetof(departure_frame, table_root) == 8);
    STATIC_REQUIRE(offsetof(departure_frame, cr4) == 16);
    STATIC_REQUIRE(offsetof(departure_frame, stack_alias) == 24);
    STATIC_REQUIRE(offsetof(departure_frame, stack_top) == 32);
    STATIC_REQUIRE(offsetof(departure_frame, arrive) == 40);
    STATIC_REQUIRE(offsetof(departure_frame, gdt) == 48);
    STATIC_REQUIRE(offsetof(departure_frame, idt) == 64);
    STATIC_REQUIRE(offsetof(departure_frame, after_arrive) == 80);
    STATIC_REQUIRE(offsetof(departure_frame, after_copy) == 88);
    STATIC_REQUIRE(offsetof(departure_frame, program_at) == 96);
    STATIC_REQUIRE(offsetof(departure_frame, code_selector) == 104);
    STATIC_REQUIRE(offsetof(departure_frame, data_selector) == 112);
    STATIC_REQUIRE(offsetof(departure_frame, hub) == 120);
    STATIC_REQUIRE(offsetof(departure_frame, after_hub) == 128);
    STATIC_REQUIRE(offsetof(departure_frame, hub_gdt) == 136);
    STATIC_REQUIRE(offsetof(departure_frame, hub_idt) == 152);
    STATIC_REQUIRE(offsetof(departure_frame, efer_kept) == 168);
    STATIC_REQUIRE(offsetof(departure_frame, efer_set) == 176);
    STATIC_REQUIRE(offsetof(departure_frame, up_cr4) == 184);
    STATIC_REQUIRE(offsetof(departure_frame, up_cr3) == 192);
    STATIC_REQUIRE(offsetof(departure_frame, up_cr0) == 200);
    STATIC_REQUIRE(offsetof(departure_frame, after_up) == 208);
    STATIC_REQUIRE(offsetof(departure_frame, entry) == 216);
    STATIC_REQUIRE(offsetof(departure_frame, entry_code_selector) == 224);
    STATIC_REQUIRE(offsetof(departure_frame, entry_data_selector) == 232);
    STATIC_REQUIRE(offsetof(departure_frame, ax) == 240);
    STATIC_REQUIRE(offsetof(departure_frame, bx) == 248);
    STATIC_REQUIRE(offsetof(departure_frame, si) == 256);
    STATIC_REQUIRE(offsetof(departure_frame, hub_code_selector) == 264);
    STATIC_REQUIRE(offsetof(departure_frame, entry_gdt) == 272);
    STATIC_REQUIRE(offsetof(departure_frame, entry_idt) == 288);
    STATIC_REQUIRE(offsetof(departure_frame, trail) == 304);
    STATIC_REQUIRE(offsetof(departure_frame, reset_port) == 312);
    STATIC_REQUIRE(offsetof(departure_frame, reset_value) == 320);
    STATIC_REQUIRE(offsetof(departure_frame, program) == 328);
}

TEST_CASE("the operand of LGDT has its limit first and its base right behind", "[x86][departure]")
{
    // 2 + 4 bytes in 32-bit code, 2 + 8 in 64-bit code [intel/vol3 §2.4.1]; the rest is padding.
    STATIC_REQUIRE(sizeof(pseudo_descriptor) == 16);
    const pseudo_descriptor operand{0x1234, 0x1122'3344'5678'9abc, {}};
    const unsigned char expected[] = {0x34, 0x12, 0xbc, 0x9a, 0x78, 0x56, 0x44, 0x33, 0x22, 0x11, 0, 0, 0, 0, 0, 0};
    CHECK(std::memcmp(&operand, expected, sizeof expected) == 0);
}

TEST_CASE("the frame is the same on every machine and ends before its tables", "[x86][departure]")
{
    STATIC_REQUIRE(sizeof(overlay_program) == 24 + 16 * overlay_program::max_skips + sizeof(breadcrumb));
    STATIC_REQUIRE(sizeof(departure_frame) == 328 + sizeof(overlay_program));
    STATIC_REQUIRE(sizeof(departure_frame) <= 1024);
    STATIC_REQUIRE(std::is_trivially_copyable_v<departure_frame>);
}

TEST_CASE("a page of tables has descriptors at 1 KB and gates at 3 KB", "[x86][departure]")
{
    STATIC_REQUIRE(sizeof(table_page) == 4096);
    STATIC_REQUIRE(offsetof(table_page, descriptors) == 1024);
    STATIC_REQUIRE(sizeof(table_page::descriptors) == 256 * 8);
    STATIC_REQUIRE(offsetof(table_page, gates) == 3072);
    STATIC_REQUIRE(sizeof(table_page::gates) == 32 * 16); // 32 gates of 64-bit mode
    STATIC_REQUIRE(offsetof(table_page, unused) == 3584);
    STATIC_REQUIRE(std::is_trivially_copyable_v<table_page>);
}

TEST_CASE("the head of the code page is what the guard finds by its own address", "[x86][departure]")
{
    // arch/x86/lobos/machine/guard.hpp: four fields of 8 bytes, and the code behind them.
    STATIC_REQUIRE(sizeof(code_page_head) == 32);
    STATIC_REQUIRE(offsetof(code_page_head, self) == 0);
    STATIC_REQUIRE(offsetof(code_page_head, frame) == 8);
    STATIC_REQUIRE(offsetof(code_page_head, table_root) == 16);
    STATIC_REQUIRE(offsetof(code_page_head, cr4) == 24);
}

TEST_CASE("no reset register is port 0", "[x86][departure]")
{
    const reset_register none;
    CHECK(none.port == 0);
    CHECK(none.value == 0);
}
