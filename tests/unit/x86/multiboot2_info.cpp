// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/multiboot2_info.hpp>

#include <tests/catch.hpp>
#include <tests/support/multiboot2_block.hpp>

using namespace lobos;
using namespace lobos::test;
using enum fault_code;

namespace {

using namespace multiboot2_block;

fault staging(fault_code code, std::uint64_t where)
{
    return {code, stage::staging, where};
}

/// What is written into `size` bytes at `where`.
struct written {
    byte_memory memory;
    fault said;
    byte_count used{};
    written(const region_map& map, std::span<const multiboot_module> m, std::string_view line,
        const multiboot2_machine& machine, std::uint64_t where = at, std::uint64_t size = room)
        : memory{static_cast<std::size_t>(size), phys_addr::at(where)},
          said{no_fault}
    {
        const auto done = write_multiboot2_info(
            memory, map, m, line, machine, phys_range::of(phys_addr::at(where), byte_count::of(size)));
        said = fault_of(done);
        used = done.value_or(byte_count{});
    }
    std::uint64_t operator()(std::uint64_t offset, unsigned width)
    {
        bytes out(width);
        memory.read(phys_addr::at(at + offset), out);
        return peek(out, 0, width);
    }
};

} // namespace

TEST_CASE("the block of multiboot 2 byte for byte")
{
    const bytes b = small();
    const struct {
        std::size_t offset, width;
        std::uint64_t value;
    } words[] = {{0, 4, 0xe8}, {4, 4, 0}, {0x08, 4, 1}, {0x0c, 4, 16}, {0x18, 4, 2}, {0x1c, 4, 14}, {0x26, 2, 0},
        {0x28, 4, 3}, {0x2c, 4, 23}, {0x30, 4, 0x20'0000}, {0x34, 4, 0x20'1000}, {0x3f, 1, 0}, {0x40, 4, 3},
        {0x44, 4, 17}, {0x48, 4, 0x30'0000}, {0x4c, 4, 0x30'0001}, {0x50, 8, 0}, {0x58, 4, 4}, {0x5c, 4, 16},
        {0x60, 4, 639}, {0x64, 4, 127 * 1024}, {0x68, 4, 6}, {0x6c, 4, 88}, {0x70, 4, 24}, {0x74, 4, 0}, {0x78, 8, 0},
        {0x80, 8, 0x9'fc00}, {0x88, 4, 1}, {0x8c, 4, 0}, {0x90, 8, 0x10'0000}, {0x98, 8, 0x7f0'0000}, {0xa0, 8, 1},
        {0xa8, 8, 0x1'0000'0000}, {0xb0, 8, 0x1000}, {0xb8, 8, 0x6c6f'6253}, {0xc0, 4, 14}, {0xc4, 4, 28},
        {0xc8, 8, 0x1111'1111'1111'1111}, {0xd8, 8, 0x1111'1111}, {0xe0, 4, 0}, {0xe4, 4, 8}};
    for (const auto& w : words) {
        CAPTURE(w.offset);
        CHECK(peek(b, w.offset, w.width) == w.value);
    }
    CHECK(std::memcmp(b.data() + 0x10, "quiet 1", 8) == 0);
    CHECK(std::memcmp(b.data() + 0x20, "lobos", 6) == 0);
    CHECK(std::memcmp(b.data() + 0x38, "initrd", 7) == 0);
}

TEST_CASE("what cannot be told by multiboot 2 is refused")
{
    bytes rsdp(36);
    const auto make = [&](std::uint64_t where, std::size_t size, std::span<const std::byte> root) {
        return written{memory_map{}.map, {}, "", {.rsdp = root}, where, size}.said;
    };
    // 8 + 16 (line) + 16 (name) + 16 (sizes) + 16 (map) + 8 (end)
    CHECK(make(at, 80, {}) == no_fault);
    CHECK(make(at, 79, {}) == staging(no_space, 80));
    CHECK(make(at, 160, rsdp) == no_fault);
    CHECK(make(at, 159, rsdp) == staging(no_space, 160));
    CHECK(make(at, 112, std::span{rsdp}.first(20)) == no_fault);
    CHECK(make(at, 111, std::span{rsdp}.first(20)) == staging(no_space, 112));
    CHECK(make(at, room, std::span{rsdp}.first(21)) == staging(bad_header, 21));
    CHECK(make(at + 4, room, {}) == staging(misaligned, at + 4));
    CHECK(make(0x1'0000'0000 - 80, room, {}) == no_fault);
    CHECK(make(0x1'0000'0000 - 72, room, {}) == staging(bad_range, 0x1'0000'0000 - 72));
    const multiboot_module high[] = {{from_to(0x1000, 0xffff'ffff), ""}}, named[] = {{from_to(0, 1), {"a\0b", 3}}};
    const auto with = [&](std::span<const multiboot_module> m, const region_map& map, std::string_view line) {
        return written{map, m, line, {}}.said;
    };
    CHECK(with(high, pc().map, "") == staging(bad_range, 0x1000));
    CHECK(with(named, pc().map, "") == staging(command_line_too_long, 3));
    CHECK(with({}, pc().map, {"\0", 1}) == staging(command_line_too_long, 1));
    CHECK(with({}, memory_map{{from_to(0, ~0ull), region_kind::usable}}.map, "") == staging(bad_range, 0));
}

TEST_CASE("a root pointer of ACPI 2.0 is told in both words of multiboot 2")
{
    bytes rsdp;
    for (int i = 0; i < 36; ++i)
        rsdp.push_back(static_cast<std::byte>(i + 1));
    written told{memory_map{}.map, {}, "", {.rsdp = rsdp}};
    REQUIRE(told.said == no_fault);
    CHECK(told.used == 160_bytes);
    CHECK(told(72, 4) == 14);
    CHECK(told(76, 4) == 28);
    CHECK(told(100, 4) == 0);
    CHECK(told(104, 4) == 15);
    CHECK(told(108, 4) == 44);
    for (std::size_t i = 0; i < 36; ++i) {
        CHECK(told(112 + i, 1) == i + 1);
        CHECK((i >= 20 || told(80 + i, 1) == i + 1));
    }
    CHECK(told(148, 4) == 0);
    CHECK(told(152, 8) == 0x8'0000'0000);
}

TEST_CASE("EFI's tables in the words of multiboot 2")
{
    constexpr std::uint64_t source = at + 0x800;
    const memory_map map{{from_to(0, 0xffff), region_kind::usable}, {from_to(0x1'0000, 0x1'ffff), region_kind::safe}};
    const auto tell = [&](bool is_64, std::uint64_t table, std::uint64_t size = 0x800, std::uint32_t version = 1) {
        byte_memory memory{room, phys_addr::at(at)};
        store(memory, phys_addr::at(source), efi::descriptor{efi::conventional, 0, 0, 0, 0x20, 15});
        store(memory, phys_addr::at(source + 48), efi::descriptor{6, 0, 0x7000'0000, 0, 1, 1ull << 63});
        const efi_firmware firmware{
            is_64, phys_addr::at(table), phys_range::of(phys_addr::at(source), 96_bytes), 48, version};
        const fault said = fault_of(write_multiboot2_info(
            memory, map.map, {}, "", {.efi = firmware}, phys_range::of(phys_addr::at(at), byte_count::of(size))));
        return std::pair{said, memory};
    };
    // 8 + 16 (line) + 16 (name) + 16 (sizes) + 64 (map): the system table, the map of three, the end
    constexpr std::uint64_t needed = 120 + 16 + 16 + 3 * 48 + 8;
    auto [said, memory] = tell(true, 0x1234'5678'9abc'def0);
    REQUIRE(said == no_fault);
    const auto word = [&](std::uint64_t offset) { return load<std::uint64_t>(memory, phys_addr::at(at + offset)); };
    CHECK(word(0) == needed);
    CHECK(word(120) == (16ull << 32 | 12));
    CHECK(word(128) == 0x1234'5678'9abc'def0);
    CHECK(word(136) == (160ull << 32 | 17));
    CHECK(word(144) == (1ull << 32 | 48));
    const efi::descriptor wanted[] = {{efi::conventional, 0, 0, 0, 0x10, 15},
        {efi::loader_data, 0, 0x1'0000, 0, 0x10, 15}, {6, 0, 0x7000'0000, 0, 1, 1ull << 63}};
    for (std::uint64_t i = 0; i < 3; ++i)
        CHECK(load<efi::descriptor>(memory, phys_addr::at(at + 152 + 48 * i)) == wanted[i]);
    CHECK(word(needed - 8) == 8ull << 32);
    auto [also, with_32] = tell(false, 0xffff'fff0);
    REQUIRE(also == no_fault);
    CHECK(load<std::uint64_t>(with_32, phys_addr::at(at + 120)) == (12ull << 32 | 11));
    CHECK(load<std::uint64_t>(with_32, phys_addr::at(at + 128)) == 0xffff'fff0);
    CHECK(load<std::uint64_t>(with_32, phys_addr::at(at + 136)) == (160ull << 32 | 17));
    CHECK(tell(false, 0x1'0000'0000).first == staging(bad_range, 0x1'0000'0000));
    CHECK(tell(true, 0, needed).first == no_fault);
    CHECK(tell(true, 0, needed - 1).first == staging(no_space, needed));
    CHECK(tell(true, 0, 0x800, 2).first == staging(unsupported, source));
}
