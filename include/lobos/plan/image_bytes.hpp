// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The image as its first instruction will find it, read before anything of it has been copied: each byte is fetched
/// from where the plan's image has it now. For rules about what is told in the image itself.

#include <algorithm>

#include <lobos/plan/step_rules.hpp>

namespace lobos::rules {

/// Fills `out` with what will lie at `at`. False, with `out` unspecified, where that is in no copied or zeroed segment,
/// or behind the end of the file. Precondition: rules 2 and 3 hold, so that each byte has one source, in memory.
template <class C> bool image_bytes(const C& c, phys_addr at, std::span<std::byte> out)
{
    while (!out.empty()) {
        const auto holder = std::ranges::find_if(c.plan.image, [&](const segment& s) {
            return (s.what == content::copy || s.what == content::zero) && s.destination.contains(at);
        });
        if (holder == c.plan.image.end())
            return false;
        source_cursor from{*holder};
        for (std::uint64_t before = (at - holder->destination.first()).raw(); before != 0 && !from.at_end();) {
            const std::uint64_t piece = std::min(before, from.left());
            from.advance(piece);
            before -= piece;
        }
        const std::uint64_t of_segment = (holder->destination.last() - at).raw() + 1;
        for (std::uint64_t left = std::min<std::uint64_t>(out.size(), of_segment); left != 0;) {
            if (from.at_end())
                return false;
            const auto piece = static_cast<std::size_t>(std::min(left, from.left()));
            if (from.zero())
                std::ranges::fill(out.first(piece), std::byte{0});
            else
                c.memory.read(phys_addr::at(from.source()), out.first(piece));
            from.advance(piece);
            out = out.subspan(piece);
            left -= piece;
            const auto next = checked_add(at, byte_count::of(piece));
            if (!next)
                return out.empty();
            at = *next;
        }
    }
    return true;
}

/// A field of `sizeof(T)` bytes there; nothing where there is none.
template <class T, class C> std::optional<T> image_field(const C& c, phys_addr at)
{
    std::array<std::byte, sizeof(T)> bytes{};
    if (!image_bytes(c, at, bytes))
        return std::nullopt;
    return std::bit_cast<T>(bytes);
}

} // namespace lobos::rules
