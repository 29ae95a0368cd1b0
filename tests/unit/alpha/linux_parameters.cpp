// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/alpha/linux_parameters.hpp>

#include <string>

#include <tests/catch.hpp>
#include <tests/support/byte_memory.hpp>

using namespace lobos;
using namespace lobos::alpha;
using namespace lobos::test;
using enum fault_code;

namespace {

constexpr std::uint64_t at = 0x100'a000;

struct page {
    bytes content = bytes(linux_page::size, std::byte{0xa5});
    fault make(const linux_parameters& told)
    {
        return fault_of(make_linux_page(told, std::span<std::byte, linux_page::size>{content}));
    }
    page& set(std::size_t offset, std::uint64_t value)
    {
        patch(content, offset, 8, value);
        return *this;
    }
    result<linux_parameters> read()
    {
        byte_memory memory{content.size(), phys_addr::at(at)};
        memory.write(phys_addr::at(at), content);
        return read_linux_page(memory, phys_addr::at(at), text);
    }
    char text[linux_page::command_line_size];
};

phys_range initrd(std::uint64_t first, std::uint64_t size)
{
    return phys_range::of(phys_addr::at(first), byte_count::of(size));
}

} // namespace

TEST_CASE("the page, byte for byte, and back", "[alpha][linux_parameters]")
{
    page p;
    REQUIRE(p.make({"console=ttyS0 1", initrd(0xfff'0000, 0xfed1)}) == no_fault);
    CHECK(std::string(reinterpret_cast<const char*>(p.content.data())) == "console=ttyS0 1");
    for (std::size_t i = 15; i < 256; ++i)
        REQUIRE(p.content[i] == std::byte{0});
    CHECK(peek(p.content, 0x100, 8) == 0xffff'fc00'0fff'0000);
    CHECK(peek(p.content, 0x108, 8) == 0xfed1);
    const auto told = p.read();
    REQUIRE(told);
    CHECK(told->command_line == "console=ttyS0 1");
    CHECK(told->initrd == initrd(0xfff'0000, 0xfed1));

    REQUIRE(p.make({}) == no_fault);
    for (const std::byte b : p.content)
        REQUIRE(b == std::byte{0});
    REQUIRE(p.read());
    CHECK(p.read()->command_line.empty());
    CHECK_FALSE(p.read()->initrd);
}

TEST_CASE("a command line is whole or refused", "[alpha][linux_parameters]")
{
    page p;
    const std::string longest(255, 'x');
    REQUIRE(p.make({longest}) == no_fault);
    CHECK(p.content[255] == std::byte{0});
    CHECK(p.read()->command_line == longest);
    const bytes before = p.content;
    CHECK(p.make({longest + "x"}) == fault{command_line_too_long, stage::staging, 256});
    CHECK(p.make({{"a\0b", 3}}) == fault{command_line_too_long, stage::staging, 3});
    CHECK(p.content == before);
    p.content[255] = std::byte{'y'};
    CHECK(fault_of(p.read()) == fault{command_line_too_long, stage::loading, 256});
}

TEST_CASE("an initrd is where kseg reaches", "[alpha][linux_parameters]")
{
    page p;
    constexpr std::uint64_t end = 0x100'0000'0000;
    CHECK(p.make({"", initrd(0, end)}) == no_fault);
    CHECK(p.read()->initrd == initrd(0, end));
    CHECK(p.make({"", initrd(end - 1, 1)}) == no_fault);
    CHECK(p.make({"", initrd(end - 1, 2)}) == fault{bad_range, stage::staging, end - 1});
    CHECK(p.make({"", initrd(end, 1)}) == fault{bad_range, stage::staging, end});

    const struct {
        std::uint64_t start, size;
        fault wanted;
    } cases[] = {
        {0xffff'fc00'0000'0000, 1, no_fault}, {0xffff'fc00'0000'0000, 0, {bad_range, stage::loading, at + 0x108}},
        {0xffff'fc00'0000'0000, end, no_fault},
        {0xffff'fc00'0000'0000, end + 1, {bad_range, stage::loading, at + 0x108}},
        {0xffff'fc00'0000'1000, ~0ull, {bad_range, stage::loading, at + 0x108}}, {0xffff'fcff'ffff'ffff, 1, no_fault},
        {0xffff'fd00'0000'0000, 1, {bad_range, stage::loading, at + 0x100}},
        {0x1000, 1, {bad_range, stage::loading, at + 0x100}}, {0, 1, no_fault}, // none
    };
    for (const auto& c : cases) {
        CAPTURE(c.start, c.size);
        REQUIRE(p.make({}) == no_fault);
        CHECK(fault_of(p.set(0x100, c.start).set(0x108, c.size).read()) == c.wanted);
    }
}

TEST_CASE("where the page lies goes by the kernel's start", "[alpha][linux_parameters]")
{
    const auto legacy = linux_pages_below(0x31'0000_pa);
    REQUIRE(legacy);
    CHECK(legacy->all == phys_range::between(0x30'0000_pa, 0x30'ffff_pa));
    CHECK(legacy->parameters == 0x30'a000_pa);
    CHECK(linux_pages_below(0x1'0000_pa)->all.first() == 0_pa);
    CHECK(fault_of(linux_pages_below(0_pa)) == fault{bad_range, stage::loading, 0});
    for (const std::uint64_t start : {1u, 0x2000u, 0x101'8000u}) {
        CAPTURE(start);
        CHECK(fault_of(linux_pages_below(phys_addr::at(start))) == fault{misaligned, stage::loading, start});
    }
}
