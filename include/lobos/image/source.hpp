// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Where an image's bytes lie. The file was read into whatever pages the kernel had: a list of extents of physical
/// memory, of any length and alignment, in the order of the file (the vmalloc of [lobos/2000 §3.2.3]). Loaders look at
/// the bytes through `read`, the planner only ever sees the extents.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include <lobos/core/physical_memory.hpp>

namespace lobos {

/// Consecutive bytes of a file in consecutive bytes of memory. A size of 0 is allowed and means nothing.
struct extent {
    phys_addr at;
    byte_count size;
    friend constexpr bool operator==(const extent&, const extent&) = default;
};

template <class S>
concept image_source = requires(const S& source, std::uint64_t offset, std::span<std::byte> out) {
    { source.size() } -> std::same_as<byte_count>;
    { source.read(offset, out) } -> std::same_as<bool>;            // false, with `out` unspecified, past the end
    { source.extents() } -> std::same_as<std::span<const extent>>; // outlives the exec
};

/// A file staged in physical memory.
template <physical_memory Memory> class staged_file {
public:
    /// `extents` and `memory` must outlive the exec. Precondition: the sizes add up below 2^64.
    staged_file(Memory& memory, std::span<const extent> extents) : memory_{&memory}, extents_{extents}
    {
        for (const extent& e : extents)
            size_ += e.size;
    }

    byte_count size() const { return size_; }
    std::span<const extent> extents() const { return extents_; }

    bool read(std::uint64_t offset, std::span<std::byte> out) const
    {
        if (offset > size_.raw() || out.size() > size_.raw() - offset)
            return false;
        for (const extent& e : extents_) {
            if (out.empty())
                break;
            if (offset >= e.size.raw()) {
                offset -= e.size.raw();
                continue;
            }
            const std::uint64_t here = std::min<std::uint64_t>(e.size.raw() - offset, out.size());
            memory_->read(e.at + byte_count::of(offset), out.first(static_cast<std::size_t>(here)));
            out = out.subspan(static_cast<std::size_t>(here));
            offset = 0;
        }
        return true;
    }

private:
    Memory* memory_;
    std::span<const extent> extents_;
    byte_count size_;
};

/// A plain value at `offset` of the file, in the byte order of the file and the machine; false past the end.
template <class T, image_source S> bool read_value(const S& source, std::uint64_t offset, T& value)
{
    return source.read(offset, {reinterpret_cast<std::byte*>(&value), sizeof(T)});
}

} // namespace lobos
