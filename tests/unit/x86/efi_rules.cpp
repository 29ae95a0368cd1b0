// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/efi_rules.hpp>

#include <tests/support/told_linux.hpp>

using namespace lobos;
using namespace lobos::test;
using namespace lobos::x86;

namespace {

/// A Linux that is told of EFI firmware, and one field of one descriptor that is another.
struct told_efi : told_linux<linux32_entry> {
    phys_addr told_map = phys_addr::at(get<std::uint32_t>(0x1d0));
    std::size_t count = get<std::uint32_t>(0x1d4) / 48;

    told_efi() : told_linux{linux_told{.efi = firmware}} {}
    phys_addr at(std::size_t index) const { return told_map + byte_count::of(48 * index); }
    efi::descriptor one(std::size_t index) { return load<efi::descriptor>(memory, at(index)); }
    /// The first that is as asked.
    std::size_t find(std::uint32_t type, std::uint64_t physical)
    {
        for (std::size_t i = 0; i < count; ++i)
            if (one(i).type == type && one(i).physical == physical)
                return i;
        FAIL("no such descriptor");
        return 0;
    }
    fault with(std::size_t index, efi::descriptor other)
    {
        const auto good = one(index);
        store(memory, at(index), other);
        const fault said = verdict();
        store(memory, at(index), good);
        return said;
    }
};

} // namespace

TEST_CASE("a told EFI memory map is sound", "[x86][efi]")
{
    told_efi told;
    CHECK(told.verdict() == no_fault);
    // 0 to 2 MiB, a page of code, up to the parameters, these, up to ACPI's.
    CHECK(told.one(told.find(efi::conventional, 0x10'0000)).pages == 0x100);
    CHECK(told.one(told.find(efi::loader_data, 0x20'0000)).pages == 1);
    CHECK(told.one(told.find(efi::loader_data, 0x30'0000)).pages == told.pages.size());
    CHECK(told.one(told.find(efi::conventional, 0x1'0000'0000)).pages == 0x4'0000);
    for (std::size_t i = 0; i < told.count; ++i) {
        CAPTURE(i);
        efi::descriptor d = told.one(i);
        d.pages = 0;
        CHECK(told.with(i, d) == broken_at(told.at(i)));
        d.pages = std::uint64_t{1} << 52 | 1;
        CHECK(told.with(i, d) == broken_at(told.at(i)));
        d = told.one(i);
        d.physical = ~std::uint64_t{0xfff};
        d.pages += 1; // wraps
        CHECK(told.with(i, d) == broken_at(told.at(i)));
        d = told.one(i);
        d.physical += 8;
        CHECK(told.with(i, d) == broken_at(told.at(i)));
    }
}

TEST_CASE("what an EFI memory map calls free is free", "[x86][efi]")
{
    told_efi told;
    const std::size_t safe = told.find(efi::loader_data, 0x20'0000), nvs = told.find(6, 0x5001'0000);
    for (const std::uint32_t type : {1u, 2u, 3u, 4u, 7u}) {
        efi::descriptor d = told.one(safe);
        d.type = type;
        CHECK(told.with(safe, d) == (type <= 2 ? no_fault : broken_at(told.at(safe)))); // a loader's may be safe
        d.physical = 0x5000'0000; // ACPI's: its tables are read before it is free
        if (type <= 2 || type == 7)
            CHECK(told.with(safe, d) == broken_at(told.at(safe)));
        else
            CHECK(told.with(safe, d) == no_fault);
        d = told.one(nvs);
        d.type = type;
        d.attributes = 0;
        CHECK(told.with(nvs, d) != no_fault);
    }
    // What is told as a loader's is free later, to its last byte.
    efi::descriptor loaders = told.one(safe);
    loaders.physical = 0x1f'f000;
    loaders.pages = 3;
    CHECK(told.with(safe, loaders) == no_fault);
    for (const std::uint64_t first : {std::uint64_t{0xf'f000}, std::uint64_t{0x4fff'f000}}) {
        loaders.physical = first;
        loaders.pages = 2;
        CHECK(told.with(safe, loaders) == broken_at(told.at(safe)));
    }
    told_efi other;
    REQUIRE(other.map.map.add(phys_range::of(0x20'0000_pa, x86::page_size), region_kind::reserved));
    CHECK(other.verdict() == no_fault); // the exec's, by whatever name
    REQUIRE(other.map.map.add(phys_range::of(0x20'0000_pa, x86::page_size), region_kind::safe));
    CHECK(other.verdict() == no_fault);
    // What survives from kernel to kernel is not even boot services'.
    const std::size_t free = told.find(efi::conventional, 0x1'0000'0000);
    REQUIRE(told.map.map.add(phys_range::of(0x1'0000'0000_pa, x86::page_size), region_kind::surviving));
    CHECK(told.verdict() == broken_at(told.at(free)));
    efi::descriptor d = told.one(free);
    d.type = efi::boot_services_data;
    CHECK(told.with(free, d) == broken_at(told.at(free)));
    d.type = efi::reserved;
    CHECK(told.with(free, d) != broken_at(told.at(free)));
}

TEST_CASE("what EFI firmware works with is nobody else's", "[x86][efi]")
{
    constexpr std::uint64_t run_time = efi::descriptor::at_run_time;
    told_efi told;
    const std::size_t free = told.find(efi::conventional, 0x10'0000), code = told.find(5, 0x5002'0000);
    efi::descriptor d = told.one(free);
    d.attributes |= run_time;
    CHECK(told.with(free, d) == broken_at(told.at(free))); // free memory
    d.type = 5;
    CHECK(told.with(free, d) == broken_at(told.at(free)));
    REQUIRE(told.map.map.add(phys_range::of(0x5002'3000_pa, x86::page_size), region_kind::usable));
    CHECK(told.verdict() == broken_at(told.at(code))); // it was taken for free memory
    told_efi copied;
    copied.safe.push_back({phys_range::of(0x5002'1000_pa, x86::page_size), safe_role::plan});
    CHECK(copied.verdict() == broken_at(copied.at(code)));
    // None is lost, and none is changed.
    told_efi other;
    for (std::size_t i = 0; i < other.count; ++i) {
        const efi::descriptor is = other.one(i);
        if ((is.attributes & run_time) == 0)
            continue;
        efi::descriptor less = is;
        less.attributes &= ~run_time;
        CHECK(other.with(i, less) == broken_at(other.told_map));
        less = is;
        less.attributes ^= 1;
        CHECK(other.with(i, less) == broken_at(other.told_map));
        less = is;
        less.type = 0;
        CHECK(other.with(i, less) == broken_at(other.told_map));
        less = is;
        ++less.pages;
        CHECK(other.with(i, less) == broken_at(other.told_map));
        less = is;
        less.physical += 0x1000;
        CHECK(other.with(i, less) == broken_at(other.told_map));
    }
}
