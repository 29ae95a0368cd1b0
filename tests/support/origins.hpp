// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What steps do, said as simply as it can be: for each byte of memory, at which address the byte lay before the first
/// step. Works at any address, without any memory.

#include <map>
#include <vector>

#include <lobos/image/segment.hpp>
#include <lobos/plan/program.hpp>

namespace lobos::test {

class origins {
public:
    /// The address where the byte at `address` once was; `no_source` for a zero.
    std::uint64_t of(std::uint64_t address) const
    {
        const auto found = changed_.find(address);
        return found == changed_.end() ? address : found->second;
    }

    /// As memmove, or a fill.
    void carry_out(const overlay_step& s)
    {
        std::vector<std::uint64_t> read;
        for (std::uint64_t i = 0; i < s.size; ++i)
            read.push_back(s.fills() ? no_source : of(s.source + i));
        for (std::uint64_t i = 0; i < s.size; ++i)
            changed_[s.destination + i] = read[static_cast<std::size_t>(i)];
    }

    const std::map<std::uint64_t, std::uint64_t>& changed() const { return changed_; }

private:
    std::map<std::uint64_t, std::uint64_t> changed_;
};

/// For each byte of the image's copies and fills, where it has to come from. Too short a file throws.
inline std::map<std::uint64_t, std::uint64_t> wanted_origins(std::span<const segment> image)
{
    std::map<std::uint64_t, std::uint64_t> wanted;
    for (const segment& s : image) {
        const std::uint64_t first = s.destination.first().raw();
        const std::uint64_t size = s.destination.size().raw();
        if (s.what == content::zero)
            for (std::uint64_t i = 0; i < size; ++i)
                wanted[first + i] = no_source;
        if (s.what != content::copy)
            continue;
        std::vector<std::uint64_t> places;
        for (const extent& e : s.file)
            for (std::uint64_t i = 0; i < e.size.raw(); ++i)
                places.push_back(e.is_zeros() ? no_source : e.at.raw() + i);
        for (std::uint64_t i = 0; i < size; ++i)
            wanted[first + i] = places.at(static_cast<std::size_t>(s.file_offset.raw() + i));
    }
    return wanted;
}

/// The first address where steps do not do what the image asks for (or anything beyond it, the bounce page left out);
/// nothing when they do.
inline std::optional<std::uint64_t> first_wrong(
    std::span<const segment> image, std::span<const overlay_step> steps, phys_addr bounce)
{
    origins memory;
    for (const overlay_step& s : steps)
        memory.carry_out(s);
    auto wanted = wanted_origins(image);
    for (const auto& [address, origin] : memory.changed()) {
        const bool bounced = address >= bounce.raw() && address - bounce.raw() < 4096;
        if (!bounced && !wanted.contains(address))
            return address;
    }
    for (const auto& [address, origin] : wanted)
        if (memory.of(address) != origin)
            return address;
    return std::nullopt;
}

} // namespace lobos::test
