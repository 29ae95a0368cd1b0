// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/linux_page.hpp>

#include <tests/support/effort.hpp>
#include <tests/support/told_linux.hpp>

using namespace lobos;
using namespace lobos::test;
using namespace lobos::x86;

TEMPLATE_LIST_TEST_CASE("every byte of the page counts", "[x86][linux_rules]", all_entries)
{
    told_linux<TestType> told{everything()};
    REQUIRE(told.verdict() == no_fault);
    std::size_t refused = 0;
    const auto step = stride<std::size_t>(11);
    for (std::size_t offset = 0; offset < 0x1000; offset += step) {
        const bool one_of_many = (offset >= 0x70 && offset < 0x78) || // another root pointer, or system table
            (offset >= 0x1c4 && offset < 0x1e0) || offset == 0x210;   // another loader
        if (one_of_many)
            continue;
        for (const std::byte other : {std::byte{0x01}, std::byte{0x80}}) {
            CAPTURE(offset, other);
            const auto good = told.template get<std::byte>(offset);
            told.put(offset, good ^ other);
            CHECK(told.verdict() != no_fault);
            told.put(offset, good);
            ++refused;
        }
    }
    CHECK(refused > 8000 / step);
    CHECK(told.verdict() == no_fault);
}

TEMPLATE_LIST_TEST_CASE("where the page lies", "[x86][linux_rules]", both_entries)
{
    const auto said = [](std::uint64_t si, auto... regions) {
        told_linux<TestType> told;
        told.found.si = si;
        (told.safe.push_back(regions), ...);
        return told.verdict();
    };
    CHECK(said(0x30'0001) == fault{fault_code::misaligned, stage::verifying, 0x30'0001});
    CHECK(said(0x30'0800) == fault{fault_code::misaligned, stage::verifying, 0x30'0800});
    CHECK(said(0x20'0000) == not_safe(0x20'0000_pa)); // in the overlay's code
    CHECK(said(0x31'0000) == not_safe(0x31'0000_pa));
    CHECK(said(0x30'1000) == broken_at(0x30'1000_pa + 0x202_bytes)); // the command line
    const safe_region high{phys_range::of(0x1'0000'0000_pa, x86::page_size), safe_role::parameters};
    CHECK(said(0x1'0000'0000, high) == out_of_reach(0x1'0000'0000_pa));
    told_linux<TestType> told;
    told.safe.back().range = phys_range::of(0x30'0000_pa, 0xfff_bytes);
    CHECK(told.verdict() == not_safe(0x30'0000_pa));
}

TEMPLATE_LIST_TEST_CASE("the header is the file's", "[x86][linux_rules]", all_entries)
{
    const auto at = [](std::size_t offset) { return broken_at(0x30'0000_pa + byte_count::of(offset)); };
    CHECK(with<TestType>(0x202, std::uint32_t{0x53726449}) == at(0x202));
    CHECK(with<TestType>(0x206, std::uint16_t{0x209}) == at(0x206));
    CHECK(with<TestType>(0x206, std::uint16_t{0x20e}) == at(0x206));
    CHECK(with<TestType>(0x210, std::uint8_t{0}) == at(0x210)); // nobody loaded it
    CHECK(with<TestType>(0x210, std::uint8_t{0xe1}) == no_fault);
    CHECK(with<TestType>(0x1ef, std::uint8_t{1}) == at(0x1ef)); // the sentinel of a page that nobody cleared
    CHECK(with<TestType>(0x226, std::uint8_t{1}) == at(0x226));
    CHECK(with<TestType>(0x227, std::uint8_t{1}) == at(0x227));
    CHECK(with<TestType>(0xfff, std::uint8_t{1}) == at(0xfff));
    CHECK(with<TestType>(0x1e8, std::uint8_t{129}) == at(0x1e8));
}

TEST_CASE("32-bit registers and places", "[x86][linux_rules]")
{
    told_linux<linux32_entry> told;
    told.found.bx = 1;
    CHECK(told.verdict() == fault{fault_code::entry_contract_broken, stage::verifying, 1});
    told.found = {.si = 0x30'0000 | std::uint64_t{1} << 32}; // 32-bit code would read the low half
    CHECK(told.verdict() == out_of_reach(0x1'0030'0000_pa));
}

TEST_CASE("above 4 GiB lies what the kernel says can lie there", "[x86][linux_rules]")
{
    linux_told what{.pages = 0x1'3000'0000_pa};
    what.kernel.xloadflags = 3;
    what.kernel.pref_address = 0x100'0000;
    told_linux<linux64_entry> told{what};
    REQUIRE_FALSE(below_4g.contains(told.image.kernel));
    REQUIRE_FALSE(below_4g.contains(*told.image.initrd));
    CHECK(told.verdict() == no_fault);
    // The same kernel, and it does not say so.
    set_field(told.image.header, lobos::setup_header::xloadflags, std::uint16_t{1});
    told.put(0x236, std::uint16_t{1});
    CHECK(told.verdict() == out_of_reach(0x1'3000'0000_pa));
    // Or has no place to say it.
    set_field(told.image.header, lobos::setup_header::xloadflags, std::uint16_t{3});
    told.put(0x236, std::uint16_t{3});
    set_field(told.image.header, lobos::setup_header::version, std::uint16_t{0x20b});
    told.put(0x206, std::uint16_t{0x20b});
    told.image.version = 0x20b;
    CHECK(told.verdict() == out_of_reach(0x1'3000'0000_pa));
}

TEMPLATE_LIST_TEST_CASE("the firmware's tables survive the copy", "[x86][linux_rules]", both_entries)
{
    constexpr phys_addr rsdp = 0x30'0070_pa, signature = 0x30'01c0_pa, table = 0x30'01c4_pa, map = 0x30'01d0_pa,
                        map_size = 0x30'01d4_pa;
    const auto efi = [](std::size_t offset, auto value) { return with<TestType>(offset, value, {.efi = firmware}); };
    CHECK(with<TestType>(0x70, std::uint64_t{0xf'0000}) == no_fault);
    CHECK(with<TestType>(0x70, std::uint64_t{0x100'0000 - 19}) == broken_at(rsdp)); // the image's
    CHECK(with<TestType>(0x70, std::uint64_t{0x17f'ffff}) == broken_at(rsdp));
    CHECK(with<TestType>(0x70, std::uint64_t{0x100'0000 - 20}) == no_fault);
    CHECK(with<TestType>(0x70, std::uint64_t{0x20'0fff}) == broken_at(rsdp)); // the exec's
    CHECK(with<TestType>(0x70, ~std::uint64_t{0}) == broken_at(rsdp));
    for (const std::uint8_t revision : {std::uint8_t{0}, std::uint8_t{1}, std::uint8_t{2}, std::uint8_t{3}})
        for (const std::uint64_t size : {20u, 35u, 36u}) {
            told_linux<TestType> told;
            const std::uint64_t root = 0x100'0000 - size;
            store(told.memory, phys_addr::at(root + 15), revision);
            told.put(0x70, root);
            CHECK(told.verdict() == (revision < 2 || size == 36 ? no_fault : broken_at(rsdp)));
        }

    CHECK(efi(0x1c0, std::uint32_t{0x3436'4c45}) == no_fault);
    for (const std::uint32_t other : {0x3233'4c45u, 0x3333'4c45u, 0u})
        CHECK(efi(0x1c0, other) == broken_at(signature));
    CHECK(efi(0x1c4, std::uint32_t{0x5001'0008}) == broken_at(table));
    CHECK(efi(0x1d8, std::uint32_t{1}) == broken_at(table));
    CHECK(efi(0x1cc, std::uint32_t{2}) == broken_at(0x30'01cc_pa));
    for (const std::uint32_t size : {0u, 7u})
        CHECK(efi(0x1c8, size) == broken_at(map_size));
    CHECK(efi(0x1d4, std::uint32_t{0}) == broken_at(map_size));
    told_linux<TestType> told{{.efi = firmware}};
    REQUIRE(told.verdict() == no_fault);
    const auto at = told.template get<std::uint32_t>(0x1d0);
    told.put(0x1c8, std::uint32_t{24});
    CHECK(told.verdict() == broken_at(phys_addr::at(at))); // descriptors of another size
    told.put(0x1c8, std::uint32_t{48});
    for (const std::uint32_t elsewhere : {0x100'0000u, 0x20'0000u}) { // the image's, the exec's
        told.put(0x1d0, elsewhere);
        CHECK(told.verdict() == not_safe(phys_addr::at(elsewhere)));
    }
    told.put(0x1d0, std::uint32_t{0x30'0e00});
    CHECK(told.verdict() == broken_at(map));
    told.put(0x1d0, at);
    CHECK(told.verdict() == no_fault);
    // A system table that the image overwrites.
    const auto system_table = [&](bool is_64_bit, std::uint32_t place) {
        told.what.efi->is_64_bit = is_64_bit;
        told.what.efi->system_table = phys_addr::at(place);
        told.put(0x1c0, std::uint32_t{is_64_bit ? 0x3436'4c45u : 0x3233'4c45u});
        told.put(0x1c4, place);
        return told.verdict();
    };
    for (const bool is_64_bit : {false, true}) {
        const std::uint32_t size = is_64_bit ? 120 : 72;
        CHECK(system_table(is_64_bit, 0x100'0000) == broken_at(table));
        CHECK(system_table(is_64_bit, 0x100'0000 - size + 1) == broken_at(table));
        CHECK(system_table(is_64_bit, 0x100'0000 - size) == no_fault);
    }
}

TEST_CASE("of a firmware that is not known nothing is told, and of one that is all", "[x86][linux_rules]")
{
    CHECK(with<linux32_entry>(0x1c4, std::uint32_t{0x5001'0000}) == broken_at(0x30'01c6_pa));
    CHECK(with<linux32_entry>(0x1dc, std::uint32_t{1}) == broken_at(0x30'01dc_pa));
    told_linux<linux32_entry> told;
    told.what.efi = firmware;
    CHECK(told.verdict() == broken_at(0x30'01c0_pa));
}
