// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/plan/skip_cutter.hpp>

#include <array>
#include <cstring>
#include <vector>

#include <tests/catch.hpp>

using namespace lobos;

namespace {

constexpr std::uint64_t top = ~std::uint64_t{0};

std::vector<overlay_step> cut(const overlay_step& step, std::span<const skip_range> skips)
{
    std::vector<overlay_step> pieces;
    REQUIRE(cut_around(step, skips, [&](const overlay_step& piece) -> result<void> {
        pieces.push_back(piece);
        return {};
    }));
    return pieces;
}

constexpr std::size_t size = 10;
using bytes = std::array<std::uint8_t, size>;

/// What `step` makes of `memory`, which begins at 0, as memmove or memset does it.
void carry_out(bytes& memory, const overlay_step& step)
{
    const auto to = static_cast<std::size_t>(step.destination);
    const auto count = static_cast<std::size_t>(step.size);
    if (step.fills())
        std::memset(memory.data() + to, 0, count);
    else
        std::memmove(memory.data() + to, memory.data() + step.source, count);
}

} // namespace

TEST_CASE("a step is cut at the edges of what it may not change", "[plan]")
{
    const skip_range skips[] = {{100, 109}, {110, 110}, {120, 129}};
    CHECK(cut({90, 500, 10}, skips) == std::vector<overlay_step>{{90, 500, 10}});
    CHECK(cut({90, 500, 11}, skips) == std::vector<overlay_step>{{90, 500, 10}});
    CHECK(cut({111, 500, 9}, skips) == std::vector<overlay_step>{{111, 500, 9}});
    CHECK(cut({110, 500, 11}, skips) == std::vector<overlay_step>{{111, 501, 9}});
    CHECK(cut({100, 500, 11}, skips).empty());
    CHECK(cut({90, 500, 50}, skips) == std::vector<overlay_step>{{90, 500, 10}, {111, 521, 9}, {130, 540, 10}});
    CHECK(cut({90, 60, 50}, skips) == std::vector<overlay_step>{{130, 100, 10}, {111, 81, 9}, {90, 60, 10}});
    CHECK(cut(overlay_step::fill(90, 30), skips) ==
        std::vector<overlay_step>{overlay_step::fill(90, 10), overlay_step::fill(111, 9)});
    CHECK(cut({90, 500, 0}, skips).empty());
}

TEST_CASE("the ends of memory are edges like others", "[plan]")
{
    const skip_range ends[] = {{0, 9}, {top - 9, top}};
    CHECK(cut({0, 500, 20}, ends) == std::vector<overlay_step>{{10, 510, 10}});
    CHECK(cut({top - 19, 500, 20}, ends) == std::vector<overlay_step>{{top - 19, 500, 10}});
    const skip_range all[] = {{0, top}};
    CHECK(cut({0, 500, 20}, all).empty());
    CHECK(cut({top - 19, 500, 20}, all).empty());
    CHECK(cut({top - 19, 500, 20}, {}) == std::vector<overlay_step>{{top - 19, 500, 20}});
}

TEST_CASE("the first fault ends it", "[plan]")
{
    const skip_range skips[] = {{100, 109}};
    int calls = 0;
    const auto refused = cut_around({90, 500, 50}, skips, [&](const overlay_step&) -> result<void> {
        ++calls;
        return refuse(fault_code::no_memory, stage::staging, std::uint64_t{7});
    });
    REQUIRE(!refused);
    CHECK(refused.error() == fault{fault_code::no_memory, stage::staging, 7});
    CHECK(calls == 1);
}

TEST_CASE("the pieces together are the step: every step and every set of skipped bytes in 10", "[plan][exhaustive]")
{
    for (unsigned spared = 0; spared < 1u << size; ++spared) {
        std::vector<skip_range> skips;
        for (std::uint64_t i = 0; i < size; ++i)
            if ((spared >> i & 1) != 0) {
                if (!skips.empty() && skips.back().last + 1 == i)
                    skips.back().last = i;
                else
                    skips.push_back({i, i});
            }
        for (std::uint64_t count = 0; count <= size; ++count)
            for (std::uint64_t to = 0; to + count <= size; ++to)
                for (std::uint64_t from = 0; from + count <= size; ++from) {
                    const overlay_step step{to, from, count};
                    bytes before{};
                    for (std::size_t i = 0; i < size; ++i)
                        before[i] = static_cast<std::uint8_t>(i + 1);
                    bytes wanted = before;
                    carry_out(wanted, step);
                    bytes found = before;
                    const auto ok = cut_around(step, skips, [&](const overlay_step& piece) -> result<void> {
                        carry_out(found, piece);
                        return {};
                    });
                    for (std::size_t i = 0; i < size; ++i)
                        if ((spared >> i & 1) != 0)
                            wanted[i] = before[i];
                    if (!ok || found != wanted) {
                        CAPTURE(spared, to, from, count);
                        FAIL("not what the step does around what it may not change");
                    }
                }
    }
}
