// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/multiboot_rules.hpp>

#include <lobos/x86/multiboot_entry.hpp>

#include <tests/catch.hpp>
#include <tests/support/told.hpp>

using namespace lobos;
using namespace lobos::test;
using x86::multiboot_entry;

namespace {

/// A file with load addresses: 0x800 bytes from 1 MiB on, entered at 0x10'0100.
bytes file_with_addresses()
{
    bytes file(0x900, std::byte{0x90});
    const std::uint32_t words[] = {
        0x1bad'b002, 0x1'0003, 0u - 0x1bad'b002u - 0x1'0003u, 0x10'0040, 0x10'0000, 0x10'0800, 0x10'1000, 0x10'0100};
    for (std::size_t i = 0; i < 8; ++i)
        patch(file, 0x40 + 4 * i, 4, words[i]);
    return file;
}

// The structure takes 116 bytes, the map 8 entries of 24, the list 2 of 16, then the strings.
struct told : told_exec {
    static constexpr std::uint64_t map = page + 116, entries = 8, list = map + entries * 24, strings = list + 32;
    multiboot_entry contract = *multiboot_entry::make(*load_multiboot(file), modules, "quiet 1");
    told() : told_exec{file_with_addresses()} { REQUIRE(write(contract) == no_fault); }
    fault with(std::uint64_t at, unsigned width, std::uint64_t value)
    {
        return told_exec::with(contract, at, width, value);
    }
    fault asked() { return told_exec::asked(contract); }
};

} // namespace

TEST_CASE("what a multiboot 1 image is told holds")
{
    told t;
    REQUIRE(t.handed.map.regions().size() == told::entries);
    CHECK(t.at(told::page + 44, 4) == told::entries * 24);
    CHECK(t.asked() == no_fault);
}

TEST_CASE("registers of a multiboot 1 image that are wrong")
{
    told t;
    t.found.ax ^= 1;
    CHECK(t.asked() == broken(told::frame + 240));
    t.found.ax ^= 1 ^ (std::uint64_t{1} << 40);
    CHECK(t.asked() == broken(told::frame + 240));
    t.found.ax = 0x2bad'b002;
    t.found.bx += 2;
    CHECK(t.asked() == broken(told::frame + 248));
    t.found.bx = 0x1'2000;
    CHECK(t.asked() == outside(0x1'2000));
    t.found.bx = told::page + 0x1000 - 112;
    CHECK(t.asked() == outside(told::page + 0x1000 - 112));
    t.found.bx = 0x1'0001'3000;
    CHECK(t.asked() == outside(0x1'0001'3000));
    t.found.bx = told::page;
    t.found.real_base = 0x10;
    CHECK(t.asked() == broken(told::frame + 216));
}

TEST_CASE("an entry of multiboot 1 that the file does not name")
{
    told t;
    CHECK(t.with(told::file_at + 0x40 + 28, 4, 0x10'0104) == broken(0x10'0100));
    t.plan.entry = 0x10'0101_va;
    CHECK(t.asked() == broken(0x10'0101));
    t.plan.entry = 0x10'0100_va;
    CHECK(t.with(told::file_at + 0x40, 4, 0) == broken(0x10'0100)); // no header
    CHECK(t.with(told::file_at + 0x48, 4, 0) == broken(0x10'0100)); // none with its checksum
}

TEST_CASE("flags of multiboot 1 announce what is there and nothing else")
{
    told t;
    const std::uint64_t flags = t.at(told::page, 4);
    CHECK(flags == 0x4d);
    for (unsigned bit = 0; bit < 32; ++bit) {
        CAPTURE(bit);
        const fault said = t.with(told::page, 4, flags ^ std::uint64_t{1} << bit);
        CHECK(said == (bit == 9 ? outside(0) : broken(told::page))); // the loader's name would be at 0
    }
}

TEST_CASE("a memory map of multiboot 1 that is not true")
{
    told t;
    const std::uint64_t length = told::page + 44, at = told::page + 48, first = told::map;
    CHECK(t.with(length, 4, told::entries * 24 - 24) == broken(length)); // memory left out
    CHECK(t.with(length, 4, told::entries * 24 - 1) == broken(length));
    CHECK(t.with(length, 4, 0) == broken(length));
    CHECK(t.with(length, 4, told::entries * 24 + 1).code == fault_code::entry_contract_broken);
    CHECK(t.with(at, 4, 0x5000) == outside(0x5000));
    CHECK(t.with(at, 4, 0xffff'fff0) == outside(0xffff'fff0));
    CHECK(t.with(first, 4, 19) == broken(first));
    CHECK(t.with(first, 4, 0xffff'ffff) == broken(first));
    CHECK(t.with(first + 12, 8, 0) == broken(first));
    CHECK(t.with(first + 12, 8, ~0ull) == broken(first)); // beyond the running kernel's memory
    CHECK(t.with(first + 4, 8, ~0ull) == broken(first));
    // Entries: 0 usable, 1 stack, 2 usable or safe ...: each that is not usable, called usable.
    for (std::uint64_t i = 0; i < told::entries; ++i) {
        CAPTURE(i);
        const std::uint64_t entry = first + i * 24, type = t.at(entry + 20, 4);
        if (type != 1)
            CHECK(t.with(entry + 20, 4, 1) == broken(entry));
        else
            CHECK(t.with(entry + 20, 4, 2) == broken(length));
        for (const std::uint32_t unknown : {0u, 6u, 0x6c6f'6255u})
            CHECK(t.with(entry + 20, 4, unknown) == broken(entry));
        if (i != 0)
            CHECK(t.with(entry + 4, 8, 0) == broken(entry)); // not in order
    }
}

TEST_CASE("sizes of multiboot 1 that are not free")
{
    told t;
    const std::uint64_t lower = told::page + 4, upper = told::page + 8;
    CHECK(t.at(lower, 4) == 0x1'1000 >> 10);
    CHECK(t.at(upper, 4) == (0x600'0000 - 0x10'0000) >> 10);
    CHECK(t.with(lower, 4, 0) == no_fault);
    CHECK(t.with(lower, 4, (0x1'1000 >> 10) + 1) == broken(lower));
    CHECK(t.with(lower, 4, 641) == broken(lower));
    CHECK(t.with(upper, 4, ((0x600'0000 - 0x10'0000) >> 10) + 1) == broken(upper));
    CHECK(t.with(upper, 4, 0xffff'ffff) == broken(upper));
}

TEST_CASE("modules of multiboot 1 that are not those of the image")
{
    told t;
    const std::uint64_t count = told::page + 20, at = told::page + 24;
    CHECK(t.at(at, 4) == told::list);
    CHECK(t.with(count, 4, 1) == broken(count));
    CHECK(t.with(count, 4, 3).code == fault_code::entry_contract_broken);
    CHECK(t.with(count, 4, 0xffff'ffff).code == fault_code::entry_contract_broken);
    CHECK(t.with(at, 4, told::page - 8) == outside(told::page - 8));
    CHECK(t.with(told::list, 4, told::module_at + 0x1000) == broken(told::list));
    CHECK(t.with(told::list + 4, 4, told::module_at + 0x1233) == broken(told::list));
    CHECK(t.with(told::list + 4, 4, told::module_at) == broken(told::list));
    CHECK(t.with(told::list + 16, 8, t.at(told::list, 8)) == broken(told::list + 16)); // the first one twice
    t.image.back().role = segment_role::kernel;
    CHECK(t.asked() == broken(told::list + 16));
}

TEST_CASE("modules of multiboot 1 that are not aligned as the image wants")
{
    told t;
    t.image.back().destination = phys_range::of(0x40'0010_pa, 1_bytes);
    CHECK(t.with(told::list + 16, 8, 0x40'0011'0040'0010) == broken(told::list + 16));
}

TEST_CASE("strings of multiboot 1 that do not end, or lie elsewhere")
{
    told t;
    CHECK(t.with(told::page + 16, 4, 0x5000) == outside(0x5000));
    CHECK(t.with(told::list + 8, 4, 0x5000) == outside(0x5000));
    CHECK(t.with(told::list + 8, 4, 0) == no_fault); // none
    const bytes noise(0x1000 - (told::strings - told::page), std::byte{'x'});
    t.memory.write(phys_addr::at(told::strings), noise);
    CHECK(t.asked() == outside(told::page + 0x1000));
}
