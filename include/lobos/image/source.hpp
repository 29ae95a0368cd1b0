// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Where an image's bytes lie. The file was read into whatever pages the kernel had: a list of extents of physical
/// memory, of any length and alignment, in the order of the file (the vmalloc of [lobos/2000 §3.2.3]). Loaders look at
/// the bytes through `read`, the planner only ever sees the extents.

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include <lobos/core/physical_memory.hpp>

namespace lobos {

/// Consecutive bytes of a file in consecutive bytes of memory, or zeros that lie nowhere. A size of 0 is allowed and
/// means nothing.
struct extent {
    phys_addr at;
    byte_count size;

    /// Zeros that take no memory.
    static constexpr extent zeros(byte_count size) { return {no_memory, size}; }
    constexpr bool is_zeros() const { return at == no_memory; }
    /// True when it neither wraps nor ends with the last byte of the address space, which stands for zeros.
    constexpr bool is_sound() const { return is_zeros() || size.raw() <= ~at.raw(); }

    friend constexpr bool operator==(const extent&, const extent&) = default;

private:
    static constexpr phys_addr no_memory = phys_addr::at(~std::uint64_t{0});
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
        if (offset < begin_)
            begin_ = current_ = 0;
        while (!out.empty()) {
            const extent& e = extents_[current_];
            if (offset - begin_ >= e.size.raw()) {
                begin_ += e.size.raw();
                ++current_;
                continue;
            }
            const byte_count into = byte_count::of(offset - begin_);
            const std::uint64_t here = std::min<std::uint64_t>((e.size - into).raw(), out.size());
            const auto part = out.first(static_cast<std::size_t>(here));
            if (e.is_zeros())
                std::ranges::fill(part, std::byte{0});
            else
                memory_->read(e.at + into, part);
            out = out.subspan(static_cast<std::size_t>(here));
            offset += here;
        }
        return true;
    }

private:
    Memory* memory_;
    std::span<const extent> extents_;
    byte_count size_;
    mutable std::size_t current_ = 0; ///< where the last read ended, so that reading on does not begin at the front
    mutable std::uint64_t begin_ = 0; ///< of that extent, in the file
};

/// A plain value at `offset` of the file, in the byte order of the file and the machine; false past the end.
template <class T, image_source S> bool read_value(const S& source, std::uint64_t offset, T& value)
{
    return source.read(offset, {reinterpret_cast<std::byte*>(&value), sizeof(T)});
}

} // namespace lobos
