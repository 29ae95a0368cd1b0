// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/machine_facts.hpp>

#include <tests/catch.hpp>
#include <tests/support/byte_memory.hpp>

using namespace lobos;
using namespace lobos::test;
using namespace lobos::x86;

namespace {

/// A processor with paging on in a mode that its CR4 and IA32_EFER say.
machine_facts registers(std::uint64_t cr0, std::uint64_t cr4, std::uint64_t efer)
{
    machine_facts f{};
    f.cr0 = cr0;
    f.cr4 = cr4;
    f.efer = efer;
    return f;
}

fault unsupported(std::uint64_t at)
{
    return {fault_code::unsupported, stage::mapping, at};
}

template <class T> fault said(std::uint64_t cr0, std::uint64_t cr4, std::uint64_t efer = 0)
{
    return fault_of(can_be_left<T>(registers(cr0, cr4, efer)));
}

constexpr std::uint64_t on = 0x8000'0001; // PG, PE

} // namespace

TEST_CASE("each traits class stands for its mode", "[x86][machine_facts]")
{
    STATIC_REQUIRE(mode_of_traits<paging_4k>() == paging_mode::bits_32);
    STATIC_REQUIRE(mode_of_traits<paging_4m>() == paging_mode::bits_32_pse);
    STATIC_REQUIRE(mode_of_traits<paging_pae>() == paging_mode::pae);
    STATIC_REQUIRE(mode_of_traits<paging_4level>() == paging_mode::four_level);
    STATIC_REQUIRE(mode_of_traits<paging_4level_1g>() == paging_mode::four_level);
    STATIC_REQUIRE(mode_of_traits<paging_5level>() == paging_mode::five_level);
    STATIC_REQUIRE(mode_of_traits<paging_5level_1g>() == paging_mode::five_level);
}

TEST_CASE("64-bit code runs on four and on five levels", "[x86][machine_facts]")
{
    CHECK_FALSE(is_long(paging_mode::none));
    CHECK_FALSE(is_long(paging_mode::bits_32));
    CHECK_FALSE(is_long(paging_mode::bits_32_pse));
    CHECK_FALSE(is_long(paging_mode::pae));
    CHECK(is_long(paging_mode::four_level));
    CHECK(is_long(paging_mode::five_level));
}

TEST_CASE("only a kernel in protected mode with 4 MB paging on can be left", "[x86][machine_facts]")
{
    CHECK(said<paging_4m>(0x8000'0001, 0x10) == no_fault);
    CHECK(said<paging_4m>(0xffff'ffff, 0xffff'dfdf) == no_fault); // all but PAE and VMXE
    CHECK(said<paging_4m>(0x8000'0000, 0x10) == unsupported(0x8000'0000));
    CHECK(said<paging_4m>(0x0001'0001, 0x10) == unsupported(0x0001'0001));
    CHECK(said<paging_4m>(0, 0x10) == unsupported(0));
    CHECK(said<paging_4m>(0x8000'0001, 0) == unsupported(0));
    CHECK(said<paging_4m>(0x8000'0001, 0x30) == unsupported(0x30));
    CHECK(said<paging_4m>(0x8000'0001, 0x20) == unsupported(0x20));
}

TEST_CASE("a kernel is left by way of tables of its own mode and no other", "[x86][machine_facts]")
{
    struct state {
        std::uint64_t cr4, efer;
    };
    // 32-bit, with 4 MB pages, PAE, 4-level, 5-level [intel/vol3 §4.1.1]
    const state states[] = {{0x00, 0}, {0x10, 0}, {0x20, 0}, {0x20, 0x500}, {0x1020, 0x500}};
    for (std::size_t i = 0; i < 5; ++i) {
        const auto [cr4, efer] = states[i];
        const auto expected = [&](std::size_t own) { return i == own ? no_fault : unsupported(cr4); };
        CAPTURE(i);
        CHECK(said<paging_4k>(on, cr4, efer) == expected(0));
        CHECK(said<paging_4m>(on, cr4, efer) == expected(1));
        CHECK(said<paging_pae>(on, cr4, efer) == expected(2));
        CHECK(said<paging_4level>(on, cr4, efer) == expected(3));
        CHECK(said<paging_4level_1g>(on, cr4, efer) == expected(3));
        CHECK(said<paging_5level>(on, cr4, efer) == expected(4));
        CHECK(said<paging_5level_1g>(on, cr4, efer) == expected(4));
        CHECK(said<paging_4level>(0x8000'0000, cr4, efer) == unsupported(0x8000'0000));
    }
}

TEST_CASE("a kernel in which virtual machines may run cannot be left", "[x86][machine_facts]")
{
    CHECK(said<paging_4m>(on, 0x2010) == unsupported(0x2010)); // INIT would not get through
    CHECK(said<paging_4level>(on, 0x2020, 0x500) == unsupported(0x2020));
}

TEST_CASE("memory that is encrypted or not write-back is refused and so is a second processor", "[x86][machine_facts]")
{
    const machine_facts good = registers(on, 0x90, 0);
    REQUIRE(fault_of(can_be_left<paging_4m>(good)) == no_fault);
    machine_facts encrypted = good;
    encrypted.memory_encrypted = true;
    CHECK(fault_of(can_be_left<paging_4m>(encrypted)) == fault{fault_code::memory_encrypted, stage::mapping, 0x90});
    for (const unsigned type : {0u, 1u, 4u, 5u, 7u, 255u}) {
        machine_facts f = good;
        f.default_memory_type = static_cast<std::uint8_t>(type);
        CHECK(fault_of(can_be_left<paging_4m>(f)) == unsupported(type));
    }
    machine_facts second = good;
    second.boot_processor = false;
    CHECK(fault_of(can_be_left<paging_4m>(second)) == fault{fault_code::wrong_processor, stage::mapping, 0});
}

TEST_CASE("what is not said is the usual machine", "[x86][machine_facts]")
{
    const machine_facts f{};
    CHECK(f.default_memory_type == 6);
    CHECK_FALSE(f.memory_encrypted);
    CHECK(f.boot_processor);
}

TEST_CASE("every change of the machine is noticed", "[x86][machine_facts]")
{
    machine_facts then{};
    then.table_root = 0x1000_pa;
    then.descriptors = {0xc000'0000_va, 0x1f};
    then.cr0 = 0x8001'0033;
    then.cr4 = 0x90;
    then.efer = 0x801;
    then.code_selector = 0x10;
    then.data_selector = 0x18;
    CHECK(is_unchanged(then, then).has_value());
    const auto changed = [&](auto change) {
        machine_facts now = then;
        change(now);
        return fault_of(is_unchanged(then, now));
    };
    const fault root{fault_code::table_root_changed, stage::committing, 0x1000};
    const fault table{fault_code::descriptor_table_changed, stage::committing, 0xc000'0000};
    CHECK(changed([](auto& f) { f.table_root = 0x2000_pa; }) == fault{root.code, root.in, 0x2000});
    for (unsigned bit = 0; bit < 64; ++bit) {
        const std::uint64_t flip = std::uint64_t{1} << bit;
        const bool counts = bit == 0 || bit == 16 || bit == 31; // PE, WP, PG; TS and the others come and go
        CAPTURE(bit);
        CHECK(changed([&](auto& f) { f.cr0 ^= flip; }) == (counts ? root : no_fault));
        CHECK(changed([&](auto& f) { f.cr4 ^= flip; }) == root);
        CHECK(changed([&](auto& f) { f.efer ^= flip; }) == root);
    }
    CHECK(changed([](auto& f) { f.default_memory_type = 0; }) == root);
    CHECK(changed([](auto& f) { f.memory_encrypted = true; }) == root);
    CHECK(changed([](auto& f) { f.descriptors.base = 0xc000'1000_va; }) == fault{table.code, table.in, 0xc000'1000});
    CHECK(changed([](auto& f) { f.descriptors.limit = 0x17; }) == table);
    CHECK(changed([](auto& f) { f.code_selector = 8; }) == table);
    CHECK(changed([](auto& f) { f.data_selector = 8; }) == table);
    CHECK(
        changed([](auto& f) { f.boot_processor = false; }) == fault{fault_code::wrong_processor, stage::committing, 0});
}
