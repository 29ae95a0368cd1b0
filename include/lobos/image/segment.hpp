// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A loader's answer: what must lie where in physical memory when the new kernel runs its first instruction.

#include <span>
#include <string_view>

#include <lobos/core/fixed_list.hpp>
#include <lobos/core/range.hpp>
#include <lobos/image/source.hpp>

namespace lobos {

/// What the bytes of a segment have to be.
enum class content : std::uint8_t {
    copy,       ///< the bytes of the file
    zero,       ///< zeros
    scratch,    ///< anything: the image will write here before it reads (room to decompress into)
    kept,       ///< what they are now: a file that the new kernel finds where it lies. That memory is somebody's, who
                ///< stays: a glue that gives pages of it is refused
    parameters, ///< a copy of the pages of parameters that an entry contract writes, from `file_offset` on
    padding,    ///< a permission that lies over other segments: the image leaves these bytes alone, so safe regions may
                ///< lie here, and whatever of a `copy` or `zero` falls on one is skipped [lobos/2000 fig. 2]
};

/// Which part of the image a segment is, for people and for the report.
enum class segment_role : std::uint8_t { kernel, initrd, module };

struct segment {
    phys_range destination = phys_range::between(phys_addr{}, phys_addr{});
    content what = content::copy;
    segment_role role = segment_role::kernel;
    std::span<const extent> file = {}; ///< for `copy`: the extents of the whole file, zeros among them if it has holes
    byte_count file_offset = {}; ///< for `copy`: where in the file the segment begins; for `parameters`, in the pages

    /// True when these bytes are the image's alone: usable memory, or declared padding.
    constexpr bool occupies() const { return what != content::padding; }
};

/// Walks through the bytes that a segment is made of, piece by piece: extents for `copy`, zeros for `zero`, nothing for
/// others. Precondition: the extents are sound.
class content_cursor {
public:
    constexpr explicit content_cursor(const segment& s)
        : left_{s.what == content::copy || s.what == content::zero ? s.destination.size() : byte_count{}},
          file_{s.file},
          skip_{s.file_offset},
          zero_{s.what == content::zero}
    {
    }

    /// Bytes that are not taken yet.
    constexpr byte_count left() const { return left_; }

    /// The next piece, at most `most` bytes; of no size when the file ends before the segment.
    constexpr extent take(byte_count most)
    {
        most = std::min(most, left_);
        extent piece = extent::zeros(most);
        if (!zero_) {
            for (; !file_.empty() && skip_ >= file_.front().size; file_ = file_.subspan(1))
                skip_ = skip_ - file_.front().size;
            if (file_.empty())
                return {};
            const extent& e = file_.front();
            piece.size = std::min(most, e.size - skip_);
            if (!e.is_zeros())
                piece.at = e.at + skip_;
            skip_ += piece.size;
        }
        left_ = left_ - piece.size;
        return piece;
    }

private:
    byte_count left_;
    std::span<const extent> file_;
    byte_count skip_; ///< of the first of `file_`
    bool zero_;
};

/// Where a part of the image expects to be mapped when its first instruction runs.
struct virtual_segment {
    virt_range virtual_range;
    phys_addr physical; ///< of the first byte
    bool writable;

    constexpr phys_range physical_range() const { return phys_range::of(physical, virtual_range.size()); }
};

/// The most segments one image may have: a kernel with all its program headers, an initrd, modules.
inline constexpr std::size_t max_segments = 32;
using segment_list = fixed_list<segment, max_segments>;

/// Every destination lies below this in a 32-bit machine without PAE.
inline constexpr phys_range below_4g = phys_range::between(phys_addr::at(0), phys_addr::at(0xffff'ffff));

constexpr std::string_view to_string(segment_role role)
{
    using namespace std::string_view_literals;
    switch (role) {
    case segment_role::kernel: return "kernel"sv;
    case segment_role::initrd: return "initrd"sv;
    case segment_role::module: return "module"sv;
    }
    return "unknown"sv;
}

constexpr std::string_view to_string(content what)
{
    using namespace std::string_view_literals;
    switch (what) {
    case content::copy: return "copy"sv;
    case content::zero: return "zero"sv;
    case content::scratch: return "scratch"sv;
    case content::kept: return "kept"sv;
    case content::parameters: return "parameters"sv;
    case content::padding: return "padding"sv;
    }
    return "unknown"sv;
}

} // namespace lobos
