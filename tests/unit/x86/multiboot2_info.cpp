// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/multiboot2_info.hpp>

#include <tests/catch.hpp>
#include <tests/support/byte_memory.hpp>

using namespace lobos;
using namespace lobos::test;
using enum fault_code;

namespace {

constexpr std::uint64_t at = 0x9'0000; // where the block lies
constexpr std::size_t room = 4096;

phys_range span_of(std::uint64_t first, std::uint64_t last)
{
    return phys_range::between(phys_addr::at(first), phys_addr::at(last));
}
fault staging(fault_code code, std::uint64_t where)
{
    return {code, stage::staging, where};
}
fault loading(fault_code code, std::uint64_t where)
{
    return {code, stage::loading, where};
}

memory_map pc()
{
    return memory_map{{span_of(0, 0x9'fbff), region_kind::usable},
        {span_of(0x10'0000, 0x7ff'ffff), region_kind::usable},
        {span_of(0x1'0000'0000, 0x1'0000'0fff), region_kind::safe}};
}

const multiboot_module modules[] = {{span_of(0x20'0000, 0x20'0fff), "initrd"}, {span_of(0x30'0000, 0x30'0000), ""}};

// Tags at 0x08 command line (16), 0x18 loader (14), 0x28 module (23), 0x40 module (17), 0x58 sizes (16), 0x68 map
// (16 + 3 * 24 = 88), 0xc0 RSDP (8 + 20), 0xe0 end.
bytes small()
{
    bytes out(room, std::byte{0xa5}), rsdp(20, std::byte{0x11});
    const auto used = make_multiboot2_info(pc().map, modules, "quiet 1", {.rsdp = rsdp}, phys_addr::at(at), out);
    CHECK(fault_of(used) == no_fault);
    CHECK(used.value_or(0) == 0xe8);
    CHECK(out[0xe8] == std::byte{0xa5});
    return out;
}

struct booted {
    bytes block = small();
    byte_memory memory{room, phys_addr::at(at)};
    booted& set(std::size_t offset, std::size_t width, std::uint64_t value)
    {
        patch(block, offset, width, value);
        return *this;
    }
    multiboot2_reader<byte_memory> reader()
    {
        memory.write(phys_addr::at(at), block);
        return {memory, phys_addr::at(at)};
    }
    fault read()
    {
        memory_map into{};
        return fault_of(reader().read_memory_map(into.map));
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

TEST_CASE("what is written for multiboot 2 is read")
{
    booted b;
    const auto reader = b.reader();
    memory_map read{};
    REQUIRE(reader.read_memory_map(read.map));
    const memory_map wanted = pc();
    REQUIRE(read.map.regions().size() == 3);
    CHECK(std::equal(read.map.regions().begin(), read.map.regions().end(), wanted.map.regions().begin()));
    CHECK(reader.module_count() == 2u);
    char text[8];
    const auto first = reader.module(0), second = reader.module(1);
    REQUIRE((first && *first && second && *second));
    CHECK((*first)->start == 0x20'0000_pa);
    CHECK((*first)->size == 4_KiB);
    CHECK(reader.string((*first)->string, text).value_or("?") == "initrd");
    CHECK((*second)->size == 1_bytes);
    CHECK(reader.string((*second)->string, text).value_or("?").empty());
    CHECK_FALSE(reader.module(2)->has_value());
    const auto line = reader.command_line();
    REQUIRE((line && *line));
    CHECK(reader.string(**line, text).value_or("?") == "quiet 1");
    CHECK(fault_of(reader.string(**line, std::span{text}.first(7))) == loading(command_line_too_long, 7));
    CHECK(fault_of(reader.string({(*line)->at, 3_bytes}, text)) == loading(command_line_too_long, 3));
    const auto rsdp = reader.rsdp();
    REQUIRE((rsdp && *rsdp));
    CHECK((*rsdp)->at == phys_addr::at(at + 0xc8));
    CHECK((*rsdp)->size == 20_bytes);
}

TEST_CASE("what cannot be told by multiboot 2 is refused")
{
    bytes out(room), rsdp(36);
    const auto make = [&](std::uint64_t where, std::size_t size, std::span<const std::byte> root) {
        return fault_of(make_multiboot2_info(
            memory_map{}.map, {}, "", {.rsdp = root}, phys_addr::at(where), std::span{out}.first(size)));
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
    const multiboot_module high[] = {{span_of(0x1000, 0xffff'ffff), ""}}, named[] = {{span_of(0, 1), {"a\0b", 3}}};
    const auto with = [&](std::span<const multiboot_module> m, const region_map& map, std::string_view line) {
        return fault_of(make_multiboot2_info(map, m, line, {}, phys_addr::at(at), out));
    };
    CHECK(with(high, pc().map, "") == staging(bad_range, 0x1000));
    CHECK(with(named, pc().map, "") == staging(command_line_too_long, 3));
    CHECK(with({}, pc().map, {"\0", 1}) == staging(command_line_too_long, 1));
    CHECK(with({}, memory_map{{span_of(0, ~0ull), region_kind::usable}}.map, "") == staging(bad_range, 0));
}

TEST_CASE("a root pointer of ACPI 2.0 is told in both words of multiboot 2")
{
    bytes out(room, std::byte{0xa5}), rsdp;
    for (int i = 0; i < 36; ++i)
        rsdp.push_back(static_cast<std::byte>(i + 1));
    const auto used = make_multiboot2_info(memory_map{}.map, {}, "", {.rsdp = rsdp}, phys_addr::at(at), out);
    REQUIRE(fault_of(used) == no_fault);
    CHECK(*used == 160);
    CHECK(peek(out, 72, 4) == 14);
    CHECK(peek(out, 76, 4) == 28);
    CHECK(std::equal(rsdp.begin(), rsdp.begin() + 20, out.begin() + 80));
    CHECK(peek(out, 100, 4) == 0);
    CHECK(peek(out, 104, 4) == 15);
    CHECK(peek(out, 108, 4) == 44);
    CHECK(std::equal(rsdp.begin(), rsdp.end(), out.begin() + 112));
    CHECK(peek(out, 148, 4) == 0);
    CHECK(peek(out, 152, 8) == 0x8'0000'0000);
    byte_memory memory{room, phys_addr::at(at)};
    memory.write(phys_addr::at(at), out);
    const auto found = multiboot2_reader{memory, phys_addr::at(at)}.rsdp();
    REQUIRE((found && *found));
    CHECK((*found)->at == phys_addr::at(at + 112));
    CHECK((*found)->size == 36_bytes);
}

TEST_CASE("the EFI system table in the words of multiboot 2")
{
    bytes out(room, std::byte{0xa5});
    const auto make = [&](bool is_64, std::uint64_t table) {
        return fault_of(make_multiboot2_info(memory_map{}.map, {}, "",
            {.efi = multiboot2_efi{is_64, phys_addr::at(table)}}, phys_addr::at(at), std::span{out}.first(96)));
    };
    REQUIRE(make(true, 0x1234'5678'9abc'def0) == no_fault);
    CHECK(peek(out, 72, 4) == 12);
    CHECK(peek(out, 76, 4) == 16);
    CHECK(peek(out, 80, 8) == 0x1234'5678'9abc'def0);
    CHECK(peek(out, 88, 8) == 0x8'0000'0000);
    REQUIRE(make(false, 0xffff'fff0) == no_fault);
    CHECK(peek(out, 72, 4) == 11);
    CHECK(peek(out, 76, 4) == 12);
    CHECK(peek(out, 80, 8) == 0xffff'fff0);
    CHECK(peek(out, 88, 8) == 0x8'0000'0000);
    CHECK(make(false, 0x1'0000'0000) == staging(bad_range, 0x1'0000'0000));
}

TEST_CASE("the block of multiboot 2 is believed in nothing")
{
    const struct {
        std::size_t offset, width;
        std::uint64_t value;
        fault wanted;
    } cases[] = {{0, 4, 7, loading(bad_header, at)}, {0, 4, 8, loading(bad_header, at + 8)},
        {0, 4, ~0u, loading(bad_header, at)}, {0, 4, 0xbf, loading(bad_header, at + 0x6c)}, {0, 4, 0xc0, no_fault},
        {0x0c, 4, 7, loading(bad_header, at + 0x0c)}, {0x0c, 4, 0xe1, loading(bad_header, at + 0x0c)},
        {0x0c, 4, ~0u, loading(bad_header, at + 0x0c)}, {0x6c, 4, 15, loading(bad_header, at + 0x6c)},
        {0x6c, 4, 16, no_fault}, {0x6c, 4, 87, loading(bad_header, at + 0x6c)},
        {0x70, 4, 23, loading(bad_header, at + 0x70)}, {0x70, 4, 0, loading(bad_header, at + 0x70)},
        {0x70, 4, 72, no_fault}, {0x70, 4, 73, loading(bad_header, at + 0x6c)},
        {0x98, 8, ~0ull, loading(bad_range, 0x10'0000)}, {0x68, 4, 99, no_fault}, // the two sizes are left
        {0x08, 8, 0x8'0000'0000, loading(bad_header, at)}};                       // an end tag, so there is no map
    for (const auto& c : cases) {
        CAPTURE(c.offset, c.value);
        CHECK(booted{}.set(c.offset, c.width, c.value).read() == c.wanted);
    }
    booted sizes;
    sizes.set(0x68, 4, 99);
    memory_map read{};
    REQUIRE(sizes.reader().read_memory_map(read.map));
    REQUIRE(read.map.regions().size() == 2);
    CHECK(read.map.regions()[1].range == span_of(0x10'0000, 0x7ff'ffff));
    CHECK(fault_of(booted{}.set(0x34, 4, 0x1f'ffff).reader().module(0)) == loading(bad_header, at + 0x34));
    CHECK(fault_of(booted{}.set(0x44, 4, 16).reader().module_count()) == loading(bad_header, at + 0x44));
    CHECK(fault_of(booted{}.set(0x0c, 4, 8).reader().command_line()) == loading(bad_header, at + 0x0c));
    CHECK(fault_of(booted{}.set(0xc4, 4, 27).reader().rsdp()) == loading(bad_header, at + 0xc4));
    CHECK_FALSE(booted{}.set(0xc0, 4, 99).reader().rsdp()->has_value());
}
