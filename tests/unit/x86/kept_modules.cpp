// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/kept_modules.hpp>

#include <tests/catch.hpp>
#include <tests/support/byte_memory.hpp>

using namespace lobos;
using namespace lobos::test;
using enum fault_code;

namespace {

fault loading(fault_code code, std::uint64_t at)
{
    return {code, stage::loading, at};
}

std::vector<multiboot_module> modules(std::size_t count)
{
    std::vector<multiboot_module> list;
    for (std::size_t i = 0; i < count; ++i)
        list.push_back({phys_range::of(phys_addr::at(0x80'0000 + i * 0x2000), 0x1234_bytes), "boot/file"});
    return list;
}

} // namespace

TEST_CASE("modules that lie in memory stay there")
{
    auto image = *load_flat(hollow_file{0x1000}, 0x10'0000_pa);
    const auto list = modules(2);
    REQUIRE(x86::keep_modules(image.segments, list, 4_KiB));
    REQUIRE(image.segments.size() == 3);
    for (std::size_t i = 0; i < 2; ++i) {
        const segment& s = image.segments[1 + i];
        CHECK(s.destination == list[i].range);
        CHECK(s.what == content::kept);
        CHECK(s.role == segment_role::module);
        CHECK(s.file.empty());
    }
}

TEST_CASE("modules that were placed are segments already")
{
    const memory_map map{{phys_range::between(0_pa, 0xff'ffff_pa), region_kind::usable}};
    auto image = *load_flat(hollow_file{0x1000}, 0x10'0000_pa);
    const auto placed = add_module(image, hollow_file{0x1234}, map.map);
    REQUIRE(placed);
    auto list = modules(1);
    list.push_back({*placed, "placed"});
    list.push_back({image.segments[0].destination, "the kernel is no module"});
    REQUIRE(x86::keep_modules(image.segments, list));
    REQUIRE(image.segments.size() == 4);
    CHECK(image.segments[1].what == content::copy);
    CHECK(image.segments[2].destination == list[0].range);
    CHECK(image.segments[3].destination == list[2].range);
    CHECK(image.segments[3].what == content::kept); // and overlaps the kernel, which the verifier refuses
}

TEST_CASE("modules that cannot be told")
{
    auto image = *load_flat(hollow_file{0x1000}, 0x10'0000_pa);
    CHECK(fault_of(x86::keep_modules(image.segments, modules(max_segments))) == loading(no_space, max_segments + 1));
    CHECK(image.segments.size() == 1);
    auto list = modules(3);
    list[2].range = phys_range::of(0x90'0800_pa, 1_bytes);
    CHECK(fault_of(x86::keep_modules(image.segments, list, 4_KiB)) == loading(misaligned, 0x90'0800));
    list[2] = list[0];
    CHECK(fault_of(x86::keep_modules(image.segments, list)) == loading(destinations_overlap, 0x80'0000));
    CHECK(image.segments.size() == 1);
    CHECK(x86::keep_modules(image.segments, modules(max_segments - 1)));
    CHECK(image.segments.size() == max_segments);
}
