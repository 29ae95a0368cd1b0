// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Destination frames that the running kernel does not use. They are taken from the glue, and what the image wants in
/// them is put there while nothing has happened yet: after the point of no return only bytes are written whose
/// destination the running kernel still needed. Owned until the exec happens or is dropped.

#include <algorithm>
#include <array>
#include <utility>

#include <lobos/glue/kernel_glue.hpp>
#include <lobos/image/segment.hpp>

namespace lobos {

template <kernel_glue Glue> class claimed_frames {
    static constexpr byte_count page_size = Glue::port::page_size;

public:
    explicit claimed_frames(Glue& glue) : glue_{&glue} {}

    claimed_frames(claimed_frames&& other) noexcept
        : glue_{other.glue_},
          storage_{std::exchange(other.storage_, {})},
          count_{std::exchange(other.count_, 0)}
    {
    }
    claimed_frames& operator=(claimed_frames&&) = delete;
    ~claimed_frames()
    {
        for (const extent& e : frames())
            for (std::uint64_t done = 0; done < e.size.raw(); done += page_size.raw())
                glue_->free_page(e.at + byte_count::of(done));
    }

    /// Where the list of frames is kept; outlives this. Precondition: nothing has been claimed.
    void keep_list_in(std::span<extent> storage)
    {
        expects(count_ == 0, "the list of claimed frames is empty when it gets its storage");
        storage_ = storage;
    }

    /// Puts into place what can be, and describes `image` as it is then in `staged`: the same destinations, `copy`
    /// segments whose bytes lie in place where a frame was claimed and where they lay where it was not. Sources are in
    /// use, so no frame that holds one is claimed.
    ///
    /// Preconditions: `staged` has the size of `image`; the loader saw to it that no byte has two destinations.
    /// Faults: no_space (at: entries needed in `extents` or in the list, the larger number), source_size_mismatch (at:
    /// destination of the segment), bad_range (at: an extent of the file that wraps).
    result<void> stage(std::span<const segment> image, std::span<segment> staged, std::span<extent> extents)
    {
        writer out{extents};
        claims_so_far claims;
        for (std::size_t i = 0; i < image.size(); ++i) {
            staged[i] = image[i];
            if (image[i].what != content::copy && image[i].what != content::zero)
                continue;
            out.begin_segment();
            if (const auto done = stage_one(image[i], out, claims); !done)
                return done;
            staged[i].what = content::copy;
            staged[i].file_offset = {};
            staged[i].file = out.of_segment();
        }
        const std::size_t needed = std::max(out.needed, claims.count);
        if (out.needed > extents.size() || claims.count > storage_.size())
            return refuse(fault_code::no_space, stage::planning, needed);
        return {};
    }

    /// Ascending in each segment, neighbours in one range.
    std::span<const extent> frames() const { return storage_.first(count_); }

private:
    /// Extents in the making. Beyond the storage they are only counted.
    struct writer {
        std::span<extent> storage;
        std::size_t needed = 0;
        std::size_t first = 0; ///< of the segment
        extent last = {};      ///< whether there is room for it or not

        void begin_segment() { first = needed; }
        void add(const extent& e)
        {
            const bool goes_on = needed > first &&
                (e.is_zeros() ? last.is_zeros() : !last.is_zeros() && checked_add(last.at, last.size) == e.at);
            if (goes_on)
                last.size += e.size;
            else {
                last = e;
                ++needed;
            }
            if (needed <= storage.size())
                storage[needed - 1] = last;
        }
        std::span<const extent> of_segment() const
        {
            return needed <= storage.size() ? storage.subspan(first, needed - first) : std::span<extent>{};
        }
    };

    /// Ranges of frames that were claimed, whether there was room to keep them or not.
    struct claims_so_far {
        std::size_t count = 0;
        std::optional<phys_addr> end = {}; ///< of the last
    };

    result<void> stage_one(const segment& s, writer& out, claims_so_far& claims)
    {
        for (const extent& e : s.file)
            if (!e.is_sound())
                return refuse(fault_code::bad_range, stage::planning, e.at);
        content_cursor from{s};
        std::optional<phys_addr> at = s.destination.first();
        while (at && *at <= s.destination.last()) {
            const phys_range frame = phys_range::of(align_down(*at, page_size), page_size);
            const phys_range here = phys_range::between(*at, std::min(frame.last(), s.destination.last()));
            // Only a frame at the segment's end can be another segment's too, and be claimed already.
            const bool shared = !s.destination.contains(frame);
            const bool ours = (shared && is_claimed(frame.first())) || claim(frame.first(), claims);
            if (ours)
                out.add({here.first(), here.size()});
            for (phys_addr to = here.first(); to <= here.last();) {
                const extent piece = from.take(here.last() - to + byte_count::of(1));
                if (piece.size.raw() == 0)
                    return refuse(fault_code::source_size_mismatch, stage::planning, s.destination.first());
                if (ours)
                    put(piece, to);
                else
                    out.add(piece);
                const auto next = checked_add(to, piece.size);
                if (!next)
                    break;
                to = *next;
            }
            at = address_after(here);
        }
        return {};
    }

    bool is_claimed(phys_addr frame) const
    {
        return std::ranges::any_of(frames(), [&](const extent& e) { return frame >= e.at && frame - e.at < e.size; });
    }

    /// `claims` counts ranges of frames, also beyond what the list has room for.
    bool claim(phys_addr frame, claims_so_far& claims)
    {
        // What survives, or is the firmware's, is nobody's to give, whatever the kernel thinks.
        if (glue_->memory_map().first_not(region_kind::usable, phys_range::of(frame, page_size)) ||
            !glue_->allocate_page_at(frame))
            return false;
        const bool goes_on = claims.count != 0 && claims.end == frame;
        claims.count += goes_on ? 0 : 1;
        claims.end = checked_add(frame, page_size);
        if (claims.count > storage_.size()) { // counted, but there is no room to keep it
            glue_->free_page(frame);
            return false;
        }
        if (goes_on)
            storage_[count_ - 1].size += page_size;
        else
            storage_[count_++] = {frame, page_size};
        return true;
    }

    void put(const extent& piece, phys_addr to)
    {
        std::array<std::byte, 512> buffer{};
        for (std::uint64_t done = 0; done < piece.size.raw();) {
            const std::uint64_t n = std::min<std::uint64_t>(buffer.size(), piece.size.raw() - done);
            const auto part = std::span{buffer}.first(static_cast<std::size_t>(n));
            if (!piece.is_zeros())
                glue_->memory().read(piece.at + byte_count::of(done), part);
            glue_->memory().write(to + byte_count::of(done), part);
            done += n;
        }
    }

    Glue* glue_;
    std::span<extent> storage_ = {};
    std::size_t count_ = 0;
};

} // namespace lobos
