// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// Random layouts, to the byte: planned, proved and run. And random damage to the plans: what the verifier lets pass
// does what was wanted all the same.

#include <algorithm>
#include <cstdio>
#include <cstring>

#include <lobos/plan/step_rules.hpp>
#include <lobos/x86/paging_4m.hpp>

#include <tests/catch.hpp>
#include <tests/property/seeds.hpp>
#include <tests/support/effort.hpp>
#include <tests/support/overlay_memory.hpp>
#include <tests/support/plan_damage.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

// Memory: the arena in the middle of a margin that nothing may change, the bounce page, the program, the steps.
constexpr std::uint32_t margin = 96;
constexpr std::uint32_t arena = 64;
constexpr std::uint32_t world = margin + arena + margin;
constexpr phys_addr bounce = 0x1000_pa;
constexpr phys_addr program_at = 0x2000_pa;
constexpr std::uint64_t steps_at = 0x3000;

using snapshot = std::array<std::uint8_t, world>;

/// A layout: pieces of the arena and where each comes from, gathered into segments.
struct layout {
    std::vector<extent> extents; // of all segments, in order
    std::vector<segment> image;
    snapshot wanted;
};

struct piece {
    std::uint32_t at;
    std::uint32_t size;
};

/// The arena in pieces, mostly small ones or mostly large ones.
std::vector<piece> cut(random_numbers& random)
{
    std::vector<piece> pieces;
    const std::uint32_t longest = 1 + random.below(24);
    for (std::uint32_t at = 0; at < arena;) {
        const std::uint32_t size = std::min(1 + random.below(longest), arena - at);
        pieces.push_back({margin + at, size});
        at += size;
    }
    return pieces;
}

/// What lay at address `i` before: never the same twice, and never zero.
constexpr std::uint8_t before(std::uint32_t i)
{
    return static_cast<std::uint8_t>(i + 1 == world ? 0 : i + 1);
}
static_assert(world <= 256);

void make(layout& l, random_numbers& random)
{
    l.extents.clear();
    l.image.clear();
    for (std::uint32_t i = 0; i < world; ++i)
        l.wanted[i] = before(i);
    std::vector<piece> pieces = cut(random);
    if (random.chance(13)) // a permutation of the pieces, and thus one of the bytes
        for (std::uint32_t i = 1; i < pieces.size(); ++i)
            std::swap(pieces[i], pieces[random.below(i + 1)]);
    const bool injective = random.chance(10);
    const std::uint32_t zeros_in_16 = random.chance(8) ? 0 : random.below(6);
    const std::uint32_t holes_in_16 = random.chance(6) ? 0 : random.below(8);
    struct draft {
        std::uint32_t destination;
        std::uint32_t size;
        bool zero;
        std::size_t first; // of its extents
        std::size_t count;
        std::uint32_t offset;
    };
    std::vector<draft> drafts;
    std::uint32_t put = margin;
    bool goes_on = false;
    for (const piece& p : pieces) {
        const std::uint32_t destination = put;
        put += p.size;
        if (random.chance(holes_in_16)) {
            goes_on = false;
            continue;
        }
        if (random.chance(zeros_in_16)) {
            drafts.push_back({destination, p.size, true, 0, 0, 0});
            std::fill_n(l.wanted.begin() + destination, p.size, std::uint8_t{0});
            goes_on = false;
            continue;
        }
        const std::uint32_t source = injective ? p.at : margin + random.below(arena - p.size + 1);
        for (std::uint32_t i = 0; i < p.size; ++i)
            l.wanted[destination + i] = before(source + i);
        if (!goes_on || random.chance(4)) { // a new segment, whose file may begin before it
            const std::uint32_t offset = random.chance(12) ? 0 : random.below(source - 8);
            drafts.push_back({destination, 0, false, l.extents.size(), 0, offset});
            if (offset != 0 && random.chance(8)) {
                l.extents.push_back({phys_addr::at(8), byte_count::of(offset)});
                ++drafts.back().count;
            } else if (offset != 0) { // in one extent with it
                drafts.back().offset = std::min(offset, source);
                l.extents.push_back(
                    {phys_addr::at(source - drafts.back().offset), byte_count::of(drafts.back().offset + p.size)});
                drafts.back().size += p.size;
                ++drafts.back().count;
                goes_on = true;
                continue;
            }
        }
        draft& d = drafts.back();
        l.extents.push_back({phys_addr::at(source), byte_count::of(p.size)});
        d.size += p.size;
        ++d.count;
        goes_on = true;
    }
    for (const draft& d : drafts)
        l.image.push_back({.destination = phys_range::of(phys_addr::at(d.destination), byte_count::of(d.size)),
            .what = d.zero ? content::zero : content::copy,
            .file = std::span{l.extents}.subspan(d.first, d.count),
            .file_offset = byte_count::of(d.offset)});
    for (std::uint32_t i = 1; i < l.image.size(); ++i) // the order of segments means nothing
        std::swap(l.image[i], l.image[random.below(i + 1)]);
}

class workshop {
public:
    workshop()
    {
        store(wide_, program_at, overlay_program{plan_page::no_page, overlay_program::no_trail, 0, {}});
        plan_.page = 4_KiB;
        plan_.bounce = bounce;
        plan_.program = program_at;
    }

    /// Whether rules 3 and 4 let these steps pass.
    bool accepted(const layout& l, std::span<const overlay_step> steps)
    {
        store(wide_, program_at, put_steps(wide_, steps, std::span{&steps_at, 1})); // first_page
        plan_.image = l.image;
        verifier_context<overlay_memory<std::uint64_t>> c{plan_, map_, wide_, writes_, 1};
        return rules::collect_writes(c, x86::paging_4m::physical_reach) && rules::steps_write_the_image(c) &&
            rules::sources_are_intact(c);
    }

    /// What the steps make of memory, a byte at a time.
    snapshot modelled(std::span<const overlay_step> steps)
    {
        reset(model_);
        for (const overlay_step& s : steps) {
            std::array<std::uint8_t, world> moved{};
            for (std::size_t i = 0; i < s.size && !s.fills(); ++i)
                moved[i] = model_[static_cast<std::size_t>(s.source) + i];
            std::copy_n(moved.begin(), s.size, model_.begin() + static_cast<std::ptrdiff_t>(s.destination));
        }
        snapshot after;
        std::copy_n(model_.begin(), world, after.begin());
        return after;
    }

    /// And what the overlay makes of it; the same on 32-bit words and on 64-bit ones, or the case fails.
    snapshot run(std::span<const overlay_step> steps)
    {
        const snapshot wide = run_on(wide_, steps);
        if (run_on(narrow_, steps) != wide)
            FAIL("the word size makes a difference");
        return wide;
    }

private:
    using model = std::array<std::uint8_t, 0x1000 + world>;
    static void reset(model& m)
    {
        m.fill(0xee);
        for (std::uint32_t i = 0; i < world; ++i)
            m[i] = before(i);
    }
    template <class M> snapshot run_on(M& memory, std::span<const overlay_step> steps)
    {
        using address = M::address;
        for (std::uint32_t i = 0; i < world; ++i)
            start_[i] = before(i);
        memory.write(0_pa, std::as_bytes(std::span{start_}));
        for (const overlay_step& s : steps)
            overlay::run_step(memory, static_cast<address>(s.destination),
                static_cast<address>(s.destination - s.source), static_cast<address>(s.size), static_cast<address>(0),
                static_cast<address>(0));
        snapshot after;
        memory.read(0_pa, std::as_writable_bytes(std::span{after}));
        return after;
    }

    overlay_memory<std::uint64_t> wide_{0x4000};
    overlay_memory<std::uint32_t> narrow_{0x4000};
    region_map map_{{}};
    exec_plan plan_;
    std::vector<verified_write> writes_ = std::vector<verified_write>(plan_page::capacity);
    model model_{};
    snapshot start_{};
};

constexpr int damages = 3;

} // namespace

TEST_CASE("random layouts are planned, proved and run, and damaged plans are refused", "[property][plan]")
{
    const auto layouts = effort<std::uint32_t>(10'000, 100'000, 1'500'000);
    workshop shop;
    layout l;
    std::vector<planner_run> runs(2000);
    std::vector<overlay_step> steps(plan_page::capacity);
    std::size_t cycles = 0;
    std::size_t wrong = 0;
    std::size_t harmless = 0;
    for (const std::uint64_t seed : seeds_to_try(small_layout_seeds, layouts)) {
        random_numbers random{seed};
        make(l, random);
        const auto fail = [&](const char* what) {
            FAIL(what << ": LOBOS_SEED=" << seed << " runs it alone; see tests/property/seeds.hpp");
        };
        const auto plan = [&] {
            try {
                return make_plan(l.image, phys_range::of(bounce, 4_KiB), runs, steps);
            } catch (const std::exception& e) { // a contract of the library's
                fail(e.what());
                throw;
            }
        };
        const auto cost = plan();
        if (!cost)
            fail("no plan");
        cycles += cost->cycles;
        const auto planned = std::span{steps}.first(cost->steps);
        if (shop.modelled(planned) != l.wanted)
            fail("the steps do not make what was wanted");
        if (shop.run(planned) != l.wanted)
            fail("the overlay does not make what was wanted");
        if (!shop.accepted(l, planned))
            fail("the rules refuse the plan");
        byte_count total;
        for (const segment& s : l.image)
            total += s.destination.size();
        if (cost->copied + cost->zeroed + cost->in_place != total)
            fail("the cost is not that of the image");

        for (int i = 0; i < damages && !planned.empty(); ++i) {
            std::vector<overlay_step> damaged(planned.begin(), planned.end());
            damage(damaged, random, bounce, 0, world);
            const bool as_wanted = shop.modelled(damaged) == l.wanted;
            (as_wanted ? harmless : wrong) += 1;
            if (!as_wanted && shop.accepted(l, damaged)) {
                CAPTURE(i);
                fail("the rules accept a plan that does something else");
            }
        }
    }
    if (std::getenv("LOBOS_SEED"))
        return;
    // That the cases are what they are meant to be.
    std::printf(
        "%u layouts, %zu cycles, %zu plans damaged to harm and %zu without\n", layouts, cycles, wrong, harmless);
    CHECK(cycles > layouts / 4);
    CHECK(wrong > layouts);
}
