// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/image/linux_image.hpp>

#include <tests/catch.hpp>

using namespace lobos;

TEST_CASE("a field of a setup header is little-endian and touches no other", "[image][linux_image]")
{
    setup_header_bytes header;
    header.fill(std::byte{0xa5});
    set_field(header, 0x250, std::uint64_t{0x1122'3344'5566'7788});
    for (std::size_t i = 0; i < 8; ++i)
        CHECK(header[0x250 - 0x1f1 + i] == static_cast<std::byte>(0x88 - 0x11 * i));
    CHECK(header[0x24f - 0x1f1] == std::byte{0xa5});
    CHECK(header[0x258 - 0x1f1] == std::byte{0xa5});
    CHECK(get_field<std::uint64_t>(header, 0x250) == 0x1122'3344'5566'7788);
    CHECK(get_field<std::uint32_t>(header, 0x254) == 0x1122'3344);
    CHECK(get_field<std::uint8_t>(header, 0x1f1) == 0xa5);

    set_field(header, 0x280, std::uint8_t{0xff}); // the last byte that there can be
    CHECK(get_field<std::uint8_t>(header, 0x280) == 0xff);
    CHECK(header.size() == 0x281 - 0x1f1);
}

TEST_CASE("a request is for the 32-bit entry below 4 GiB unless it says otherwise", "[image][linux_image]")
{
    const linux_request request;
    CHECK(request.entry == linux_entry::protected_32);
    CHECK(request.within.first().raw() == 0);
    CHECK(request.within.last().raw() == 0xffff'ffff);
    CHECK(request.taken.empty());
    CHECK(request.command_line.empty());
}

TEST_CASE("no entry is an address that nothing lies at", "[image][linux_image]")
{
    CHECK(no_entry.raw() == ~0ull);
    CHECK_FALSE(below_4g.contains(no_entry));
}
