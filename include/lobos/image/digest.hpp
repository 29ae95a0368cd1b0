// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The checksum of a whole file where it is staged, for a kernel that is to boot only what it was told to expect. Which
/// checksum is a policy: `expect_digest<sha256>(file, published)`.
///
/// It speaks for the moment at which it is taken. From prepare() to commit() the exec's own checksums take over; what
/// changes the file between the two is the embedder's to keep out.

#include <algorithm>
#include <array>

#include <lobos/core/checksum.hpp>
#include <lobos/core/fault.hpp>
#include <lobos/image/source.hpp>

namespace lobos {

/// The checksum of all of `source`, read in small pieces.
/// Faults: truncated_image (at: offset of a piece that cannot be read).
template <checksum_policy Sum, image_source S> result<checksum_value<Sum>> digest_of(const S& source)
{
    Sum sum;
    std::array<std::byte, 512> buffer;
    const std::uint64_t size = source.size().raw();
    for (std::uint64_t offset = 0; offset < size;) {
        const auto here =
            std::span{buffer}.first(static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), size - offset)));
        if (!source.read(offset, here))
            return refuse(fault_code::truncated_image, stage::loading, offset);
        sum.update(here);
        offset += here.size();
    }
    return sum.value();
}

/// Lets a file pass whose checksum is `expected`.
/// Faults: digest_mismatch (at: 0), truncated_image (at: offset of a piece that cannot be read).
template <checksum_policy Sum, image_source S>
result<void> expect_digest(const S& source, const checksum_value<Sum>& expected)
{
    const auto digest = digest_of<Sum>(source);
    if (!digest)
        return std::unexpected{digest.error()};
    if (!(*digest == expected))
        return refuse(fault_code::digest_mismatch, stage::loading, 0);
    return {};
}

} // namespace lobos
