// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/core/text.hpp>

#include <cstdio>
#include <string>
#include <vector>

#include <tests/catch.hpp>

using namespace lobos;

namespace {

template <class... Arguments> std::string printed(const char* format, Arguments... arguments)
{
    char out[64];
    REQUIRE(std::snprintf(out, sizeof out, format, arguments...) < 64);
    return out;
}

} // namespace

TEST_CASE("numbers read as the C library prints them", "[core][text]")
{
    std::uint64_t edge = 1;
    std::vector<std::uint64_t> numbers{0, ~0ull, ~0ull - 1, 1ull << 63};
    for (int i = 0; i < 20; ++i, edge *= 10)
        numbers.insert(numbers.end(), {edge, edge - 1, edge + 1});
    for (int bit = 0; bit < 64; ++bit)
        numbers.insert(numbers.end(), {1ull << bit, (1ull << bit) - 1});
    for (const std::uint64_t n : numbers) {
        const auto word = static_cast<unsigned long long>(n);
        CHECK(text_line{}.add_decimal(n).view() == printed("%llu", word));
        CHECK(text_line{}.add(byte_count::of(n)).view() == printed("%llu", word));
        CHECK(text_line{}.add_hex(n).view() == printed("0x%llx", word));
        CHECK(text_line{}.add_hex(n, 0).view() == printed("0x%llx", word));
        CHECK(text_line{}.add_hex(n, 5).view() == printed("0x%05llx", word));
        CHECK(text_line{}.add_hex(n, 16).view() == printed("0x%016llx", word));
        CHECK(text_line{}.add(phys_addr::at(n)).view() == printed("0x%08llx", word));
        CHECK(text_line{}.add(virt_addr::at(n)).view() == printed("0x%08llx", word));
    }
}

TEST_CASE("a line holds 200 characters and says when that was not enough", "[core][text]")
{
    for (const std::size_t size : {0u, 1u, 198u, 199u, 200u, 201u, 202u, 1000u}) {
        CAPTURE(size);
        const std::string text(size, 'x');
        const std::string expected = size <= 200 ? text : std::string(199, 'x') + '~';
        CHECK(text_line{text}.view() == expected);
        CHECK(text_line{text.c_str()}.view() == expected);
        text_line one_by_one;
        for (std::size_t i = 0; i < size; ++i)
            one_by_one.add("x");
        CHECK(one_by_one.view() == expected);
    }
    CHECK(text_line{std::string(199, 'x')}.add_decimal(12).view() == std::string(199, 'x') + '~');
    CHECK(text_line{std::string(199, 'x')}.add_decimal(1).view() == std::string(199, 'x') + '1');
}

TEST_CASE("a line grows in the order of the calls, and a view is all of what it is given", "[core][text]")
{
    text_line line{"a"};
    line.add("b").add(std::string_view{"c\0d", 3}).add("").add_decimal(1).add(0x2_pa);
    CHECK(line.view() == std::string_view{"abc\0d10x00000002", 16});
    CHECK(text_line{}.view().empty());
}

TEST_CASE("a terminator is found wherever it is", "[core][text]")
{
    CHECK_FALSE(has_terminator({}));
    for (std::size_t i = 0; i < 20; ++i) {
        std::string text(20, 'x');
        CHECK_FALSE(has_terminator(text));
        text[i] = '\0';
        CHECK(has_terminator(text));
        CHECK_FALSE(has_terminator(std::string_view{text}.substr(0, i)));
    }
}
