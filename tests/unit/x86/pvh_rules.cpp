// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/pvh_rules.hpp>

#include <lobos/x86/pvh_entry.hpp>

#include <tests/catch.hpp>
#include <tests/support/note_builder.hpp>
#include <tests/support/told.hpp>

using namespace lobos;
using namespace lobos::test;
using x86::pvh_entry;

namespace {

template <class Class> struct told_of : told_exec {
    // The structure takes 56 bytes, the list 2 of 32, the map 8 of 24, then the strings.
    static constexpr std::uint64_t list = page + 56, map = list + 64, strings = map + 8 * 24;
    pvh_entry contract = *pvh_entry::make(*load_pvh(file), modules, "quiet 1", 0xf'0010_pa);
    told_of() : told_exec{pvh_kernel<Class>()} { REQUIRE(write(contract) == no_fault); }
    fault with(std::uint64_t at, unsigned width, std::uint64_t value)
    {
        return told_exec::with(contract, at, width, value);
    }
    fault asked() { return told_exec::asked(contract); }
};
using told = told_of<elf64>;

} // namespace

TEMPLATE_TEST_CASE("what a PVH image is told holds", "", elf32, elf64)
{
    told_of<TestType> t;
    CHECK(t.at(told::page, 4) == 0x336e'c578);
    CHECK(t.asked() == no_fault);
}

TEST_CASE("registers of a PVH image that are wrong")
{
    told t;
    t.found.ax = 7; // means nothing
    CHECK(t.asked() == no_fault);
    t.found.bx += 4;
    CHECK(t.asked() == broken(told::frame + 248));
    t.found.bx = 0x1'2000;
    CHECK(t.asked() == outside(0x1'2000));
    t.found.bx = told::page + 0x1000 - 48;
    CHECK(t.asked() == outside(told::page + 0x1000 - 48));
    t.found.bx = told::page;
    t.found.real_base = 0x10;
    CHECK(t.asked() == broken(told::frame + 216));
}

TEST_CASE("an entry of PVH that no note names")
{
    told t;
    const std::uint64_t note = told::file_at + 0x400 + 36;
    CHECK(t.with(note + 16, 4, 0x10'0104) == broken(0x10'0100));
    CHECK(t.with(note + 20, 4, 1) == broken(0x10'0100)); // above 4 GiB
    CHECK(t.with(note + 8, 4, 17) == broken(0x10'0100));
    CHECK(t.with(note + 12, 1, 'x') == broken(0x10'0100));
    t.plan.entry = 0x10'0101_va;
    CHECK(t.asked() == broken(0x10'0101));
}

TEST_CASE("a start information that is none")
{
    told t;
    for (const std::uint64_t field : {0u, 4u, 8u, 52u})
        for (unsigned bit = 0; bit < 32; ++bit) {
            const std::uint64_t at = told::page + field;
            CHECK(t.with(at, 4, t.at(at, 4) ^ std::uint64_t{1} << bit) == broken(at));
        }
}

TEST_CASE("a root pointer of PVH that would be gone")
{
    told t;
    const std::uint64_t at = told::page + 32;
    CHECK(t.at(at, 8) == 0xf'0010);
    CHECK(t.with(at, 8, 0) == no_fault); // not known
    CHECK(t.with(at, 8, 0xf'0018) == broken(at));
    CHECK(t.with(at, 8, 0x1'0000'0000) == broken(at));
    CHECK(t.with(at, 8, 0x10'0000) == broken(at)); // the kernel's place
    CHECK(t.with(at, 8, 0xf'fff0) == broken(at));  // and before it
    CHECK(t.with(at, 8, 0x10'0130) == no_fault);
    CHECK(t.with(at, 8, told::page) == broken(at));
}

TEST_CASE("a memory map of PVH that is not true")
{
    told t;
    const std::uint64_t count = told::page + 48, at = told::page + 40;
    CHECK(t.at(at, 8) == told::map);
    CHECK(t.with(count, 4, 7) == broken(count)); // memory left out
    CHECK(t.with(count, 4, 0) == broken(count));
    CHECK(t.with(count, 4, 9).code == fault_code::entry_contract_broken);
    CHECK(t.with(count, 4, 0xffff'ffff).code == fault_code::entry_contract_broken);
    CHECK(t.with(at, 8, 0) == outside(0));
    CHECK(t.with(at, 8, ~0ull) == outside(~0ull));
    for (std::uint64_t i = 0; i < 8; ++i) {
        CAPTURE(i);
        const std::uint64_t entry = told::map + i * 24, type = t.at(entry + 16, 4);
        if (type != 1)
            CHECK(t.with(entry + 16, 4, 1) == broken(entry));
        else
            CHECK(t.with(entry + 16, 4, 2) == broken(count));
        CHECK(t.with(entry + 20, 4, 1) == broken(entry));
        CHECK(t.with(entry + 8, 8, 0) == broken(entry));
        for (const std::uint32_t unknown : {0u, 6u, 0x6c6f'6255u})
            CHECK(t.with(entry + 16, 4, unknown) == broken(entry));
        if (i != 0)
            CHECK(t.with(entry, 8, 0) == broken(entry));
    }
}

TEST_CASE("modules of PVH that are not those of the image")
{
    told t;
    const std::uint64_t count = told::page + 12, at = told::page + 16;
    CHECK(t.with(count, 4, 1) == broken(count));
    CHECK(t.with(count, 4, 3).code == fault_code::entry_contract_broken);
    CHECK(t.with(at, 8, told::page - 8) == outside(told::page - 8));
    CHECK(t.with(told::list, 8, told::module_at + 0x1000) == broken(told::list));
    CHECK(t.with(told::list + 8, 8, 0x1233) == broken(told::list));
    CHECK(t.with(told::list + 8, 8, 0) == broken(told::list));
    CHECK(t.with(told::list + 24, 8, 1) == broken(told::list));
    CHECK(t.with(told::list + 32, 4, told::module_at) == broken(told::list + 32));
    t.image.back().destination = phys_range::of(0x40'0010_pa, 1_bytes);
    CHECK(t.with(told::list + 32, 8, 0x40'0010) == broken(told::list + 32));
}

TEST_CASE("strings of PVH that do not end, or lie elsewhere")
{
    told t;
    CHECK(t.with(told::page + 24, 8, 0) == outside(0));
    CHECK(t.with(told::page + 24, 8, 0x5000) == outside(0x5000));
    CHECK(t.with(told::list + 16, 8, 0x5000) == outside(0x5000));
    CHECK(t.with(told::list + 16, 8, 0) == no_fault); // none
    const bytes noise(0x1000 - (told::strings - told::page), std::byte{'x'});
    t.memory.write(phys_addr::at(told::strings), noise);
    CHECK(t.asked() == outside(told::page + 0x1000));
}
