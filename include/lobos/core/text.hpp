// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// One line of text in the making, for kernels that have no formatting of their own and for reports that must be the
/// same everywhere. No division of 64 bits, which 32-bit machines leave to a library, and no strlen or memchr, which
/// std::string_view leaves to another.

#include <array>
#include <cstdint>
#include <string_view>

#include <lobos/core/address.hpp>

namespace lobos {

/// Whether `s` would end early for a reader who goes by its terminator.
constexpr bool has_terminator(std::string_view s)
{
    for (const char c : s)
        if (c == '\0')
            return true;
    return false;
}

/// At most 200 characters; what does not fit is marked by a final '~'.
class text_line {
public:
    constexpr text_line() = default;
    constexpr explicit text_line(std::string_view s) { add(s); }
    constexpr explicit text_line(const char* s) { add(s); }

    constexpr text_line& add(std::string_view s)
    {
        for (const char c : s)
            put(c);
        return *this;
    }

    constexpr text_line& add(const char* s)
    {
        for (; *s != '\0'; ++s)
            put(*s);
        return *this;
    }

    constexpr text_line& add_decimal(std::uint64_t n)
    {
        bool started = false;
        for (std::uint64_t power : powers_of_ten) {
            char digit = '0';
            for (; n >= power; n -= power)
                ++digit;
            started = started || digit != '0' || power == 1;
            if (started)
                put(digit);
        }
        return *this;
    }

    /// "0x" and at least `digits` digits, but never none.
    constexpr text_line& add_hex(std::uint64_t n, unsigned digits = 1)
    {
        add("0x");
        bool started = false;
        for (unsigned place = 16; place-- > 0;) {
            const unsigned digit = static_cast<unsigned>(n >> (4 * place)) & 0xf;
            started = started || digit != 0 || place < digits || place == 0;
            if (started)
                put("0123456789abcdef"[digit]);
        }
        return *this;
    }

    template <class Space> constexpr text_line& add(basic_address<Space> a) { return add_hex(a.raw(), 8); }
    constexpr text_line& add(byte_count n) { return add_decimal(n.raw()); }

    constexpr std::string_view view() const { return {text_.data(), size_}; }

private:
    static constexpr std::array<std::uint64_t, 20> powers_of_ten = [] {
        std::array<std::uint64_t, 20> p{};
        std::uint64_t power = 1;
        for (std::size_t i = 20; i-- > 0; power *= 10)
            p[i] = power;
        return p;
    }();

    constexpr void put(char c)
    {
        if (size_ < text_.size())
            text_[size_++] = c;
        else
            text_.back() = '~';
    }

    std::array<char, 200> text_{};
    std::size_t size_ = 0;
};

// Sanity checks
static_assert(text_line{}.add_decimal(0).view() == "0" && text_line{}.add_decimal(10203).view() == "10203");
static_assert(text_line{}.add_decimal(~0ull).view() == "18446744073709551615");
static_assert(text_line{}.add(phys_addr::at(0x100000)).view() == "0x00100000");
static_assert(text_line{"a"}.add_hex(0).view() == "a0x0");
static_assert(has_terminator({"a\0b", 3}) && !has_terminator("ab"));

} // namespace lobos
