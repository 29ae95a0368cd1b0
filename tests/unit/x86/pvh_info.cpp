// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/pvh_info.hpp>

#include <tests/catch.hpp>
#include <tests/support/byte_memory.hpp>

using namespace lobos;
using namespace lobos::test;
using enum fault_code;

namespace {

constexpr std::uint64_t at = 0x5000;
constexpr std::size_t room = 4096;

phys_range span_of(std::uint64_t first, std::uint64_t last)
{
    return phys_range::between(phys_addr::at(first), phys_addr::at(last));
}
fault staging(fault_code code, std::uint64_t where)
{
    return {code, stage::staging, where};
}

const multiboot_module modules[] = {{span_of(0x20'0000, 0x20'0fff), "initrd"}, {span_of(0x30'0000, 0x30'0000), ""}};

} // namespace

TEST_CASE("the start information of PVH byte for byte")
{
    const memory_map map{{span_of(0, 0x9'fbff), region_kind::usable},
        {span_of(0xe'0000, 0xf'ffff), region_kind::reserved}, {span_of(0x10'0000, 0x7ff'ffff), region_kind::usable},
        {span_of(0x1'0000'0000, 0x1'0000'0fff), region_kind::safe}};
    bytes out(room, std::byte{0xa5});
    const auto used = make_pvh_start_info(map.map, modules, "quiet 1", 0xf'5a10_pa, phys_addr::at(at), out);
    REQUIRE(fault_of(used) == no_fault);
    // 0x00 structure, 0x38 two modules, 0x78 four regions, 0xd8 strings
    REQUIRE(*used == 0xd8 + 8 + 7 + 1);
    const struct {
        std::size_t offset, width;
        std::uint64_t value;
    } words[] = {{0x00, 4, 0x336e'c578}, {0x04, 4, 1}, {0x08, 4, 0}, {0x0c, 4, 2}, {0x10, 8, at + 0x38},
        {0x18, 8, at + 0xd8}, {0x20, 8, 0xf'5a10}, {0x28, 8, at + 0x78}, {0x30, 4, 4}, {0x34, 4, 0},
        {0x38, 8, 0x20'0000}, {0x40, 8, 0x1000}, {0x48, 8, at + 0xe0}, {0x50, 8, 0}, {0x58, 8, 0x30'0000}, {0x60, 8, 1},
        {0x68, 8, at + 0xe7}, {0x70, 8, 0}, {0x78, 8, 0}, {0x80, 8, 0x9'fc00}, {0x88, 8, 1}, {0x90, 8, 0xe'0000},
        {0x98, 8, 0x2'0000}, {0xa0, 8, 2}, {0xa8, 8, 0x10'0000}, {0xb0, 8, 0x7f0'0000}, {0xb8, 8, 1},
        {0xc0, 8, 0x1'0000'0000}, {0xc8, 8, 0x1000}, {0xd0, 8, 2}, {0xe7, 1, 0}, {0xe8, 1, 0xa5}};
    for (const auto& w : words) {
        CAPTURE(w.offset);
        CHECK(peek(out, w.offset, w.width) == w.value);
    }
    CHECK(std::memcmp(out.data() + 0xd8, "quiet 1", 8) == 0);
    CHECK(std::memcmp(out.data() + 0xe0, "initrd", 7) == 0);
}

TEST_CASE("what is not there has no address in the start information of PVH")
{
    bytes out(57);
    REQUIRE(make_pvh_start_info(memory_map{}.map, {}, "", std::nullopt, phys_addr::at(at), out).value_or(0) == 57);
    CHECK(peek(out, 0x0c, 4) == 0);
    CHECK(peek(out, 0x10, 8) == 0);
    CHECK(peek(out, 0x18, 8) == at + 56);
    CHECK(peek(out, 0x20, 8) == 0);
    CHECK(peek(out, 0x28, 8) == 0);
    CHECK(peek(out, 0x30, 8) == 0);
}

TEST_CASE("what cannot be told by PVH is refused")
{
    bytes out(room);
    const auto make = [&](std::uint64_t where, std::size_t size) {
        return fault_of(make_pvh_start_info(
            memory_map{}.map, modules, "xyz", std::nullopt, phys_addr::at(where), std::span{out}.first(size)));
    };
    constexpr std::size_t needed = 56 + 64 + 4 + 7 + 1;
    CHECK(make(at, needed) == no_fault);
    CHECK(make(at, needed - 1) == staging(no_space, needed));
    CHECK(make(at + 4, room) == staging(misaligned, at + 4));
    CHECK(make(0x1'0000'0000 - needed / 8 * 8 - 8, room) == no_fault);
    CHECK(make(0x1'0000'0000 - needed / 8 * 8, room) == staging(bad_range, 0x1'0000'0000 - needed / 8 * 8));
    CHECK(make(0x1'0000'0000, room) == staging(bad_range, 0x1'0000'0000));
    const multiboot_module high[] = {{span_of(0x1000, 0x1'0000'0000), ""}}, named[] = {{span_of(0, 1), {"a\0b", 3}}};
    const auto with = [&](std::span<const multiboot_module> m, const region_map& map, std::string_view line,
                          std::optional<phys_addr> rsdp) {
        return fault_of(make_pvh_start_info(map, m, line, rsdp, phys_addr::at(at), out));
    };
    const memory_map none{}, whole{{span_of(0, ~0ull), region_kind::usable}};
    CHECK(with(high, none.map, "", {}) == staging(bad_range, 0x1000));
    CHECK(with(named, none.map, "", {}) == staging(command_line_too_long, 3));
    CHECK(with({}, none.map, {"\0", 1}, {}) == staging(command_line_too_long, 1));
    CHECK(with({}, none.map, "", 0_pa) == staging(bad_range, 0));
    CHECK(with({}, whole.map, "", {}) == staging(bad_range, 0));
}
