// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/sim/x86_table_format.hpp>

#include <tests/catch.hpp>

using lobos::sim::x86_control;
using lobos::sim::x86_table_format;

namespace {

x86_control mode(std::uint64_t cr4, std::uint64_t efer = 0)
{
    x86_control c;
    c.load_cr4(cr4);
    c.load_efer(efer);
    c.load_cr0(0x8000'0001);
    return c;
}
const x86_control small = mode(0), large = mode(0x10), pae = mode(0x20), pae_nx = mode(0x20, 0x800);
const x86_control four = mode(0x20, 0x900), five = mode(0x1020, 0x900);

std::uint64_t reserved(const x86_control& c, std::uint64_t entry, unsigned level, bool gigabyte_pages = true)
{
    return x86_table_format{c, gigabyte_pages}.reserved(entry, level);
}

} // namespace

TEST_CASE("levels, sizes and widths are the mode's")
{
    const struct {
        const x86_control& control;
        unsigned levels, size, shift_1;
    } cases[] = {{small, 2, 4, 22}, {large, 2, 4, 22}, {pae, 2, 8, 21}, {four, 4, 8, 21}, {five, 5, 8, 21}};
    for (const auto& c : cases) {
        const x86_table_format f{c.control, true};
        CHECK(f.levels() == c.levels);
        CHECK(f.entry_size() == c.size);
        CHECK(f.shift_of(0) == 12);
        CHECK(f.shift_of(1) == c.shift_1);
        CHECK(f.index_of(0xffff'f000, 0) == (c.size == 4 ? 1023 : 511));
    }
    CHECK(x86_table_format{five, true}.shift_of(4) == 48);
    CHECK(x86_table_format{five, true}.index_of(0x0101'0000'0000'0000, 4) == 0x101);
}

TEST_CASE("an address has 32 bits or is canonical")
{
    const auto has = [](const x86_control& c, std::uint64_t v) { return x86_table_format{c, true}.has_address(v); };
    for (const x86_control* c : {&small, &large, &pae}) {
        CHECK(has(*c, 0xffff'ffff));
        CHECK_FALSE(has(*c, 0x1'0000'0000));
    }
    CHECK(has(four, 0x7fff'ffff'ffff));
    CHECK_FALSE(has(four, 0x8000'0000'0000));
    CHECK_FALSE(has(four, 0xffff'7fff'ffff'ffff));
    CHECK(has(four, 0xffff'8000'0000'0000));
    CHECK(has(five, 0xff'ffff'ffff'ffff));
    CHECK_FALSE(has(five, 0x100'0000'0000'0000));
    CHECK_FALSE(has(five, 0xfeff'ffff'ffff'ffff));
    CHECK(has(five, 0xff00'0000'0000'0000));
}

TEST_CASE("bit 7 makes a page where the mode has one")
{
    const auto leaf = [](const x86_control& c, unsigned level, bool gigabyte_pages = true) {
        return x86_table_format{c, gigabyte_pages}.is_leaf(0x80, level);
    };
    CHECK_FALSE(leaf(small, 1));
    CHECK(leaf(large, 1));
    CHECK(leaf(pae, 1)); // whatever CR4.PSE is
    CHECK(leaf(four, 1));
    CHECK(leaf(four, 2));
    CHECK_FALSE(leaf(four, 2, false));
    CHECK_FALSE(leaf(four, 3));
    CHECK_FALSE(leaf(five, 4));
    CHECK_FALSE(x86_table_format{four, true}.is_leaf(0, 1));
    CHECK(x86_table_format{small, true}.is_leaf(0, 0));
}

TEST_CASE("reserved bits are the manual's")
{
    constexpr std::uint64_t xd = 0x8000'0000'0000'0000, above = 0x7ff0'0000'0000'0000;
    CHECK(reserved(small, 0x80, 1) == 0);
    CHECK(reserved(small, 0x80, 0) == 0);
    CHECK(reserved(large, 0x80, 1) == 0x20'0000);
    CHECK(reserved(large, 0, 1) == 0);
    CHECK(reserved(pae, 0, 0) == (xd | above));
    CHECK(reserved(pae_nx, 0, 0) == above);
    CHECK(reserved(pae_nx, 0, 1) == above);
    CHECK(reserved(pae_nx, 0x80, 1) == (above | 0x1f'e000));
    CHECK(reserved(mode(0x20, 0x100), 0, 0) == xd);
    CHECK(reserved(four, 0, 0) == 0);
    CHECK(reserved(four, 0x80, 1) == 0x1f'e000);
    CHECK(reserved(four, 0x80, 2) == 0x3fff'e000);
    CHECK(reserved(four, 0x80, 2, false) == 0x80);
    CHECK(reserved(four, 0, 2) == 0x80); // that it is none is what makes it a table
    CHECK(reserved(four, 0, 3) == 0x80);
    CHECK(reserved(five, 0, 4) == 0x80);
    CHECK(x86_table_format{pae_nx, true}.reserved_in_pointer() == 0xfff0'0000'0000'01e6);

    auto narrow = four;
    narrow.physical_bits = 46;
    CHECK(reserved(narrow, 0, 0) == 0x000f'c000'0000'0000);
    auto narrow_pae = pae_nx;
    narrow_pae.physical_bits = 36;
    CHECK(reserved(narrow_pae, 0, 0) == 0x7fff'fff0'0000'0000);
    CHECK(x86_table_format{narrow_pae, true}.reserved_in_pointer() == 0xffff'fff0'0000'01e6);
    auto narrow_large = large;
    narrow_large.physical_bits = 36;
    CHECK(reserved(narrow_large, 0x80, 1) == 0x3e'0000);
}

TEST_CASE("a page lies where its entry says, and the root where CR3 says")
{
    const std::uint64_t ones = ~std::uint64_t{0};
    CHECK(x86_table_format{small, true}.page_of(0xffff'ffff, 0) == 0xffff'f000);
    CHECK(x86_table_format{large, true}.page_of(0xffff'ffff, 1) == 0xff'ffc0'0000);
    CHECK(x86_table_format{pae, true}.page_of(ones, 0) == 0xf'ffff'ffff'f000);
    CHECK(x86_table_format{pae, true}.page_of(ones, 1) == 0xf'ffff'ffe0'0000);
    CHECK(x86_table_format{four, true}.page_of(ones, 2) == 0xf'ffff'c000'0000);
    CHECK(x86_table_format::table_of(ones) == 0xf'ffff'ffff'f000);
    const auto root = [](x86_control c) {
        c.load_cr3(c.long_mode() ? 0xf'ffff'ffff'ffff : 0xffff'ffff);
        return x86_table_format{c, true}.root();
    };
    CHECK(root(large) == 0xffff'f000);
    CHECK(root(pae) == 0xffff'ffe0);
    CHECK(root(five) == 0xf'ffff'ffff'f000);
}
