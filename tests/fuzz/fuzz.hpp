// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What every fuzz target stands on: an input that is read piece by piece and never ends, and the one way to fail. A
/// target is one translation unit that defines LLVMFuzzerTestOneInput; it includes this once. A broken contract of the
/// library is a finding like any other: no input may be able to break one.

#include <cstdio>
#include <cstdlib>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include <lobos/core/fault.hpp>
#include <lobos/core/range.hpp>

namespace lobos::fuzz {

using bytes = std::vector<std::byte>;
__extension__ using wide = unsigned __int128; ///< in which no sum of two 64-bit numbers overflows

[[noreturn]] inline void violated(const char* what)
{
    std::fprintf(stderr, "violated: %s\n", what);
    std::abort();
}
inline void must(bool condition, const char* what)
{
    if (!condition)
        violated(what);
}

/// The fuzzer's bytes. Past their end come zeros, so that any input is a whole one.
class input {
public:
    input(const std::uint8_t* data, std::size_t size) : left_{std::as_bytes(std::span{data, size})} {}

    bool empty() const { return left_.empty(); }

    /// A little-endian number of the low `width` bytes.
    std::uint64_t number(std::size_t width)
    {
        std::uint64_t n = 0;
        for (std::size_t i = 0; i < width && !left_.empty(); ++i, left_ = left_.subspan(1))
            n |= std::to_integer<std::uint64_t>(left_.front()) << 8 * i;
        return n;
    }
    std::uint8_t byte() { return static_cast<std::uint8_t>(number(1)); }
    std::uint32_t below(std::uint32_t n) { return byte() % n; }

    /// A 64-bit number of few bytes: how many, shifted by how many digits, counted from 0 or from the top.
    std::uint64_t address()
    {
        const std::uint8_t shape = byte();
        const std::uint64_t n = number((shape & 7u) + 1);
        const unsigned shift = 4u * (shape >> 4);
        const std::uint64_t placed = (n & std::numeric_limits<std::uint64_t>::max() >> shift) << shift;
        return (shape & 8) != 0 ? ~placed : placed;
    }

    /// A range that may be of any size but 0 and does not wrap.
    phys_range range()
    {
        const std::uint64_t first = address(), size = address();
        const std::uint64_t room = std::numeric_limits<std::uint64_t>::max() - first;
        return phys_range::between(phys_addr::at(first), phys_addr::at(first + (size < room ? size : room)));
    }

    /// As many as there are, at most `n`.
    std::span<const std::byte> take(std::size_t n)
    {
        const auto taken = left_.first(n < left_.size() ? n : left_.size());
        left_ = left_.subspan(taken.size());
        return taken;
    }
    std::span<const std::byte> rest() { return take(left_.size()); }

private:
    std::span<const std::byte> left_;
};

/// A copy of its own, to the byte, so that the address sanitizer sees who reads past it.
inline bytes copy_of(std::span<const std::byte> from)
{
    bytes copy(from.begin(), from.end());
    copy.shrink_to_fit();
    return copy;
}
inline std::string_view text_of(std::span<const std::byte> from)
{
    return {reinterpret_cast<const char*>(from.data()), from.size()};
}

/// The faults that would be right: what a target's own reading of the input finds wrong with it, in no order.
class expected_faults {
public:
    void add(fault_code code) { set_ |= std::uint64_t{1} << static_cast<unsigned>(code); }
    void add_if(bool wrong, fault_code code)
    {
        if (wrong)
            add(code);
    }
    bool none() const { return set_ == 0; }

    /// Whether `r` is accepted exactly when nothing is wrong, and refused for something that is.
    template <class R> void check(const R& r, stage in) const
    {
        if (r) {
            must(none(), "accepted, though something is wrong with it");
            return;
        }
        must(!none(), "refused, though nothing is wrong with it");
        must((set_ >> static_cast<unsigned>(r.error().code) & 1) != 0, "refused for something that is not wrong");
        must(r.error().in == in, "refused in another stage");
    }

private:
    std::uint64_t set_ = 0;
};

} // namespace lobos::fuzz

void lobos::contract_violated(const char* what)
{
    lobos::fuzz::violated(what);
}
