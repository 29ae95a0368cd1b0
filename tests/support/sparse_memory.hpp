// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Physical memory that holds zeros until it is written, anywhere, and can be compared with a copy of itself.

#include <algorithm>
#include <array>
#include <map>

#include <lobos/core/physical_memory.hpp>

namespace lobos::test {

class sparse_memory {
public:
    void read(phys_addr at, std::span<std::byte> out) const
    {
        for (std::size_t i = 0; i < out.size(); ++i) {
            const std::uint64_t here = at.raw() + i;
            const auto found = pages_.find(here / page_bytes);
            out[i] = found == pages_.end() ? std::byte{0} : found->second[here % page_bytes];
        }
    }
    void write(phys_addr at, std::span<const std::byte> in)
    {
        for (std::size_t i = 0; i < in.size(); ++i)
            pages_[(at.raw() + i) / page_bytes][(at.raw() + i) % page_bytes] = in[i];
    }

    /// The same bytes, and the same pages ever written.
    friend bool operator==(const sparse_memory&, const sparse_memory&) = default;

private:
    static constexpr std::size_t page_bytes = 4096;
    std::map<std::uint64_t, std::array<std::byte, page_bytes>> pages_;
};
static_assert(physical_memory<sparse_memory>);

} // namespace lobos::test
