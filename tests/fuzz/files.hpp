// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Files for loaders: one whose few bytes of interest come from the input and that is as long as the input says, and
/// one that lies in pieces of memory. Neither gives a byte that is not the file's.

#include <algorithm>
#include <array>
#include <cstring>

#include <lobos/image/source.hpp>

#include <tests/fuzz/fuzz.hpp>

namespace lobos::fuzz {

/// `some` at offset `at`, zeros elsewhere. A read past the end puts `garbage` into what it was to fill.
class long_file {
public:
    /// `behind` zeros follow `some`; as many as fit in 64 bits.
    long_file(std::span<const std::byte> some, std::uint64_t behind, std::byte garbage)
        : long_file{0, some, some.size() + std::min(behind, ~std::uint64_t{some.size()}), garbage}
    {
    }
    long_file(std::uint64_t at, std::span<const std::byte> some, std::uint64_t size, std::byte garbage)
        : at_{at},
          some_{some},
          garbage_{garbage},
          extent_{phys_addr{}, byte_count::of(size)}
    {
    }
    long_file(const long_file&) = delete;

    byte_count size() const { return extent_.size; }
    std::span<const extent> extents() const { return {&extent_, 1}; }
    bool read(std::uint64_t offset, std::span<std::byte> out) const
    {
        const bool inside = has(offset, out.size());
        std::fill(out.begin(), out.end(), inside ? std::byte{} : garbage_);
        const std::uint64_t first = std::max(offset, at_);
        const std::uint64_t end = std::min<std::uint64_t>(at_ + some_.size(), inside ? offset + out.size() : 0);
        if (first < end)
            std::memcpy(out.data() + (first - offset), some_.data() + (first - at_), end - first);
        return inside;
    }

    bool has(wide offset, wide n) const { return offset + n <= size().raw(); }
    template <class T> T peek(std::uint64_t offset) const
    {
        T value{};
        must(read_value(*this, offset, value), "the target itself reads past the file");
        return value;
    }

private:
    std::uint64_t at_;
    std::span<const std::byte> some_;
    std::byte garbage_;
    extent extent_;
};
static_assert(image_source<long_file>);

/// Whether it may be an ELF file of hundreds of program headers: nothing new, and slow.
inline bool takes_long(const long_file& file)
{
    const std::uint64_t at = file.has(4, 1) && file.peek<std::uint8_t>(4) == 2 ? 56 : 44;
    return file.has(at, 2) && file.peek<std::uint16_t>(at) > 200;
}

/// Memory that holds `content` in `count` pieces, the last one first, gaps between them.
class scattered {
public:
    scattered(std::span<const std::byte> content, std::size_t count)
    {
        const std::size_t length = content.size() / count + 1;
        for (std::size_t done = 0; done < content.size(); done += pieces_.back().size())
            pieces_.push_back(copy_of(content.subspan(done, std::min(length, content.size() - done))));
        for (std::size_t i = 0; i < pieces_.size(); ++i)
            extents_.push_back({phys_addr::at((pieces_.size() - i) << 16), byte_count::of(pieces_[i].size())});
    }
    std::span<const extent> extents() const { return extents_; }

    void read(phys_addr at, std::span<std::byte> out)
    {
        const std::uint64_t index = pieces_.size() - (at.raw() >> 16);
        must(index < pieces_.size(), "a read of memory that is not the file's");
        const bytes& piece = pieces_[static_cast<std::size_t>(index)];
        const std::uint64_t offset = at.raw() & 0xffff;
        must(offset <= piece.size() && out.size() <= piece.size() - offset, "a read past a piece of the file");
        if (!out.empty())
            std::memcpy(out.data(), piece.data() + offset, out.size());
    }
    void write(phys_addr, std::span<const std::byte>) { violated("somebody writes to a file"); }

private:
    std::vector<bytes> pieces_;
    std::vector<extent> extents_;
};

} // namespace lobos::fuzz
