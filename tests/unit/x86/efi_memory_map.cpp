// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/efi_memory_map.hpp>

#include <tests/catch.hpp>
#include <tests/support/byte_memory.hpp>

using namespace lobos;
using namespace lobos::test;
using enum fault_code;

namespace {

constexpr phys_addr at = 0x5000_pa;

fault staging(fault_code code, phys_addr where)
{
    return {code, stage::staging, where.raw()};
}

/// Two descriptors, and one of no pages between them, each of `size` bytes.
struct firmware_map {
    std::uint32_t size = 48;
    byte_memory memory{0x1000, at};
    efi_firmware firmware{true, 0x7000_pa, phys_range::of(at, byte_count::of(3 * size)), size, 1};

    void put(unsigned index, unsigned field, unsigned width, std::uint64_t value)
    {
        bytes one(width);
        patch(one, 0, width, value);
        memory.write(at + byte_count::of(index * size + field), one);
    }
    void fill()
    {
        for (const unsigned index : {0u, 2u}) {
            put(index, 0, 4, 5 + index);
            put(index, 8, 8, 0x10'0000 * (index + 1));
            put(index, 24, 8, index + 1);
            put(index, 32, 8, 0x8000'0000'0000'000f);
        }
        put(1, 0, 4, 7);
    }
    fault read(std::vector<std::pair<std::uint32_t, phys_range>>& seen)
    {
        return fault_of(efi::for_each_descriptor(
            memory, firmware, stage::staging, [&](const efi::descriptor& d, phys_range r) -> result<void> {
                seen.emplace_back(d.type, r);
                CHECK(d.attributes == (efi::descriptor::at_run_time | 15));
                return {};
            }));
    }
    fault read()
    {
        std::vector<std::pair<std::uint32_t, phys_range>> seen;
        return read(seen);
    }
};

} // namespace

TEST_CASE("descriptors are as long as the firmware says", "[x86][efi]")
{
    for (const std::uint32_t size : {40u, 48u, 56u, 1000u}) {
        CAPTURE(size);
        firmware_map map{size};
        map.fill();
        std::vector<std::pair<std::uint32_t, phys_range>> seen;
        CHECK(map.read(seen) == no_fault);
        REQUIRE(seen.size() == 2);
        CHECK(seen[0].first == efi::runtime_services_code);
        CHECK(seen[0].second == phys_range::of(0x10'0000_pa, 4_KiB));
        CHECK(seen[1].first == efi::conventional);
        CHECK(seen[1].second == phys_range::of(0x30'0000_pa, 12_KiB));
    }
}

TEST_CASE("an EFI memory map is believed in nothing", "[x86][efi]")
{
    firmware_map map;
    map.fill();
    map.firmware.descriptor_version = 2;
    CHECK(map.read() == staging(unsupported, at));
    map.firmware.descriptor_version = 1;
    for (const std::uint32_t size : {0u, 39u}) {
        map.firmware.descriptor_size = size;
        CHECK(map.read() == staging(bad_header, at));
    }
    map.firmware.descriptor_size = 48;
    for (const std::uint64_t size : {1ull, 47ull, 143ull, 145ull, 48ull << 32}) {
        map.firmware.memory_map = phys_range::of(at, byte_count::of(size));
        CHECK(map.read() == staging(bad_header, at));
    }
    map.firmware.memory_map = phys_range::of(at, 144_bytes);
    map.put(2, 8, 8, ~0ull - 0x2ffe);
    CHECK(map.read() == staging(bad_range, at + 96_bytes));
    map.put(2, 8, 8, ~0ull - 0x2fff); // the last pages that there are
    CHECK(map.read() == no_fault);
    map.put(2, 24, 8, ~0ull >> 11);
    CHECK(map.read() == staging(bad_range, at + 96_bytes));
}

TEST_CASE("a visit of a descriptor may be the last", "[x86][efi]")
{
    firmware_map map;
    map.fill();
    unsigned visits = 0;
    const auto seen = efi::for_each_descriptor(
        map.memory, map.firmware, stage::loading, [&](const efi::descriptor&, phys_range r) -> result<void> {
            ++visits;
            return refuse(no_space, stage::loading, r.first());
        });
    CHECK(fault_of(seen) == fault{no_space, stage::loading, 0x10'0000});
    CHECK(visits == 1);
}
