// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Images that lie in memory as a running kernel's allocator leaves them: in pieces, anywhere, half of them where the
/// image itself has to go. All from seeds, so every run measures the same.

#include <vector>

#include <lobos/image/segment.hpp>
#include <lobos/plan/planner.hpp>

#include <benchmarks/support/large_buffer.hpp>

namespace lobos::bench {

/// splitmix64.
class random_numbers {
public:
    explicit random_numbers(std::uint64_t seed) : state_{seed} {}
    std::uint64_t operator()()
    {
        std::uint64_t z = state_ += 0x9e37'79b9'7f4a'7c15;
        z = (z ^ z >> 30) * 0xbf58'476d'1ce4'e5b9;
        z = (z ^ z >> 27) * 0x94d0'49bb'1331'11eb;
        return z ^ z >> 31;
    }
    std::uint64_t below(std::uint64_t n) { return static_cast<std::uint64_t>(__uint128_t{(*this)()} * n >> 64); }

private:
    std::uint64_t state_;
};

/// The numbers below `n` in random order: the order in which an allocator gives the pages of a fragmented memory.
inline large_buffer<std::uint32_t> random_order(std::size_t n, std::uint64_t seed)
{
    large_buffer<std::uint32_t> order(n);
    random_numbers random{seed};
    for (std::size_t i = 0; i < n; ++i) {
        const auto j = static_cast<std::size_t>(random.below(i + 1));
        order[i] = order[j];
        order[j] = static_cast<std::uint32_t>(i);
    }
    return order;
}

constexpr byte_count page_size = byte_count::of(4096);

/// An image, and room to plan it in.
struct workload {
    std::uint64_t pages = 0; ///< of the image
    std::size_t runs = 0;    ///< maximal: pieces whose source and destination are both in one piece
    large_buffer<extent> extents;
    std::vector<segment> image;
    large_buffer<planner_run> scratch;
    large_buffer<overlay_step> steps;

    static constexpr phys_addr bounce = phys_addr::at(0x1000);

    result<plan_cost> plan() { return make_plan(image, phys_range::of(bounce, page_size), scratch.all(), steps.all()); }

    /// The same with every visit of a note counted.
    std::uint64_t visits()
    {
        struct tally {
            std::uint64_t count = 0;
            void visit(std::size_t n = 1) { count += n; }
        } counted;
        const auto page = phys_range::of(bounce, page_size);
        const auto cost = detail::planner{scratch.all(), steps.all(), page, counted}.plan(image);
        return cost ? counted.count : 0;
    }

    /// Room for what `plan` needs; a circle of long runs takes a step for each of its pages.
    void make_room()
    {
        runs = 0;
        const std::size_t extra = 4096 + image.size();
        scratch = large_buffer<planner_run>(extents.size() + extra);
        steps = large_buffer<overlay_step>(extents.size() + extra);
        for (const segment& s : image) {
            std::uint64_t destination = s.destination.first().raw();
            const extent* before = nullptr;
            for (const extent& e : s.file) {
                const bool in_place = e.at.raw() == destination;
                runs += !in_place && (before == nullptr || before->at + before->size != e.at);
                before = in_place ? nullptr : &e;
                destination += e.size.raw();
            }
        }
    }
};

constexpr std::uint64_t first_page = 0x100; ///< where memory begins, for all of these: 1 MiB
constexpr phys_addr page_address(std::uint64_t page)
{
    return phys_addr::at((first_page + page) * page_size.raw());
}

/// `pieces` of `piece_pages` each, staged in twice as much memory, the lower half of which is where they go, as one
/// segment.
inline workload fragmented_image(std::size_t pieces, std::uint64_t piece_pages, std::uint64_t seed)
{
    workload w;
    w.pages = pieces * piece_pages;
    w.extents = large_buffer<extent>(pieces);
    const auto order = random_order(2 * pieces, seed);
    const byte_count size = byte_count::of(piece_pages * page_size.raw());
    for (std::size_t i = 0; i < pieces; ++i)
        w.extents[i] = {page_address(order.all()[i] * piece_pages), size};
    w.image = {{phys_range::of(page_address(0), byte_count::of(w.pages * page_size.raw())), content::copy,
        segment_role::kernel, w.extents.all(), {}}};
    w.make_room();
    return w;
}

/// Fragmented to the page, with pages from all of a memory of `memory` bytes; half of the pages lie on destinations,
/// however large the memory is.
inline workload image_in_memory(std::size_t pages, std::uint64_t memory, std::uint64_t seed)
{
    workload w = fragmented_image(pages, 1, seed);
    const std::uint64_t beyond = memory / page_size.raw() - pages; // pages that are no destination
    const std::uint64_t stride = beyond / pages;                   // one of each stride, so that none is taken twice
    random_numbers random{seed};
    for (extent& e : w.extents.all()) {
        const std::uint64_t page = e.at.raw() / page_size.raw() - first_page;
        if (page >= pages)
            e.at = page_address(pages + (page - pages) * stride + random.below(stride));
    }
    w.make_room();
    return w;
}

/// The same pages as those of one segment, in `segments` of equal size with a page between them.
inline workload image_in_segments(std::size_t pages, std::size_t segments, std::uint64_t seed)
{
    workload w;
    w.pages = pages;
    w.extents = large_buffer<extent>(pages);
    const std::size_t each = pages / segments;
    const auto order = random_order(2 * pages, seed);
    const auto place = [&](std::uint64_t page) {
        return page_address(page < pages ? page + page / each : page + segments);
    };
    for (std::size_t i = 0; i < pages; ++i)
        w.extents[i] = {place(order.all()[i]), page_size};
    for (std::size_t s = 0; s < segments; ++s)
        w.image.push_back({phys_range::of(place(s * each), byte_count::of(each * page_size.raw())), content::copy,
            segment_role::kernel, w.extents.all().subspan(s * each, each), {}});
    w.make_room();
    return w;
}

} // namespace lobos::bench
