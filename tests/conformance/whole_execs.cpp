// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// The main job, on every port: a running kernel gives way to an image that lies over it, with all that an image can be
// made of.

#include <tests/conformance/ports.hpp>
#include <tests/conformance/world.hpp>
#include <tests/support/effort.hpp>

using namespace lobos;
using namespace lobos::conformance;

namespace {

/// Everything at once: an image over all that is the kernel's own; a file shuffled over its own destination; another
/// that was read into the beginning of each page; zeros at odd ends; one with a surviving log in its midst; and one
/// that stays where it is.
template <class D> struct crowded : world<D> {
    using base = world<D>;
    using base::at, base::page_bytes, base::pages;

    static constexpr std::size_t circle = 5, in_circle = 12;
    static constexpr std::size_t log = 60, in_log = 4;
    static constexpr std::size_t kept = 90;

    explicit crowded(std::uint32_t seed) : base{seed + 1, 224}
    {
        base::claim(circle, in_circle);
        base::claim(log, in_log);
        base::claim(kept, 1);
        trail = base::start_log(log, in_log);
        shuffled = base::shuffled(circle, in_circle, seed);
        const auto size = static_cast<std::size_t>(base::own_memory.size().raw());
        kernel = base::machine.stage(base::contents(size, 1));
        scattered = base::machine.stage(base::contents(5 * page_bytes + 0x234, 2), page_bytes - seed % 9);
        around = base::machine.stage(base::contents(7 * page_bytes, 3), page_bytes);
        base::machine.memory().write(at(kept, 3), base::contents(0x777, 4));
        base::early(seed % 2 == 0);
    }
    typename D::image image() const
    {
        const phys_range module = phys_range::of(at(30, 0x1f), byte_count::of(5 * page_bytes + 0x234));
        const auto file = [](phys_range to, const std::vector<extent>& from) {
            return segment{.destination = to, .role = segment_role::module, .file = from};
        };
        return D::image_of(
            {
                {.destination = base::own_memory, .file = kernel.extents},
                file(pages(circle, in_circle), shuffled),
                file(module, scattered.extents),
                {.destination = phys_range::of(module.last() + byte_count::of(1), byte_count::of(2 * page_bytes + 5)),
                    .what = content::zero},
                file(phys_range::of(at(log - 2, 9), byte_count::of(7 * page_bytes)), around.extents),
                {.destination = pages(log, in_log), .what = content::padding},
                {.destination = phys_range::of(at(kept, 3), byte_count::of(0x777)), .what = content::kept},
            },
            base::own_memory.first() + byte_count::of(0x40));
    }

    phys_addr trail;
    std::vector<extent> shuffled;
    sim::staged_bytes kernel, scattered, around;
};

} // namespace

TEMPLATE_LIST_TEST_CASE("a kernel gives way to an image that lies over it, to the last byte", "", ports)
{
    for (std::uint32_t seed = 0; seed < effort(2u, 6u, 48u); ++seed) {
        CAPTURE(TestType::name, seed);
        crowded<TestType> w{seed};
        const plan_cost cost =
            check_exec(w, w.image(), {.trail = seed % 3 == 0 ? std::nullopt : std::optional{w.trail}});
        CHECK(cost.cycles > 0);
        if (seed % 2 != 0) // it is all left for the loop
            CHECK(cost.copied + cost.in_place >= w.own_memory.size());
    }
}
