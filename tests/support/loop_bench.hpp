// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A copy loop of x86 as machine code, which knows no skips, carried out on this test's own memory, against a
/// byte-exact model.

#include <algorithm>
#include <cstdint>
#include <vector>

#include <lobos/plan/program.hpp>

#include <tests/catch.hpp>

namespace lobos::test {

using copy_loop = void (*)(std::uintptr_t program);

template <class T> std::uint64_t address_of(const T* at)
{
    return reinterpret_cast<std::uintptr_t>(at);
}

/// Memory, a program about it, and what has to come of it.
class loop_bench {
public:
    loop_bench(copy_loop loop, std::size_t size) : memory_(size + 2 * guard), wanted_(memory_.size()), loop_{loop}
    {
        fill();
    }

    void fill()
    {
        for (std::size_t i = 0; i < memory_.size(); ++i)
            wanted_[i] = memory_[i] = static_cast<std::uint8_t>(i * 7 + (i >> 8) * 3 + (i >> 16) + 1);
    }
    void copy(std::size_t destination, std::size_t source, std::size_t size)
    {
        steps.push_back({address_of(at(destination)), address_of(at(source)), size});
        const std::vector<std::uint8_t> before = wanted_;
        for (std::size_t i = 0; i < size; ++i)
            wanted_[guard + destination + i] = source == destination ? std::uint8_t{0} : before[guard + source + i];
    }
    void zeros(std::size_t destination, std::size_t size)
    {
        steps.push_back(overlay_step::fill(address_of(at(destination)), size));
        for (std::size_t i = 0; i < size; ++i)
            wanted_[guard + destination + i] = 0;
    }
    /// Runs the steps, so many in a page, and forgets them.
    bool run(std::size_t per_page = plan_page::capacity)
    {
        std::vector<plan_page> pages((steps.size() + per_page - 1) / per_page);
        program.first_page = pages.empty() ? plan_page::no_page : address_of(pages.data());
        for (std::size_t p = 0; p < pages.size(); ++p) {
            const std::size_t count = std::min(per_page, steps.size() - p * per_page);
            pages[p].next = p + 1 == pages.size() ? plan_page::no_page : address_of(&pages[p + 1]);
            pages[p].count = count;
            std::transform(&steps[p * per_page], &steps[p * per_page] + count, pages[p].steps, stored_step::of);
        }
        loop_(static_cast<std::uintptr_t>(address_of(&program)));
        steps.clear();
        return memory_ == wanted_;
    }

    overlay_program program{plan_page::no_page, overlay_program::no_trail, 0, {}};
    std::vector<overlay_step> steps;

private:
    static constexpr std::size_t guard = 256;
    const std::uint8_t* at(std::size_t offset) const { return &memory_[guard + offset]; }
    std::vector<std::uint8_t> memory_;
    std::vector<std::uint8_t> wanted_;
    copy_loop loop_;
};

/// Every small overlap, at every alignment.
inline void check_small_overlaps(copy_loop loop)
{
    loop_bench b{loop, 256};
    for (std::size_t distance = 0; distance <= 20; ++distance)
        for (std::size_t offset = 0; offset < 8; ++offset)
            for (const std::size_t size : {0u, 1u, 3u, 4u, 7u, 8u, 9u, 15u, 16u, 17u, 63u, 65u, 130u}) {
                b.copy(offset + distance, offset, size);
                b.copy(offset, offset + distance, size);
                b.zeros(100 + offset, distance);
                CAPTURE(distance, offset, size);
                REQUIRE(b.run());
                b.fill();
            }
}

/// Large overlaps, which are moved in words or in pieces.
inline void check_large_overlaps(copy_loop loop)
{
    loop_bench b{loop, 0x50000};
    for (const std::size_t distance : {1u, 63u, 4096u, 0x7fffu, 0x8000u, 0x8001u, 0x10000u})
        for (const std::size_t size : {0x7fffu, 0x8000u, 0x8001u, 0x1fff1u, 0x3ffffu}) {
            b.copy(3 + distance, 3, size);
            CAPTURE(distance, size);
            REQUIRE(b.run());
            b.fill();
            b.copy(5, 5 + distance, size);
            REQUIRE(b.run());
            b.fill();
        }
    b.zeros(7, 0x41235);
    CHECK(b.run());
}

/// The chain of pages, and the trail.
inline void check_chain_and_trail(copy_loop loop, std::size_t per_page)
{
    loop_bench b{loop, 1024};
    breadcrumb crumb{};
    crumb.stage = 1;
    crumb.ticks_per_ms = 77;
    crumb.steps = 1ull << 40 | 88; // all of it has to go
    b.program.trail = address_of(&crumb);
    for (std::size_t i = 0; i < plan_page::capacity + 3; ++i)
        b.copy(1 + i, i, 2); // the order matters
    CHECK(b.run(per_page));
    CHECK(crumb.stage == 3);
    CHECK(crumb.ticks_per_ms == 77);
    CHECK(crumb.steps == plan_page::capacity + 3);
    CHECK(crumb.began != 0);
    CHECK(crumb.began < crumb.ended);

    crumb.stage = 1;
    CHECK(b.run()); // no page
    CHECK(crumb.stage == 3);
    CHECK(crumb.steps == 0);
    CHECK(crumb.began < crumb.ended);

    crumb.stage = 1;
    crumb.steps = 88;
    crumb.began = 99;
    crumb.ended = 111;
    b.program.trail = overlay_program::no_trail;
    b.copy(0, 500, 100);
    CHECK(b.run());
    CHECK(crumb.stage == 1);
    CHECK(crumb.steps == 88);
    CHECK(crumb.began == 99);
    CHECK(crumb.ended == 111);
    CHECK(b.program.untold.stage == 3);
    CHECK(b.program.untold.steps == 1);
}

} // namespace lobos::test
