// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/image/pvh.hpp>

#include <tests/catch.hpp>
#include <tests/support/note_builder.hpp>

using namespace lobos;
using namespace lobos::test;
using enum fault_code;

namespace {

fault loading(fault_code code, std::uint64_t at)
{
    return {code, stage::loading, at};
}

} // namespace

TEMPLATE_TEST_CASE("a PVH image is entered where the note says", "", elf32, elf64)
{
    for (const std::size_t width : {4u, 8u}) {
        const scattered_file file{pvh_kernel<TestType>(0x10'0122, width)};
        CHECK(is_pvh(file));
        const auto image = load_pvh(file);
        REQUIRE(fault_of(image) == no_fault);
        CHECK(image->entry == 0x10'0122_pa);
        CHECK(image->segments.size() == 3);
        CHECK(image->segments[0].destination == phys_range::of(0x10'0000_pa, 0x123_bytes));
        CHECK(image->module_alignment == 4_KiB);
        CHECK(image->wants_memory_map);
    }
    bytes elsewhere = pvh_kernel<TestType>();
    patch(elsewhere, 24, sizeof(typename TestType::address), 0x7777); // e_entry is for others
    CHECK(load_pvh(scattered_file{elsewhere})->entry == 0x10'0100_pa);
}

TEMPLATE_TEST_CASE("an entry of PVH that is none", "", elf32, elf64)
{
    const auto said = [](std::uint64_t entry, std::size_t width) {
        return fault_of(load_pvh(scattered_file{pvh_kernel<TestType>(entry, width)}));
    };
    const std::uint64_t descriptor = 0x400 + 36 + 16;
    CHECK(said(0x10'0123, 4) == loading(entry_not_in_image, 0x10'0123));
    CHECK(said(0x10'0100, 5) == loading(bad_header, descriptor));
    CHECK(said(0x10'0100, 0) == loading(bad_header, descriptor));
    CHECK(said(0x1'0010'0100, 8) == loading(bad_header, descriptor));
    CHECK(said(0xffff'ffff, 8) == loading(entry_not_in_image, 0xffff'ffff));
}

TEMPLATE_TEST_CASE("what is no PVH image", "", elf32, elf64)
{
    auto kernel = small_kernel<TestType>();
    kernel.parts[1].p_type = PT_NULL;
    const scattered_file plain{kernel.build()};
    CHECK_FALSE(is_pvh(plain));
    CHECK(fault_of(load_pvh(plain)) == loading(unknown_format, 0));
    CHECK_FALSE(is_pvh(hollow_file{100}));
    CHECK(fault_of(load_pvh(hollow_file{100})) == loading(unknown_format, 0));
    bytes broken = pvh_kernel<TestType>();
    patch(broken, 0x400, 4, 0xffff'ffff);
    CHECK_FALSE(is_pvh(scattered_file{broken}));
    CHECK(fault_of(load_pvh(scattered_file{broken})) == loading(bad_header, 0x400));
    bytes other = pvh_kernel<TestType>();
    patch(other, 18, 2, EM_ALPHA);
    CHECK(is_pvh(scattered_file{other}));
    CHECK(fault_of(load_pvh(scattered_file{other})) == loading(unsupported, 18));
}

TEST_CASE("a PVH image above 4 GiB is out of reach")
{
    bytes file = pvh_kernel<elf64>();
    patch(file, 64 + 24, 8, 0x1'0000'0000);
    CHECK(fault_of(load_pvh(scattered_file{file})) == loading(bad_range, 0x1'0000'0000));
}
