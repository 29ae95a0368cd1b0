// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// What the modes make of it is tested in tests/unit/paging.
#include <lobos/x86/page_entry_64.hpp>

#include <tests/catch.hpp>

using namespace lobos;
using namespace lobos::literals;
using lobos::x86::page_entry_64;

namespace {

namespace bit = lobos::x86::page_bit_64;
using table_entry = page_entry_64<0>;
using directory_entry = page_entry_64<1>;
using pointer_entry = page_entry_64<2>;
using pml4_entry = page_entry_64<3>;

constexpr std::uint64_t xd = 0x8000'0000'0000'0000;

template <class E>
concept can_be_leaf = requires(E e) {
    e.kept(lobos::access::read_write, true);
    E::leaf(0_pa, lobos::access::read_write);
};
static_assert(can_be_leaf<pointer_entry> && !can_be_leaf<pml4_entry>);
template <class E>
concept can_be_table = requires { E::table(0_pa); };
static_assert(can_be_table<directory_entry> && !can_be_table<table_entry>);

} // namespace

TEST_CASE("the bits of a 64-bit entry are the manual's", "[x86][page_entry_64]")
{
    CHECK(bit::present == 0x001);
    CHECK(bit::writable == 0x002);
    CHECK(bit::user == 0x004);
    CHECK(bit::write_through == 0x008);
    CHECK(bit::cache_disable == 0x010);
    CHECK(bit::accessed == 0x020);
    CHECK(bit::dirty == 0x040);
    CHECK(bit::page_size == 0x080);
    CHECK(bit::table_pat == 0x080);
    CHECK(bit::global == 0x100);
    CHECK(bit::software == 0xe00);
    CHECK(bit::large_pat == 0x1000);
    CHECK(bit::address == 0x000f'ffff'ffff'f000);
    CHECK(bit::ignored == 0x07f0'0000'0000'0000);
    CHECK(bit::protection_key == 0x7800'0000'0000'0000);
    CHECK(bit::execute_disable == xd);
}

TEST_CASE("bit 7 is a memory type, a page size, or reserved, as the level has it", "[x86][page_entry_64]")
{
    CHECK(table_entry{0x1081}.is_leaf());
    CHECK(table_entry{0x1081}.target() == 0x1000_pa);
    CHECK(table_entry{0x1083}.kept(lobos::access::read_write, true).bits == 0x10e3);
    CHECK(directory_entry{0x81}.is_leaf());
    CHECK_FALSE(directory_entry{0x01}.is_leaf());
    CHECK(pointer_entry{0x81}.is_leaf());
    CHECK_FALSE(pointer_entry{0x01}.is_leaf());
    CHECK_FALSE(pml4_entry{0x81}.is_leaf());
    CHECK_FALSE(pml4_entry{0x81}.valid());
    CHECK(pml4_entry{0x01}.valid());
}

TEST_CASE("bit 12 is a memory type of a large page and a place of anything else", "[x86][page_entry_64]")
{
    CHECK(directory_entry{0x20'1081}.valid());
    CHECK(directory_entry{0x20'1081}.target() == 0x20'0000_pa);
    CHECK(directory_entry{0x20'1081}.kept(lobos::access::read_only, true).bits == 0x20'10e1);
    CHECK(directory_entry{0x20'1001}.target() == 0x20'1000_pa);
    CHECK(pointer_entry{0x4000'1081}.target() == 0x4000'0000_pa);
    CHECK(pointer_entry{0x4020'1001}.target() == 0x4020'1000_pa);
    CHECK(table_entry{0x1001}.target() == 0x1000_pa);
}

TEST_CASE("a page may lie anywhere below 2^52", "[x86][page_entry_64]")
{
    for (unsigned b = 12; b < 52; ++b) {
        const std::uint64_t place = std::uint64_t{1} << b;
        CAPTURE(b);
        CHECK(table_entry{place | 1}.target() == phys_addr::at(place));
        CHECK(pml4_entry{place | 1}.target() == phys_addr::at(place));
        CHECK(directory_entry{place | 0x81}.valid() == (b == 12 || b >= 21));
        CHECK(pointer_entry{place | 0x81}.valid() == (b == 12 || b >= 30));
        if (b >= 30)
            CHECK(pointer_entry{place | 0x81}.target() == phys_addr::at(place));
        if (b >= 21)
            CHECK(directory_entry{place | 0x81}.target() == phys_addr::at(place));
    }
    for (unsigned b = 52; b < 64; ++b) {
        CAPTURE(b);
        CHECK(table_entry{std::uint64_t{1} << b | 1}.target() == 0_pa);
        CHECK(table_entry{std::uint64_t{1} << b | 1}.valid());
        CHECK(table_entry{std::uint64_t{1} << b | 1}.executable() == (b != 63));
    }
}

TEST_CASE("a mode's reserved bits make an entry invalid on every level", "[x86][page_entry_64]")
{
    constexpr std::uint64_t reserved = 0x7ff0'0000'0000'0000;
    for (unsigned b = 52; b < 64; ++b) {
        const std::uint64_t bits = std::uint64_t{1} << b;
        CAPTURE(b);
        CHECK(page_entry_64<0, reserved>{bits | 0x1001}.valid() == (b == 63));
        CHECK(page_entry_64<1, reserved>{bits | 0x1001}.valid() == (b == 63));
        CHECK(page_entry_64<1, reserved>{bits | 0x20'0081}.valid() == (b == 63));
    }
}
