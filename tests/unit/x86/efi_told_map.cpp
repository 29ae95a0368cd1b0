// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/efi_told_map.hpp>

#include <tests/catch.hpp>
#include <tests/support/byte_memory.hpp>
#include <tests/support/random_numbers.hpp>

using namespace lobos;
using namespace lobos::test;
using namespace lobos::efi;

namespace {

constexpr phys_addr source = 0x1000_pa, copy = 0x8000_pa;
constexpr std::uint64_t cached = 8, at_run_time = descriptor::at_run_time | cached;

phys_range pages_of(std::uint64_t first, std::uint64_t behind)
{
    return phys_range::of(phys_addr::at(first << 12), byte_count::of((behind - first) << 12));
}
descriptor told(std::uint32_t type, std::uint64_t first, std::uint64_t behind, std::uint64_t attributes = cached)
{
    return {type, 0, first << 12, 0, behind - first, attributes};
}

using descriptors = std::vector<descriptor>;

descriptors tell(const descriptors& of, const memory_map& map)
{
    byte_memory memory{0x1'0000};
    const std::uint32_t size = 48;
    const efi_firmware firmware{true, {}, phys_range::of(source, byte_count::of(of.size() * size)), size, 1};
    for (std::size_t i = 0; i < of.size(); ++i)
        store(memory, source + byte_count::of(i * size), of[i]);
    memory.write(copy, bytes(0x8000, std::byte{0xa5}));
    const auto room = told_size(memory, firmware, map.map);
    REQUIRE(fault_of(room) == no_fault);
    write_told(memory, firmware, map.map, copy);
    descriptors result;
    for (std::uint64_t offset = 0; offset < room->raw(); offset += size) {
        result.push_back(load<descriptor>(memory, copy + byte_count::of(offset)));
        CHECK(load<std::uint64_t>(memory, copy + byte_count::of(offset + 40)) == 0);
    }
    CHECK(load<std::uint64_t>(memory, copy + *room) == 0xa5a5'a5a5'a5a5'a5a5);
    return result;
}

} // namespace

TEST_CASE("what boot services left is one with its neighbours", "[x86][efi]")
{
    const memory_map map{{pages_of(0, 0x100), region_kind::usable}};
    const descriptors firmware = {told(conventional, 0, 0x10), told(boot_services_code, 0x10, 0x20),
        told(boot_services_data, 0x20, 0x30), told(loader_code, 0x30, 0x31), told(loader_data, 0x31, 0x80)};
    CHECK(tell(firmware, map) == descriptors{told(conventional, 0, 0x80)});
    // But not over a gap, and not with memory of another kind.
    descriptors apart = {told(conventional, 0, 0x10), told(loader_code, 0x11, 0x20), told(loader_data, 0x20, 0x21, 1)};
    for (descriptor& d : apart)
        d.type = conventional;
    CHECK(tell({told(conventional, 0, 0x10), told(loader_code, 0x11, 0x20), told(loader_data, 0x20, 0x21, 1)}, map) ==
        apart);
}

TEST_CASE("what the firmware works with is told as it is", "[x86][efi]")
{
    const memory_map map{{pages_of(0, 8), region_kind::usable}};
    descriptors firmware;
    for (const std::uint32_t type : {0u, 5u, 6u, 8u, 9u, 10u, 11u, 12u, 13u, 14u, 15u, 0x8000'0000u})
        firmware.push_back(told(type, 0x20 + firmware.size(), 0x21 + firmware.size(), at_run_time));
    CHECK(tell(firmware, map) == firmware);
    CHECK(tell({told(6, 0x20, 0x21), told(6, 0x21, 0x22)}, map).size() == 2);
    // By whatever name, and apart from what is free beside it.
    for (const std::uint32_t type : {1u, 2u, 3u, 4u, 7u}) {
        const descriptors mixed = {told(type, 0, 1, at_run_time), told(type, 1, 2, at_run_time),
            told(conventional, 2, 4), told(type, 4, 5, at_run_time), told(type, 0x20, 0x21, at_run_time)};
        const memory_map around{{pages_of(2, 4), region_kind::usable}, {pages_of(4, 5), region_kind::safe}};
        CHECK(tell(mixed, map) == mixed);
        CHECK(tell(mixed, around) == mixed);
    }
}

TEST_CASE("what is kept is not told as free", "[x86][efi]")
{
    const memory_map map{{pages_of(0, 4), region_kind::usable}, {pages_of(4, 6), region_kind::safe},
        {pages_of(6, 8), region_kind::usable}, {pages_of(8, 9), region_kind::reserved},
        {pages_of(10, 11), region_kind::surviving}, {pages_of(11, 12), region_kind::usable}};
    const auto kept = [](std::uint32_t sake) {
        return descriptors{told(conventional, 0, 4), told(loader_data, 4, 6), told(conventional, 6, 8),
            told(sake, 8, 9), told(reserved, 9, 11), told(conventional, 11, 12), told(reserved, 12, 13)};
    };
    const auto parts = [&](std::uint32_t type) {
        return tell({told(type, 0, 8), told(type, 8, 9), told(type, 9, 13)}, map);
    };
    CHECK(parts(conventional) == kept(reserved));
    CHECK(parts(loader_data) == kept(reserved));
    CHECK(parts(boot_services_code) == kept(boot_services_code)); // reserved for the sake of what lies in it
    CHECK(parts(boot_services_data) == kept(boot_services_data));
    // Together with what nobody knows it is no more than reserved.
    CHECK(tell({told(boot_services_data, 8, 10)}, map) == descriptors{told(reserved, 8, 10)});
}

TEST_CASE("only whole pages are told as free", "[x86][efi]")
{
    const memory_map map{{phys_range::between(0x1_pa, 0x1fff_pa), region_kind::usable},
        {phys_range::between(0x3000_pa, 0x4ffe_pa), region_kind::usable},
        {phys_range::between(0x6800_pa, 0x7000_pa), region_kind::usable}};
    CHECK(tell({told(conventional, 0, 8)}, map) ==
        descriptors{told(reserved, 0, 1), told(conventional, 1, 2), told(reserved, 2, 3), told(conventional, 3, 4),
            told(reserved, 4, 8)});
}

TEST_CASE("what was safe is free again for the next kernel but one", "[x86][efi]")
{
    descriptors now = {told(conventional, 0, 0x20), told(boot_services_data, 0x20, 0x30),
        told(6, 0x30, 0x31, at_run_time), told(loader_code, 0x31, 0x40)};
    const descriptors all_free = {
        told(conventional, 0, 0x30), told(6, 0x30, 0x31, at_run_time), told(conventional, 0x31, 0x40)};
    const phys_range usable[] = {pages_of(0, 0x30), pages_of(0x31, 0x40)};
    for (std::uint64_t generation = 0; generation < 3; ++generation) {
        const phys_range safe[] = {pages_of(4 * generation + 1, 4 * generation + 3),
            pages_of(0x1f + generation, 0x22 + generation), pages_of(0x33 + generation, 0x34 + generation)};
        memory_map map{{usable[0], region_kind::usable}, {usable[1], region_kind::usable}};
        for (const phys_range& r : safe)
            REQUIRE(map.map.add(r, region_kind::safe));
        now = tell(now, map);
        CHECK(now.size() == all_free.size() + 2 * std::size(safe));
        std::uint64_t free = 0, kept = 0;
        for (const descriptor& d : now)
            (d.type == conventional ? free : kept) += d.type == conventional || d.type == loader_data ? d.pages : 0;
        CHECK(free == 0x3f - 6);
        CHECK(kept == 6);
    }
    CHECK(tell(now, memory_map{{usable[0], region_kind::usable}, {usable[1], region_kind::usable}}) == all_free);
}

TEST_CASE("the last pages of the address space", "[x86][efi]")
{
    constexpr std::uint64_t end = std::uint64_t{1} << 52;
    const memory_map map{{pages_of(end - 2, end), region_kind::usable}};
    CHECK(tell({told(conventional, end - 4, end)}, map) ==
        descriptors{told(reserved, end - 4, end - 2), told(conventional, end - 2, end)});
    const memory_map lower{{pages_of(end - 4, end - 1), region_kind::usable}};
    CHECK(tell({told(conventional, end - 4, end)}, lower) ==
        descriptors{told(conventional, end - 4, end - 1), told(reserved, end - 1, end)});
}

TEST_CASE("page by page, any map and any memory", "[x86][efi]")
{
    random_numbers random{7};
    constexpr std::uint64_t all = 24;
    for (int round = 0; round < 300; ++round) {
        std::optional<region_kind> kinds[all];
        descriptor was[all];
        memory_map map{};
        descriptors firmware;
        for (std::uint64_t p = 0; p < all; ++p) {
            const auto kind = random.below(8);
            if (kind < 7)
                kinds[p] = static_cast<region_kind>(kind);
            if (kinds[p])
                REQUIRE(map.map.add(pages_of(p, p + 1), *kinds[p]));
            const auto type = static_cast<std::uint32_t>(random.below(11));
            if (p == 0 || random.below(3) == 0)
                firmware.push_back(told(type, p, p + 1));
            else
                ++firmware.back().pages;
            was[p] = firmware.back();
        }
        const descriptors now = tell(firmware, map);
        CHECK(now.size() <= firmware.size() + 2 * map.map.regions().size());
        std::uint64_t p = 0;
        for (const descriptor& d : now) {
            REQUIRE(d.physical == p << 12);
            for (std::uint64_t i = 0; i < d.pages; ++i, ++p) {
                const bool free = is_free(was[p].type), usable = kinds[p] == region_kind::usable,
                           safe = kinds[p] == region_kind::safe;
                CHECK((d.type == conventional) == (free && usable));
                if (!free)
                    CHECK(d.type == was[p].type);
                CHECK((d.type == loader_data) == (free && safe));
                if (free && !usable && !safe)
                    CHECK((d.type == reserved || (d.type == was[p].type && kinds[p] == region_kind::reserved)));
            }
        }
        CHECK(p == all);
    }
}

TEST_CASE("an EFI memory map that cannot be read is not told", "[x86][efi]")
{
    byte_memory memory{0x1'0000};
    const memory_map map{};
    const efi_firmware odd{true, {}, phys_range::of(source, 50_bytes), 48, 1};
    CHECK(fault_of(told_size(memory, odd, map.map)) == fault{fault_code::bad_header, stage::staging, source.raw()});
}
