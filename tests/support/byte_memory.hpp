// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Physical memory over a vector, and files staged in it in many small pieces. An access outside is an exception.

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <stdexcept>
#include <vector>

#include <lobos/core/region_map.hpp>
#include <lobos/image/source.hpp>

namespace lobos::test {

using bytes = std::vector<std::byte>;

/// Byte `i` of a test file, so that every offset is recognised.
constexpr std::byte pattern(std::size_t i)
{
    return static_cast<std::byte>((i * 7 + (i >> 8) * 13 + 1) & 0xff);
}

/// Overwrites `width` bytes at `offset` with `value`, little-endian.
inline void patch(bytes& file, std::size_t offset, std::size_t width, std::uint64_t value)
{
    for (std::size_t i = 0; i < width; ++i)
        file.at(offset + i) = static_cast<std::byte>(value >> 8 * i & 0xff);
}

inline std::uint64_t peek(std::span<const std::byte> from, std::size_t offset, std::size_t width)
{
    std::uint64_t value = 0;
    for (std::size_t i = width; i-- > 0;)
        value = value << 8 | std::to_integer<std::uint64_t>(from[offset + i]);
    return value;
}

class byte_memory {
public:
    explicit byte_memory(std::size_t size, phys_addr base = {}) : base_{base}, bytes_(size) {}

    void read(phys_addr at, std::span<std::byte> out) { std::copy_n(place(at, out.size()), out.size(), out.begin()); }
    void write(phys_addr at, std::span<const std::byte> in) { std::copy(in.begin(), in.end(), place(at, in.size())); }

private:
    bytes::iterator place(phys_addr at, std::size_t size)
    {
        if (at < base_ || (at - base_).raw() > bytes_.size() || size > bytes_.size() - (at - base_).raw())
            throw std::out_of_range{"byte_memory: access outside"};
        return bytes_.begin() + static_cast<std::ptrdiff_t>((at - base_).raw());
    }
    phys_addr base_;
    bytes bytes_;
};
static_assert(physical_memory<byte_memory>);

/// `content` in pieces of the given sizes, over and over, laid down from the end of memory to its beginning with gaps.
class scattered_file {
public:
    explicit scattered_file(
        const bytes& content, std::initializer_list<std::size_t> sizes = {1, 0, 13, 511, 4096, 4097})
        : memory_{content.size() * 3 + 64}
    {
        phys_addr at = phys_addr::at(content.size() * 3 + 64);
        auto size = sizes.begin();
        for (std::size_t done = 0; done < content.size();) {
            const std::size_t now = std::min(*size, content.size() - done);
            at = at - byte_count::of(now + (now != 0));
            memory_.write(at, std::span{content}.subspan(done, now));
            extents_.push_back({at, byte_count::of(now)});
            done += now;
            if (++size == sizes.end())
                size = sizes.begin();
        }
    }
    byte_count size() const { return file().size(); }
    bool read(std::uint64_t offset, std::span<std::byte> out) const { return file().read(offset, out); }
    std::span<const extent> extents() const { return extents_; }

private:
    staged_file<byte_memory> file() const { return {memory_, extents_}; }
    mutable byte_memory memory_;
    std::vector<extent> extents_;
};
static_assert(image_source<scattered_file>);

/// A file that is only a size.
struct hollow_file {
    std::uint64_t bytes;
    byte_count size() const { return byte_count::of(bytes); }
    bool read(std::uint64_t, std::span<std::byte>) const { return false; }
    std::span<const extent> extents() const { return {}; }
};

/// A memory map with its storage.
struct memory_map {
    explicit memory_map(std::initializer_list<region> regions)
    {
        for (const region& r : regions)
            if (!map.add(r.range, r.kind))
                throw std::length_error{"memory_map: full"};
    }
    std::vector<region> storage = std::vector<region>(200);
    region_map map{storage};
};

/// The fault of a result, or `no_fault`.
inline constexpr fault no_fault{static_cast<fault_code>(0xff), stage::loading, 0};
template <class R> fault fault_of(const R& r)
{
    return r ? no_fault : r.error();
}

} // namespace lobos::test
