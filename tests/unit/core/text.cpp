// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/core/text.hpp>

#include <cstdint>
#include <limits>
#include <random>
#include <sstream>
#include <string>

#include <tests/catch.hpp>

using namespace lobos;

namespace {

std::string expected_hex(std::uint64_t n, unsigned digits)
{
    std::ostringstream out;
    out << std::hex << n;
    const std::string plain = out.str();
    return "0x" + (plain.size() < digits ? std::string(digits - plain.size(), '0') : "") + plain;
}

void check_number(std::uint64_t n)
{
    REQUIRE(text_line{}.add_decimal(n).view() == std::to_string(n));
    REQUIRE(text_line{}.add(byte_count::of(n)).view() == std::to_string(n));
    for (const unsigned digits : {0u, 1u, 2u, 8u, 15u, 16u})
        REQUIRE(text_line{}.add_hex(n, digits).view() == expected_hex(n, digits));
    REQUIRE(text_line{}.add(phys_addr::at(n)).view() == expected_hex(n, 8));
    REQUIRE(text_line{}.add(virt_addr::at(n)).view() == expected_hex(n, 8));
}

} // namespace

TEST_CASE("numbers are written as everybody writes them", "[core][text]")
{
    const std::uint64_t top = std::numeric_limits<std::uint64_t>::max();
    for (unsigned shift = 0; shift < 64; ++shift)
        for (const std::uint64_t near : {top, std::uint64_t{0}, std::uint64_t{1}}) // one less, itself, one more
            check_number((std::uint64_t{1} << shift) + near);
    for (std::uint64_t power = 1; power <= top / 10; power *= 10) {
        check_number(power - 1);
        check_number(power);
        check_number(power * 9);
    }
    check_number(top);
    std::mt19937_64 random{1};
    for (unsigned i = 0; i < 1000; ++i)
        check_number(random() >> random() % 64);
}

TEST_CASE("a line is put together piece by piece", "[core][text]")
{
    text_line line{"copy "};
    line.add(4_KiB).add(" to ").add(0x100000_pa).add("..").add(0xc000'0000_va);
    CHECK(line.view() == "copy 4096 to 0x00100000..0xc0000000");
    CHECK(text_line{}.view().empty());
    constexpr text_line at_compile_time = text_line{"n="}.add_decimal(7);
    STATIC_REQUIRE(at_compile_time.view() == "n=7");
}

TEST_CASE("what does not fit is marked, and nothing is written behind the end", "[core][text]")
{
    const std::string full(200, 'x');
    for (std::size_t size = 0; size <= 203; ++size) {
        const text_line line{std::string(size, 'x')};
        CAPTURE(size);
        REQUIRE(line.view() == (size <= 200 ? std::string(size, 'x') : full.substr(1) + "~"));
    }
    text_line line{full};
    CHECK(line.add("").view() == full);
    CHECK(line.add_decimal(1).view() == full.substr(1) + "~");
}
