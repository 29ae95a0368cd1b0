// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/frame_writer.hpp>

#include <tests/contract.hpp>
#include <tests/support/departing.hpp>

using namespace lobos;
using namespace lobos::test;
using namespace lobos::x86;

namespace {

using enum piece;

constexpr std::uint64_t flat_code = 0x00cf'9b00'0000'ffff;
constexpr std::uint64_t flat_data = 0x00cf'9300'0000'ffff;
constexpr std::uint64_t long_code = 0x00af'9b00'0000'ffff;
constexpr std::uint64_t frame = 0x1'2000, first_page = 0x1'3000, second_page = 0x1'4000;

struct field {
    std::size_t offset;
    unsigned width;
    std::uint64_t value;
};

/// Fills the machinery, over pages that hold something else.
template <class D> void write_over_ones(D& d)
{
    const bytes ones(0x1000, std::byte{0xff});
    for (const std::uint64_t page : {0x1'0000u, 0x1'2000u, 0x1'3000u, 0x1'4000u})
        d.memory.write(phys_addr::at(page), ones);
    REQUIRE(fault_of(d.write()) == no_fault);
}

/// The frame up to its tables: what is told here and the program's words, and zeros everywhere else.
template <class D> void check_frame(D& d, std::vector<field> expected)
{
    const std::vector<field> always{{0, 8, frame + 128}, {8, 8, 0x2'1000}, {32, 8, 0x1'2000}, {96, 8, 0x1'2148},
        {240, 8, 0x2bad'b002}, {248, 8, 0x1111'2222}, {256, 8, 0x3333'4444}, {304, 8, ~std::uint64_t{0}},
        {312, 8, 0xcf9}, {320, 8, 6}, {328, 8, 0x1'5000}, {336, 8, ~std::uint64_t{0}}, {344, 8, 1}, {352, 8, 0x1'6000},
        {360, 8, 0x1'6fff}};
    expected.insert(expected.end(), always.begin(), always.end());
    bytes wanted(1024);
    for (const field& f : expected)
        patch(wanted, f.offset, f.width, f.value);
    for (std::size_t at = 0; at < 1024; at += 2) {
        CAPTURE(at);
        CHECK(d.at(frame + at, 2) == peek(wanted, at, 2));
    }
}

template <class D> void check_descriptors(D& d, std::uint64_t page, const std::vector<std::uint64_t>& expected)
{
    for (std::size_t i = 0; i < 256; ++i) {
        CAPTURE(page, i);
        CHECK(d.at(page + 1024 + 8 * i) == (i < expected.size() ? expected[i] : 0));
    }
}

/// Gates as the processor reads them: 32 present interrupt gates of ring 0, the NMI's behind the stubs of 5 bytes.
template <class D> void check_gates(D& d, std::uint64_t page, bool is_64, std::uint64_t selector, std::uint64_t guard)
{
    for (std::uint64_t v = 0; v < 32; ++v) {
        const std::uint64_t gate = page + 3072 + v * (is_64 ? 16 : 8);
        const std::uint64_t high = is_64 ? d.at(gate + 8, 4) : 0;
        CAPTURE(page, v);
        CHECK((d.at(gate, 2) | d.at(gate + 6, 2) << 16 | high << 32) == guard + (v == 2 ? 160 : 5 * v));
        CHECK(d.at(gate + 2, 2) == selector);
        CHECK(d.at(gate + 4, 1) == 0); // no stack of its own
        CHECK(d.at(gate + 5, 1) == 0x8e);
        if (is_64)
            CHECK(d.at(gate + 12, 4) == 0);
    }
    for (std::uint64_t rest = is_64 ? 3584 : 3072 + 256; rest < 4096; rest += 8)
        CHECK(d.at(page + rest) == 0);
}

/// The code page: its head, every piece of the way at its place, and the size.
template <class D> void check_code(D& d, const std::map<piece, std::uint64_t>& places, std::uint64_t cr4)
{
    CHECK(d.at(0x1'0000) == 0x1'0000);
    CHECK(d.at(0x1'0008) == frame + 128);
    CHECK(d.at(0x1'0010) == 0x2'1000);
    CHECK(d.at(0x1'0018) == cr4);
    std::uint64_t end = 0x1'0020;
    for (const auto& [p, at] : places) {
        const auto i = static_cast<std::uint64_t>(p);
        const std::uint64_t size = i >= 11 ? 0xb0 : 0x20 + i;
        CAPTURE(i);
        CHECK(at == end);
        CHECK(d.at(at, 1) == 0x10 + i);
        CHECK(d.at(at + size - 1, 1) == 0x10 + i);
        end = at + size;
    }
    CHECK(d.plan.code_size.raw() == end - 0x1'0000);
    CHECK(d.at(end, 1) == 0xff);
}

const std::vector<std::uint64_t> clone_32{0, 0x00cf'fb00'0000'ffff, flat_code, flat_data, 0x0000'8900'1000'0067,
    0x1122'3344'5566'7788, flat_code, flat_data, long_code};
const std::vector<std::uint64_t> clone_64{0, 0x00cf'fb00'0000'ffff, long_code, flat_data, 0x0000'8900'1000'0067,
    0x1122'3344'5566'7788, flat_code, flat_data, long_code};
const std::vector<std::uint64_t> hub_table{
    0, 0, flat_code, flat_data, 0x0000'9b00'0000'ffff, 0x0000'9300'0000'ffff, flat_code, flat_data, long_code};
const std::vector<std::uint64_t> long_table{0, 0, long_code, flat_data, 0, 0, flat_code, flat_data, long_code};

constexpr std::uint64_t high = 0xffff'8000'0000'0000;

/// Fields of the copy on 32-bit tables and on 64-bit ones.
const std::vector<field> copy_32_fields{
    {16, 8, 0x10}, {24, 8, 0xc075'1000}, {48, 2, 0x47}, {50, 8, 0xc073'0400}, {64, 2, 0x1ff}, {66, 8, 0xc073'0c00}};
const std::vector<field> copy_64_fields{{16, 8, 0x20}, {24, 8, high + 0xc075'1000}, {48, 2, 0x47},
    {50, 8, high + 0xc073'0400}, {64, 2, 0x1ff}, {66, 8, high + 0xc073'0c00}};
const std::vector<field> hub_fields{
    {264, 8, 0x30}, {136, 2, 0x47}, {138, 8, 0x1'3400}, {152, 2, 0x1ff}, {154, 8, 0x1'3c00}};

std::vector<field> joined(std::initializer_list<std::vector<field>> parts)
{
    std::vector<field> all;
    for (const auto& part : parts)
        all.insert(all.end(), part.begin(), part.end());
    return all;
}

} // namespace

TEST_CASE("a 32-bit kernel to an image as it runs: no hub and the running selectors", "[x86][frame_writer]")
{
    departing<paging_4m> d{entry_state::as_running};
    write_over_ones(d);
    const auto at = places_of({depart, arrive, copy, leave_flat, guard_32});
    check_code(d, at, 0x10);
    check_frame(d,
        joined({copy_32_fields,
            {{40, 8, at.at(arrive)}, {80, 8, at.at(copy)}, {88, 8, at.at(leave_flat)}, {104, 8, 0x10}, {112, 8, 0x18},
                {216, 8, 0x10'0020}, {224, 8, 0x10}, {232, 8, 0x18}}}));
    check_descriptors(d, frame, clone_32);
    check_gates(d, frame, false, 0x10, 0xc071'0000 + at.at(guard_32) - 0x1'0000);
    CHECK(d.at(first_page) == ~std::uint64_t{0}); // no other page is touched
    CHECK(d.at(second_page) == ~std::uint64_t{0});
    CHECK(fault_of(d.sound()) == no_fault);
}

TEST_CASE("the running selectors are handed on as they are", "[x86][frame_writer]")
{
    departing<paging_4m> d{entry_state::as_running};
    d.running.code_selector = 0x30;
    d.running.data_selector = 0x38;
    write_over_ones(d);
    CHECK(d.field(104) == 0x30);
    CHECK(d.field(112) == 0x38);
    CHECK(d.field(224) == 0x30);
    CHECK(d.field(232) == 0x38);
    CHECK(d.field(3072 + 2, 2) == 0x30);
}

TEST_CASE("a 32-bit kernel to flat code after a paged copy", "[x86][frame_writer]")
{
    departing<paging_4m> d{entry_state::flat_32};
    write_over_ones(d);
    const auto at = places_of({depart, arrive, copy, down, hub, leave_flat, guard_32});
    check_code(d, at, 0x10);
    check_frame(d,
        joined({copy_32_fields, hub_fields,
            {{40, 8, at.at(arrive)}, {80, 8, at.at(copy)}, {88, 8, at.at(down)}, {104, 8, 0x30}, {112, 8, 0x38},
                {120, 8, at.at(hub)}, {128, 8, at.at(leave_flat)}, {168, 8, 0xffff'ffff}, {216, 8, 0x10'0020},
                {224, 8, 0x10}, {232, 8, 0x18}}}));
    check_descriptors(d, frame, clone_32);
    check_gates(d, frame, false, 0x10, 0xc071'0000 + at.at(guard_32) - 0x1'0000);
    for (std::uint64_t i = 0; i < 1024; i += 8)
        CHECK(d.at(first_page + i) == 0);
    check_descriptors(d, first_page, hub_table);
    check_gates(d, first_page, false, 0x30, at.at(guard_32));
    CHECK(d.at(second_page) == ~std::uint64_t{0});
    CHECK(fault_of(d.sound()) == no_fault);
}

TEST_CASE("a 32-bit kernel to flat code with the copy on the hub", "[x86][frame_writer]")
{
    departing<paging_4m> d{entry_state::flat_32, copy_regime::unpaged};
    write_over_ones(d);
    const auto at = places_of({depart, arrive, copy_32, down, hub, leave_flat, guard_32});
    check_code(d, at, 0x10);
    check_frame(d,
        joined({copy_32_fields, hub_fields,
            {{40, 8, at.at(arrive)}, {80, 8, at.at(down)}, {88, 8, at.at(leave_flat)}, {104, 8, 0x30}, {112, 8, 0x38},
                {120, 8, at.at(hub)}, {128, 8, at.at(copy_32)}, {168, 8, 0xffff'ffff}, {216, 8, 0x10'0020},
                {224, 8, 0x10}, {232, 8, 0x18}}}));
    CHECK(fault_of(d.sound()) == no_fault);
}

TEST_CASE("a 32-bit kernel to PAE: up on the image's own tables", "[x86][frame_writer]")
{
    departing<paging_4m, paging_pae> d{entry_state::paged_32, copy_regime::paged, paging_mode::pae};
    write_over_ones(d);
    const auto at = places_of({depart, arrive, copy, down, hub, leave_flat, up, guard_32});
    check_code(d, at, 0x10);
    check_frame(d,
        joined({copy_32_fields, hub_fields,
            {{40, 8, at.at(arrive)}, {80, 8, at.at(copy)}, {88, 8, at.at(down)}, {104, 8, 0x30}, {112, 8, 0x38},
                {120, 8, at.at(hub)}, {128, 8, at.at(up)}, {168, 8, 0xffff'ffff}, {184, 8, 0x70}, {192, 8, 0x2'2000},
                {200, 8, 0x8001'0011}, {208, 8, at.at(leave_flat)}, {216, 8, 0x10'0020}, {224, 8, 0x10},
                {232, 8, 0x18}}}));
    check_descriptors(d, first_page, hub_table);
    check_gates(d, first_page, false, 0x30, at.at(guard_32));
    CHECK(fault_of(d.sound()) == no_fault);
}

TEST_CASE("a 32-bit kernel to 64-bit code: a page of tables for each mode", "[x86][frame_writer]")
{
    departing<paging_4m, paging_4level> d{entry_state::long_64, copy_regime::paged, paging_mode::four_level};
    write_over_ones(d);
    const auto at = places_of({depart, arrive, copy, down, hub, up, enter_long, leave_long, guard_32, guard_64});
    check_code(d, at, 0x10);
    check_frame(d,
        joined({copy_32_fields, hub_fields,
            {{40, 8, at.at(arrive)}, {80, 8, at.at(copy)}, {88, 8, at.at(down)}, {104, 8, 0x30}, {112, 8, 0x38},
                {120, 8, at.at(hub)}, {128, 8, at.at(up)}, {168, 8, 0xffff'f6ff}, {176, 8, 0x100}, {184, 8, 0x70},
                {192, 8, 0x2'2000}, {200, 8, 0x8001'0011}, {208, 8, at.at(enter_long)}, {272, 2, 0x47},
                {274, 8, 0x1'4400}, {288, 2, 0x1ff}, {290, 8, 0x1'4c00}, {216, 8, 0x10'0020}, {224, 8, 0x10},
                {232, 8, 0x18}}}));
    check_descriptors(d, first_page, hub_table);
    check_gates(d, first_page, false, 0x30, at.at(guard_32));
    check_descriptors(d, second_page, long_table);
    check_gates(d, second_page, true, 0x40, at.at(guard_64));
    CHECK(fault_of(d.sound()) == no_fault);
}

TEST_CASE("a 64-bit kernel to an image as it runs", "[x86][frame_writer]")
{
    departing<paging_4level> d{entry_state::as_running};
    write_over_ones(d);
    const auto at = places_of({depart, arrive, copy, leave_long, guard_64});
    check_code(d, at, 0x20);
    check_frame(d,
        joined({copy_64_fields,
            {{40, 8, at.at(arrive)}, {80, 8, at.at(copy)}, {88, 8, at.at(leave_long)}, {104, 8, 0x10}, {112, 8, 0x18},
                {216, 8, 0x10'0020}, {224, 8, 0x10}, {232, 8, 0x18}}}));
    check_descriptors(d, frame, clone_64);
    check_gates(d, frame, true, 0x10, high + 0xc071'0000 + at.at(guard_64) - 0x1'0000);
    CHECK(d.at(first_page) == ~std::uint64_t{0});
    CHECK(fault_of(d.sound()) == no_fault);
}

TEST_CASE("a 64-bit kernel to 64-bit code on the same tables: only descriptors change", "[x86][frame_writer]")
{
    departing<paging_4level> d{entry_state::long_64, copy_regime::paged, paging_mode::four_level, true};
    write_over_ones(d);
    const auto at = places_of({depart, arrive, copy, switch_long, leave_long, guard_64});
    check_code(d, at, 0x20);
    check_frame(d,
        joined({copy_64_fields,
            {{40, 8, at.at(arrive)}, {80, 8, at.at(copy)}, {88, 8, at.at(switch_long)}, {104, 8, 0x40}, {112, 8, 0x38},
                {272, 2, 0x47}, {274, 8, 0x1'3400}, {288, 2, 0x1ff}, {290, 8, 0x1'3c00}, {216, 8, 0x10'0020},
                {224, 8, 0x10}, {232, 8, 0x18}}}));
    check_descriptors(d, first_page, long_table);
    check_gates(d, first_page, true, 0x40, at.at(guard_64));
    CHECK(d.at(second_page) == ~std::uint64_t{0});
    CHECK(fault_of(d.sound()) == no_fault);
}

TEST_CASE("a 64-bit kernel to flat code: down through compatibility mode", "[x86][frame_writer]")
{
    departing<paging_4level> d{entry_state::flat_32};
    write_over_ones(d);
    const auto at = places_of({depart, arrive, copy, down, hub, leave_flat, guard_32, guard_64});
    check_code(d, at, 0x20);
    check_frame(d,
        joined({copy_64_fields, hub_fields,
            {{40, 8, at.at(arrive)}, {80, 8, at.at(copy)}, {88, 8, at.at(down)}, {104, 8, 0x40}, {112, 8, 0x38},
                {120, 8, at.at(hub)}, {128, 8, at.at(leave_flat)}, {168, 8, 0xffff'f6ff}, {216, 8, 0x10'0020},
                {224, 8, 0x10}, {232, 8, 0x18}}}));
    check_descriptors(d, frame, clone_64);
    check_gates(d, frame, true, 0x10, high + 0xc071'0000 + at.at(guard_64) - 0x1'0000);
    check_descriptors(d, first_page, hub_table);
    check_gates(d, first_page, false, 0x30, at.at(guard_32));
    CHECK(fault_of(d.sound()) == no_fault);
}

TEST_CASE("a 64-bit kernel to a real-mode image: its segments have the image's base", "[x86][frame_writer]")
{
    departing<paging_4level> d{entry_state::real_16};
    d.values.real_base = 0x9'0000;
    d.plan.entry = 0x9'0200_va;
    write_over_ones(d);
    CHECK(d.field(216) == 0x200);
    CHECK(d.field(224) == 0x20);
    CHECK(d.field(232) == 0x18);
    auto expected = hub_table;
    expected[4] = 0x0000'9b09'0000'ffff;
    expected[5] = 0x0000'9309'0000'ffff;
    check_descriptors(d, first_page, expected);
    CHECK(fault_of(d.sound()) == no_fault);
}

TEST_CASE("the way up has the registers of the image's mode of paging", "[x86][frame_writer]")
{
    const auto cr4 = [](entry_state state, paging_mode mode) {
        departing<paging_4m> d{state, copy_regime::paged, mode};
        REQUIRE(d.write());
        CHECK(d.field(200) == 0x8001'0011);
        CHECK(d.field(176) == (state == entry_state::long_64 ? 0x100u : 0));
        return d.field(184);
    };
    CHECK(cr4(entry_state::paged_32, paging_mode::bits_32) == 0x40);
    CHECK(cr4(entry_state::paged_32, paging_mode::bits_32_pse) == 0x50);
    CHECK(cr4(entry_state::paged_32, paging_mode::pae) == 0x70);
    CHECK(cr4(entry_state::long_64, paging_mode::four_level) == 0x70);
    CHECK(cr4(entry_state::long_64, paging_mode::five_level) == 0x1070);
}

TEST_CASE("of CR4 the copy keeps the mode of paging and machine checks", "[x86][frame_writer]")
{
    departing<paging_4level> d{entry_state::flat_32};
    d.running.cr4 = ~std::uint64_t{0};
    REQUIRE(d.write());
    CHECK(d.field(16) == 0x1070); // PSE, PAE, MCE, LA57
    CHECK(d.at(0x1'0018) == 0x1070);
    d.running.cr4 = 0xa0;
    REQUIRE(d.write());
    CHECK(d.field(16) == 0x20);
}

TEST_CASE("IA32_EFER is written on the hub only where it holds what has to go, or lacks what has to come",
    "[x86][frame_writer]")
{
    const auto kept = [](std::uint64_t efer) {
        departing<paging_pae> d{entry_state::flat_32};
        d.running.efer = efer;
        REQUIRE(d.write());
        return d.field(168);
    };
    CHECK(kept(0) == 0xffff'ffff);
    CHECK(kept(0x1) == 0xffff'ffff);
    CHECK(kept(0x800) == 0xffff'f6ff); // NXE
    CHECK(kept(0x500) == 0xffff'f6ff); // LME
    departing<paging_pae, paging_4level> up{entry_state::long_64, copy_regime::paged, paging_mode::four_level};
    up.running.efer = 0;
    REQUIRE(up.write());
    CHECK(up.field(168) == 0xffff'f6ff);
    CHECK(up.field(176) == 0x100);
}

TEST_CASE("the overlay's own selectors stand behind all others", "[x86][frame_writer]")
{
    departing<paging_4m> d{entry_state::flat_32};
    d.map<paging_4m>(0x2'0000, 0xc000'4000, 0x1'8000);
    SECTION("a short table leaves room for those that protocols prescribe")
    {
        d.running.descriptors = {0xc000'2ff4_va, 4 * 8 - 1};
        write_over_ones(d);
        CHECK(d.field(48, 2) == 0x47);
        CHECK(d.field(136, 2) == 0x47);
        CHECK(d.field(264) == 0x30);
        check_descriptors(
            d, frame, {0, 0x00cf'fb00'0000'ffff, flat_code, flat_data, 0, 0, flat_code, flat_data, long_code});
    }
    SECTION("a longer one moves them up in every table")
    {
        d.running.descriptors = {0xc000'4000_va, 20 * 8 - 1};
        write_over_ones(d);
        CHECK(d.field(48, 2) == 23 * 8 - 1);
        CHECK(d.field(136, 2) == 23 * 8 - 1);
        CHECK(d.field(104) == 160);
        CHECK(d.field(112) == 168);
        CHECK(d.field(264) == 160);
        for (const std::uint64_t page : {frame, first_page}) {
            CHECK(d.at(page + 1024 + 160) == flat_code);
            CHECK(d.at(page + 1024 + 168) == flat_data);
            CHECK(d.at(page + 1024 + 176) == long_code);
        }
        CHECK(d.at(first_page + 3072 + 2, 2) == 160);
    }
}

TEST_CASE("the largest table that fits and one that does not", "[x86][frame_writer]")
{
    departing<paging_4m> d{entry_state::as_running};
    d.running.descriptors = {0xc000'3000_va, 253 * 8 - 1};
    CHECK(fault_of(d.write()) == no_fault);
    CHECK(d.field(48, 2) == 0x7ff);
    CHECK(d.field(1024 + 253 * 8) == flat_code);
    CHECK(d.field(1024 + 255 * 8) == long_code);
    d.running.descriptors.limit += 8;
    CHECK(fault_of(d.write()) == fault{fault_code::no_space, stage::mapping, 254});
    d.running.descriptors.limit = 0x1e;
    CHECK(fault_of(d.write()) == fault{fault_code::bad_descriptor_table, stage::mapping, 0x1e});
}

TEST_CASE("a running table that is not mapped to its end is refused", "[x86][frame_writer]")
{
    departing<paging_4m> d{entry_state::as_running};
    d.running.descriptors = {0xc000'3ff0_va, 23}; // the next page is not there
    CHECK(fault_of(d.write()) == fault{fault_code::not_mapped, stage::mapping, 0xc000'4000});
    d.running.descriptors = {0xffff'fff0_va, 31};
    CHECK(fault_of(d.write()).code == fault_code::not_mapped);
}

TEST_CASE("code that fills the page to its last byte fits and one byte more does not", "[x86][frame_writer]")
{
    departing<paging_4m> d{entry_state::as_running};
    // 32 of the head, 0x20 + 0x21 + 0x26 + 0xb0 of the other pieces.
    const std::size_t left = 4096 - 32 - 0x20 - 0x21 - 0x26 - 0xb0;
    d.code[2] = bytes(left, std::byte{0x12});
    CHECK(fault_of(d.write()) == no_fault);
    CHECK(d.plan.code_size == 4096_bytes);
    d.code[2].push_back(std::byte{0x12});
    CHECK(fault_of(d.write()) == fault{fault_code::no_space, stage::staging, 4097});
    CHECK(d.at(0x1'1000) == 0); // the next page is not written
}

TEST_CASE("a piece that the machine lacks is a broken promise if the way takes it", "[x86][frame_writer]")
{
    departing<paging_4m> d{entry_state::flat_32};
    d.code[3].clear(); // copy_32, which a paged copy has no use for
    CHECK(fault_of(d.write()) == no_fault);
    d.code[5].clear();
    CHECK_THROWS_AS(d.write(), contract_error);
}
