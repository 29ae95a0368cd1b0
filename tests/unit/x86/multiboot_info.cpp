// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/multiboot_info.hpp>

#include <string>

#include <tests/catch.hpp>
#include <tests/contract.hpp>
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

// A block in memory, as a boot loader would leave it, and a reader of it.
struct booted {
    bytes block;
    byte_memory memory{room, phys_addr::at(at)};
    explicit booted(bytes b) : block{std::move(b)} { block.resize(room); }
    booted& set(std::size_t offset, std::size_t width, std::uint64_t value)
    {
        patch(block, offset, width, value);
        return *this;
    }
    multiboot_reader<byte_memory> reader()
    {
        memory.write(phys_addr::at(at), block);
        return {memory, phys_addr::at(at)};
    }
    fault read(memory_map& into) { return fault_of(reader().read_memory_map(into.map)); }
};

// 116 bytes of structure, 3 entries of 24 at 0x74, 2 modules of 16 at 0xbc, strings from 0xdc.
booted small()
{
    const memory_map memory{{span_of(0, 0x9'fbff), region_kind::usable},
        {span_of(0x9'fc00, 0xf'ffff), region_kind::reserved}, {span_of(0x10'0000, 0x7ff'ffff), region_kind::usable}};
    const multiboot_module modules[] = {{span_of(0x20'0000, 0x20'0fff), "initrd"}, {span_of(0x30'0000, 0x30'0000), ""}};
    bytes out(room, std::byte{0xa5});
    const auto used = make_multiboot_info(memory.map, modules, "quiet 1", phys_addr::at(at), out);
    REQUIRE(fault_of(used) == no_fault);
    CHECK(*used == 0xdc + 7 + 1 + 8);
    CHECK(out[*used] == std::byte{0xa5});
    return booted{out};
}

void fill(memory_map& memory, std::size_t n)
{
    for (std::size_t i = 0; i < n; ++i)
        REQUIRE(memory.map.add(phys_range::of(phys_addr::at(i << 13), 4_KiB), region_kind::usable));
}

} // namespace

TEST_CASE("the block, byte for byte")
{
    const booted b = small();
    const struct {
        std::size_t offset, width;
        std::uint64_t value;
    } words[] = {{0, 4, 0x4d}, {4, 4, 639}, {8, 4, 127 * 1024}, {12, 4, 0}, {16, 4, at + 0xdc + 8}, {20, 4, 2},
        {24, 4, at + 0xbc}, {28, 8, 0}, {36, 8, 0}, {44, 4, 72}, {48, 4, at + 0x74}, {52, 8, 0}, {60, 8, 0}, {68, 8, 0},
        {76, 8, 0}, {84, 8, 0}, {92, 8, 0}, {100, 8, 0}, {108, 8, 0}, {0x74, 4, 20}, {0x78, 8, 0}, {0x80, 8, 0x9'fc00},
        {0x88, 4, 1}, {0x8c, 4, 20}, {0x90, 8, 0x9'fc00}, {0x98, 8, 0x6'0400}, {0xa0, 4, 2}, {0xa4, 4, 20},
        {0xa8, 8, 0x10'0000}, {0xb0, 8, 0x7f0'0000}, {0xb8, 4, 1}, {0xbc, 4, 0x20'0000}, {0xc0, 4, 0x20'1000},
        {0xc4, 4, at + 0xdc}, {0xc8, 4, 0}, {0xcc, 4, 0x30'0000}, {0xd0, 4, 0x30'0001}, {0xd4, 4, at + 0xe3},
        {0xd8, 4, 0}};
    for (const auto& w : words) {
        CAPTURE(w.offset);
        CHECK(peek(b.block, w.offset, w.width) == w.value);
    }
    CHECK(std::memcmp(b.block.data() + 0xdc, "initrd\0\0quiet 1", 16) == 0);
}

TEST_CASE("what is written is read")
{
    booted b = small();
    const auto reader = b.reader();
    memory_map map{};
    REQUIRE(reader.read_memory_map(map.map));
    REQUIRE(map.map.regions().size() == 3);
    CHECK(map.map.regions()[1] == region{span_of(0x9'fc00, 0xf'ffff), region_kind::reserved});
    REQUIRE(reader.module_count() == 2);
    CHECK(reader.module(0)->start == 0x20'0000_pa);
    CHECK(reader.module(0)->size == 4_KiB);
    CHECK(reader.module(1)->size == 1_bytes);
    CHECK_THROWS_AS(reader.module(2), contract_error);
    char text[8];
    CHECK(reader.string(reader.module(0)->string, text).value_or("?") == "initrd");
    CHECK(reader.string(reader.module(1)->string, text).value_or("?").empty());
    REQUIRE(reader.command_line());
    CHECK(reader.string(*reader.command_line(), text).value_or("?") == "quiet 1");
    CHECK(
        fault_of(reader.string(*reader.command_line(), std::span{text}.first(7))) == loading(command_line_too_long, 7));
    CHECK(fault_of(reader.string(*reader.command_line(), {})) == loading(command_line_too_long, 0));
    CHECK(fault_of(reader.string(0x1'0000'0000_pa, text)) == loading(command_line_too_long, 8));
}

TEST_CASE("every kind and every range goes there and back")
{
    const region_kind kinds[] = {region_kind::usable, region_kind::acpi_reclaimable, region_kind::acpi_nvs,
        region_kind::reserved, region_kind::defective, region_kind::safe, region_kind::surviving};
    const std::uint32_t types[] = {1, 3, 4, 2, 5, 0x6c6f6253, 0x6c6f6254};
    memory_map memory{{span_of(0xffff'ffff, 0x1'0000'0000), region_kind::safe},
        {span_of(0xffff'ffff'0000'0000, ~0ull), region_kind::reserved}};
    for (std::size_t i = 0; i < 7; ++i) {
        CHECK(multiboot_type(kinds[i]) == types[i]);
        CHECK(multiboot_kind(types[i]) == kinds[i]);
        REQUIRE(memory.map.add(phys_range::of(phys_addr::at(0x1000 * i), 4_KiB), kinds[i]));
    }
    for (const std::uint32_t unknown : {0u, 6u, 0x6c6f6252u, 0x6c6f6255u, ~0u})
        CHECK(multiboot_kind(unknown) == region_kind::reserved);
    CHECK(multiboot_type(static_cast<region_kind>(99)) == 2);

    booted b{bytes(room)};
    REQUIRE(make_multiboot_info(memory.map, {}, "", phys_addr::at(at), b.block));
    memory_map read{};
    CHECK(b.read(read) == no_fault);
    REQUIRE(read.map.regions().size() == memory.map.regions().size());
    CHECK(std::equal(read.map.regions().begin(), read.map.regions().end(), memory.map.regions().begin()));
    CHECK(b.reader().module_count() == 0);
}

TEST_CASE("the buffer is exactly long enough or refused")
{
    for (const std::size_t n : {0u, 1u, 2u, 128u, 129u}) {
        memory_map memory{};
        fill(memory, n);
        const multiboot_module modules[] = {{span_of(1, 2), "ab"}};
        const std::size_t needed = 116 + 24 * n + 16 + 3 + 4;
        bytes out(needed);
        CHECK(make_multiboot_info(memory.map, modules, "xyz", phys_addr::at(at), out).value_or(0) == needed);
        for (const std::size_t size : {std::size_t{0}, std::size_t{115}, needed - 1})
            CHECK(fault_of(make_multiboot_info(memory.map, modules, "xyz", phys_addr::at(at),
                      std::span{out}.first(size))) == staging(no_space, needed));
    }
}

TEST_CASE("what does not lie below 4 GiB, or is not a string, is refused")
{
    memory_map memory{};
    fill(memory, 1);
    bytes out(room);
    const std::size_t needed = 116 + 24 + 1; // 141
    const auto make = [&](std::uint64_t where, std::span<const multiboot_module> modules, std::string_view line) {
        return fault_of(make_multiboot_info(memory.map, modules, line, phys_addr::at(where), out));
    };
    CHECK(make(0, {}, "") == no_fault);
    CHECK(make((1ull << 32) - needed, {}, "") == no_fault);
    for (const std::uint64_t where : {(1ull << 32) - needed + 1, (1ull << 32) - 1, 1ull << 32, ~0ull})
        CHECK(make(where, {}, "") == staging(bad_range, where));

    const auto module = [&](std::uint64_t first, std::uint64_t last) {
        const multiboot_module m[] = {{span_of(first, last), ""}};
        return make(at, m, "");
    };
    CHECK(module(0, 0xffff'fffe) == no_fault);
    CHECK(module(0x1000, 0xffff'ffff) == staging(bad_range, 0x1000)); // its end is no 32-bit address
    CHECK(module(1ull << 32, 1ull << 33) == staging(bad_range, 1ull << 32));
    CHECK(module(0, ~0ull) == staging(bad_range, 0));

    const std::string_view broken{"a\0b", 3};
    const multiboot_module named[] = {{span_of(0, 1), broken}};
    CHECK(make(at, {}, broken) == staging(command_line_too_long, 3));
    CHECK(make(at, named, "") == staging(command_line_too_long, 3));

    const memory_map whole{{span_of(0, ~0ull), region_kind::usable}};
    CHECK(fault_of(make_multiboot_info(whole.map, {}, "", phys_addr::at(at), out)) == staging(bad_range, 0));
}

TEST_CASE("the lower and upper memory")
{
    const struct {
        std::vector<region> memory;
        std::uint64_t lower, upper;
    } cases[] = {
        {{}, 0, 0},
        {{{span_of(0, 0x3ff), region_kind::usable}}, 1, 0},
        {{{span_of(0, 0x3fe), region_kind::usable}}, 0, 0},
        {{{span_of(1, 0x9'ffff), region_kind::usable}}, 0, 0},
        {{{span_of(0, 0x9'ffff), region_kind::usable}}, 640, 0},
        {{{span_of(0, 0xf'ffff), region_kind::usable}}, 640, 0},
        {{{span_of(0, 0x10'03ff), region_kind::usable}}, 640, 1},
        {{{span_of(0x10'0000, 0xffff'ffff), region_kind::usable}}, 0, (1u << 22) - 1024},
        {{{span_of(0x10'0000, 0xffff'ffff), region_kind::usable}, {span_of(0x20'0000, 0x20'0fff), region_kind::safe}},
            0, 1024},
        {{{span_of(0x10'0000, ~0ull), region_kind::usable}}, 0, 0xffff'ffff},
        {{{span_of(0, 0x1f'ffff), region_kind::reserved}}, 0, 0},
    };
    for (const auto& c : cases) {
        CAPTURE(&c - cases);
        memory_map memory{};
        for (const region& r : c.memory)
            REQUIRE(memory.map.add(r.range, r.kind));
        bytes out(room);
        REQUIRE(make_multiboot_info(memory.map, {}, "", phys_addr::at(at), out));
        CHECK(peek(out, 4, 4) == c.lower);
        CHECK(peek(out, 8, 4) == c.upper);
    }
}

TEST_CASE("a memory map is believed in nothing")
{
    const std::uint64_t mmap = at + 0x74, length_field = at + 44;
    const struct {
        std::size_t field, width;
        std::uint64_t value;
        fault wanted;
        std::size_t entries; // that got through
    } cases[] = {
        {44, 4, 0, no_fault, 0},
        {44, 4, 1, loading(bad_header, mmap), 0},
        {44, 4, 23, loading(bad_header, mmap), 0},
        {44, 4, 24, no_fault, 1},
        {44, 4, 25, loading(bad_header, mmap + 24), 1},
        {44, 4, 71, loading(bad_header, mmap + 48), 2},
        {44, 4, 0xffff'ffff, loading(bad_header, length_field), 0},
        {44, 4, (1ull << 32) - mmap + 1, loading(bad_header, length_field), 0},
        {48, 4, 0xffff'ffff, loading(bad_header, length_field), 0},
        {48, 4, (1ull << 32) - 71, loading(bad_header, length_field), 0},
        {0x74, 4, 0, loading(bad_header, mmap), 0},
        {0x74, 4, 19, loading(bad_header, mmap), 0},
        {0x74, 4, 21, loading(bad_header, mmap + 25), 1}, // what follows is shifted: a size of 0
        {0x74, 4, 44, no_fault, 2},                       // the second one is skipped as an unknown tail
        {0x74, 4, 68, no_fault, 1},
        {0x74, 4, 69, loading(bad_header, mmap), 0},
        {0x74, 4, 0xffff'fffb, loading(bad_header, mmap), 0},
        {0x74, 4, 0xffff'fffc, loading(bad_header, mmap), 0}, // plus 4 is 2^32
        {0x74, 4, 0xffff'ffff, loading(bad_header, mmap), 0},
        {0x80, 8, 0, no_fault, 2}, // no length
        {0x80, 8, 1, no_fault, 3},
        {0xb0, 8, ~0ull - 0x10'0000, no_fault, 3},
        {0xb0, 8, ~0ull - 0x10'0000 + 1, no_fault, 3}, // up to the last byte
        {0xb0, 8, ~0ull - 0x10'0000 + 2, loading(bad_range, 0x10'0000), 2},
        {0xb0, 8, ~0ull, loading(bad_range, 0x10'0000), 2},
        {0xa8, 8, ~0ull, loading(bad_range, ~0ull), 2},
        {0, 4, 0x4c, no_fault, 3}, // no mem_lower: not needed
        {0, 4, 0x01, no_fault, 2}, // nothing but mem_lower and mem_upper
        {0, 4, 0x00, loading(bad_header, at), 0},
        {0, 4, 0x0c, loading(bad_header, at), 0},
        {0, 4, 0xffff'ffff, no_fault, 3},
    };
    for (const auto& c : cases) {
        CAPTURE(c.field, c.value);
        memory_map read{};
        const fault found = small().set(c.field, c.width, c.value).read(read);
        CHECK(found == c.wanted);
        CHECK(read.map.regions().size() == c.entries);
    }
}

TEST_CASE("nothing is read behind the memory map")
{
    memory_map read{};
    for (const std::uint64_t left : {1u, 4u, 23u}) // byte_memory throws at what lies past its end
        CHECK(
            small().set(44, 4, left).set(48, 4, at + room - left).read(read) == loading(bad_header, at + room - left));
}

TEST_CASE("memory sizes without a map")
{
    const auto sizes = [](std::uint32_t lower, std::uint32_t upper) {
        memory_map read{};
        CHECK(small().set(0, 4, 1).set(4, 4, lower).set(8, 4, upper).read(read) == no_fault);
        return std::vector<region>(read.map.regions().begin(), read.map.regions().end());
    };
    CHECK(sizes(0, 0).empty());
    CHECK(sizes(639, 1)[0].range == span_of(0, 0x9'fbff));
    CHECK(sizes(639, 1)[1].range == span_of(0x10'0000, 0x10'03ff));
    CHECK(sizes(0, 0xffff'ffff)[0].range == phys_range::of(0x10'0000_pa, byte_count::of(0xffff'ffffull << 10)));
}

TEST_CASE("a map too full says so")
{
    region storage[2];
    region_map map{storage};
    booted b = small();
    CHECK(fault_of(b.reader().read_memory_map(map)) == fault{no_space, stage::mapping, 3});
}

TEST_CASE("modules are believed in nothing")
{
    CHECK(small().set(0, 4, 0x45).reader().module_count() == 0);
    CHECK(small().set(20, 4, 0).reader().module_count() == 0);
    booted huge = small().set(20, 4, 0xffff'ffff);
    CHECK(huge.reader().module_count() == 0xffff'ffff);
    CHECK(fault_of(huge.reader().module(0xffff'fffe)) == loading(bad_header, at + 20));
    CHECK(fault_of(small().set(24, 4, 0xffff'fff1).reader().module(0)) == loading(bad_header, at + 20));
    CHECK(fault_of(small().set(24, 4, 0xffff'fff0).set(0, 4, 0x4d).reader().module(1)) == loading(bad_header, at + 20));
    CHECK(small().set(0xc0, 4, 0x20'0000).reader().module(0)->size == 0_bytes);
    CHECK(fault_of(small().set(0xc0, 4, 0x1f'ffff).reader().module(0)) == loading(bad_header, at + 0xc0));
    CHECK(fault_of(small().set(0xc0, 4, 0).reader().module(0)) == loading(bad_header, at + 0xc0));
    CHECK(small().set(0xc0, 4, 0xffff'ffff).reader().module(0)->size == byte_count::of(0xffdf'ffff));
    CHECK_FALSE(small().set(0, 4, 0x49).reader().command_line());
}
