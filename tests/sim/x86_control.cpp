// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/sim/x86_control.hpp>

#include <tests/catch.hpp>

using lobos::sim::machine_error;
using lobos::sim::x86_control;

namespace {

/// Whether a load is a general-protection exception that changes nothing.
template <class Load> bool refused(x86_control& c, Load load)
{
    const x86_control before = c;
    try {
        load(c);
    } catch (const machine_error& e) {
        REQUIRE(e.code());
        CHECK(e.code()->vector == 13);
        CHECK(e.code()->error == 0);
        CHECK((c.cr0() == before.cr0() && c.cr3() == before.cr3()));
        CHECK((c.cr4() == before.cr4() && c.efer() == before.efer()));
        return true;
    }
    return false;
}
bool refused_cr0(x86_control c, std::uint64_t value)
{
    return refused(c, [=](x86_control& r) { r.load_cr0(value); });
}
bool refused_cr3(x86_control c, std::uint64_t value)
{
    return refused(c, [=](x86_control& r) { r.load_cr3(value); });
}
bool refused_cr4(x86_control c, std::uint64_t value)
{
    return refused(c, [=](x86_control& r) { r.load_cr4(value); });
}
bool refused_efer(x86_control c, std::uint64_t value)
{
    return refused(c, [=](x86_control& r) { r.load_efer(value); });
}

/// PE, WP, PG; PAE; LME: long mode in compatibility code.
x86_control in_long_mode(std::uint64_t cr4 = 0x20)
{
    x86_control c;
    c.load_cr4(cr4);
    c.load_efer(0x100);
    c.load_cr0(0x8001'0001);
    return c;
}
x86_control paged(std::uint64_t cr4)
{
    x86_control c;
    c.load_cr4(cr4);
    c.load_cr0(0x8001'0001);
    return c;
}

} // namespace

TEST_CASE("paging needs protection, and a write-back cache that is off may not be written through")
{
    const x86_control c;
    CHECK(refused_cr0(c, 0x8000'0000));
    CHECK_FALSE(refused_cr0(c, 0x8000'0001));
    CHECK(refused_cr0(c, 0x2000'0001));
    CHECK_FALSE(refused_cr0(c, 0x6000'0001));
    CHECK(refused_cr0(c, 0x1'0000'0001));
}

TEST_CASE("long mode is active while it is asked for and paging is on")
{
    x86_control c = in_long_mode();
    CHECK(c.long_mode());
    CHECK(c.efer() == 0x500);
    CHECK_FALSE(c.has_pointers());
    c.load_cr0(0x0001'0001);
    CHECK_FALSE(c.long_mode());
    CHECK(c.efer() == 0x100);
    c.load_cr0(0x8001'0001);
    CHECK(c.efer() == 0x500);
    c.load_efer(0x900); // LMA is nobody's to write
    CHECK(c.efer() == 0xd00);
    CHECK(c.execute_disable());
    CHECK_FALSE(paged(0x20).long_mode());
    CHECK(paged(0x20).has_pointers());
    CHECK_FALSE(paged(0x10).has_pointers());
}

TEST_CASE("long mode is entered and left with paging off")
{
    CHECK(refused_efer(paged(0x20), 0x100));
    CHECK_FALSE(refused_efer(paged(0x20), 0x800));
    CHECK(refused_efer(in_long_mode(), 0));
    CHECK_FALSE(refused_efer(in_long_mode(), 0x900));
    x86_control c;
    CHECK_FALSE(refused_efer(c, 0x400));
    for (unsigned bit = 0; bit < 64; ++bit) {
        CAPTURE(bit);
        const bool known = bit == 0 || bit == 8 || bit == 10 || bit == 11;
        CHECK(refused_efer(c, std::uint64_t{1} << bit) == !known);
    }
    c.load_efer(0x100);
    CHECK(refused_cr0(c, 0x8000'0001)); // without PAE
    c.load_cr4(0x20);
    CHECK_FALSE(refused_cr0(c, 0x8000'0001));
    c.code_64 = true;
    CHECK(refused_cr0(c, 0x8000'0001));
}

TEST_CASE("64-bit code cannot turn paging off, 32-bit code can")
{
    x86_control c = in_long_mode();
    CHECK_FALSE(refused_cr0(c, 0x0001'0001));
    c.code_64 = true;
    CHECK(refused_cr0(c, 0x0001'0001));
    CHECK_FALSE(refused_cr0(c, 0x8000'0001));
}

TEST_CASE("in long mode PAE stays and the number of levels too")
{
    CHECK(refused_cr4(in_long_mode(), 0x00));
    CHECK(refused_cr4(in_long_mode(), 0x1020));
    CHECK(refused_cr4(in_long_mode(0x1020), 0x20));
    CHECK_FALSE(refused_cr4(in_long_mode(0x1020), 0x10a0));
    CHECK_FALSE(refused_cr4(paged(0x20), 0x00));
    CHECK_FALSE(refused_cr4(paged(0x20), 0x1020)); // means nothing there
    x86_control off = in_long_mode(0x1020);
    off.load_cr0(1);
    CHECK_FALSE(refused_cr4(off, 0x20));
    CHECK_FALSE(refused_cr4(off, 0x00));
}

TEST_CASE("process contexts come in long mode, out of the first of them, and go before paging does")
{
    constexpr std::uint64_t pcide = 1u << 17;
    CHECK(refused_cr4({}, pcide));
    CHECK(refused_cr4(paged(0x20), 0x20 | pcide));
    x86_control c = in_long_mode();
    for (unsigned bit = 0; bit < 12; ++bit) {
        c.load_cr3(0x1000 | 1u << bit);
        CAPTURE(bit);
        CHECK(refused_cr4(c, 0x20 | pcide));
    }
    c.load_cr3(0x1000);
    CHECK_FALSE(refused_cr4(c, 0x20 | pcide));
    c.load_cr4(0x20 | pcide);
    CHECK(c.context() == 0);
    c.load_cr3(0x1fff);
    CHECK(c.context() == 0xfff);
    CHECK_FALSE(refused_cr4(c, 0xa0 | pcide)); // they stay on
    CHECK(refused_cr0(c, 0x0001'0001));
    c.load_cr4(0x20);
    CHECK(c.context() == 0);
    CHECK_FALSE(refused_cr0(c, 0x0001'0001));
}

TEST_CASE("write protection and CET hold each other")
{
    constexpr std::uint64_t cet = 1u << 23;
    x86_control c;
    CHECK(refused_cr4(c, cet));
    c.load_cr0(0x1'0001);
    CHECK_FALSE(refused_cr4(c, cet));
    c.load_cr4(cet);
    CHECK(refused_cr0(c, 0x1));
    CHECK_FALSE(refused_cr0(c, 0x1'0003));
    c.load_cr4(0);
    CHECK_FALSE(refused_cr0(c, 0x1));
}

TEST_CASE("reserved bits of CR4 are refused")
{
    x86_control c = in_long_mode();
    c.load_cr3(0);
    for (unsigned bit = 0; bit < 64; ++bit) {
        CAPTURE(bit);
        const bool reserved = bit == 15 || bit >= 26;
        CHECK(refused_cr4(c, 0x20 | std::uint64_t{1} << bit) == (reserved || bit == 12));
    }
}

TEST_CASE("CR3 has the bits of a physical address in long mode and 32 outside it")
{
    const x86_control off;
    CHECK_FALSE(refused_cr3(off, 0xffff'ffff));
    CHECK(refused_cr3(off, 0x1'0000'0000));
    CHECK(refused_cr3(paged(0x20), 0x1'0000'0000));
    x86_control c = in_long_mode();
    CHECK_FALSE(refused_cr3(c, 0x000f'ffff'ffff'ffff));
    CHECK(refused_cr3(c, 0x0010'0000'0000'0000));
    CHECK(refused_cr3(c, 0x8000'0000'0000'1000));
    c.physical_bits = 39;
    CHECK_FALSE(refused_cr3(c, 0x7f'ffff'f000));
    CHECK(refused_cr3(c, 0x80'0000'0000));
    c.load_cr4(0x2'0020);
    c.load_cr3(0x8000'0000'0000'1005); // with process contexts a command
    CHECK(c.cr3() == 0x1005);
    CHECK(refused_cr3(c, 0x4000'0000'0000'1005));
}

TEST_CASE("the mode of paging follows from the registers")
{
    using enum lobos::x86::paging_mode;
    CHECK(x86_control{}.mode() == none);
    CHECK(paged(0).mode() == bits_32);
    CHECK(paged(0x10).mode() == bits_32_pse);
    CHECK(paged(0x20).mode() == pae);
    CHECK(paged(0x30).mode() == pae);
    CHECK(in_long_mode().mode() == four_level);
    x86_control five;
    five.load_cr4(0x1020);
    five.load_efer(0x100);
    CHECK(five.mode() == none);
    five.load_cr0(0x8000'0001);
    CHECK(five.mode() == five_level);
}
