// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/multiboot2_reader.hpp>

#include <lobos/x86/multiboot2_info.hpp>

#include <tests/catch.hpp>
#include <tests/support/multiboot2_block.hpp>

using namespace lobos;
using namespace lobos::test;
using enum fault_code;

namespace {

using namespace multiboot2_block;

fault loading(fault_code code, std::uint64_t where)
{
    return {code, stage::loading, where};
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
    CHECK(read.map.regions()[1].range == from_to(0x10'0000, 0x7ff'ffff));
    CHECK(fault_of(booted{}.set(0x34, 4, 0x1f'ffff).reader().module(0)) == loading(bad_header, at + 0x34));
    CHECK(fault_of(booted{}.set(0x44, 4, 16).reader().module_count()) == loading(bad_header, at + 0x44));
    CHECK(fault_of(booted{}.set(0x0c, 4, 8).reader().command_line()) == loading(bad_header, at + 0x0c));
    CHECK(fault_of(booted{}.set(0xc4, 4, 27).reader().rsdp()) == loading(bad_header, at + 0xc4));
    CHECK_FALSE(booted{}.set(0xc0, 4, 99).reader().rsdp()->has_value());
}

TEST_CASE("EFI firmware that multiboot 2 tells of")
{
    constexpr std::uint64_t block = 0x1000, source = 0x800;
    byte_memory memory{0x3000};
    store(memory, phys_addr::at(source), efi::descriptor{efi::conventional, 0, 0, 0, 0x20, 15});
    const auto write = [&](bool is_64, std::uint64_t table) {
        const efi_firmware firmware{
            is_64, phys_addr::at(table), phys_range::of(phys_addr::at(source), 40_bytes), 40, 1};
        const memory_map map{{from_to(0, 0x1'ffff), region_kind::usable}};
        REQUIRE(fault_of(write_multiboot2_info(memory, map.map, {}, "", {.efi = firmware},
                    phys_range::of(phys_addr::at(block), 4_KiB))) == no_fault);
    };
    const auto read = [&] { return multiboot2_reader{memory, phys_addr::at(block)}.efi(); };
    const auto with = [&](std::uint64_t offset, std::uint32_t value) {
        const auto old = load<std::uint32_t>(memory, phys_addr::at(block + offset));
        store(memory, phys_addr::at(block + offset), value);
        const auto said = read();
        store(memory, phys_addr::at(block + offset), old);
        return said;
    };
    // The map of memory takes 40 bytes, so EFI's system table is at 96, its memory map at 112, the end at 168.
    write(true, 0x9'8765'4321);
    const auto wide = read();
    REQUIRE((wide && *wide));
    CHECK((*wide)->is_64_bit);
    CHECK((*wide)->system_table == 0x9'8765'4321_pa);
    CHECK((*wide)->memory_map == phys_range::of(phys_addr::at(block + 128), 40_bytes));
    CHECK((*wide)->descriptor_size == 40);
    CHECK((*wide)->descriptor_version == 1);
    CHECK(with(112 + 12, 7)->value().descriptor_version == 7); // for whoever reads the map
    CHECK_FALSE(with(96, 99)->has_value());                    // no system table
    CHECK_FALSE(with(112, 99)->has_value());                   // no map
    CHECK_FALSE(with(24, 18)->has_value());                    // boot services go on (for a loader's name)
    CHECK(fault_of(with(96 + 4, 15)) == loading(bad_header, block + 100));
    CHECK(fault_of(with(112 + 4, 15)) == loading(bad_header, block + 116));
    CHECK(fault_of(with(112 + 4, 57)) != no_fault);
    store(memory, phys_addr::at(block + 136), std::uint64_t{8} << 32); // an end, behind a map of nothing
    CHECK_FALSE(with(112 + 4, 16)->has_value());
    write(false, 0xfff0'0000);
    const auto narrow = read();
    REQUIRE((narrow && *narrow));
    CHECK_FALSE((*narrow)->is_64_bit);
    CHECK((*narrow)->system_table == 0xfff0'0000_pa);
    CHECK(fault_of(with(96 + 4, 11)) == loading(bad_header, block + 100));
}
