// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// Every layout of up to 6 pages, or 7 if asked for more: every partial injection of source pages to destination pages,
// with every set of safe pages among them, planned, proved, run by the overlay's loop and compared byte for byte. In
// shares that can be run side by side.

#include <array>
#include <cstdio>
#include <cstring>

#include <lobos/plan/place_rules.hpp>
#include <lobos/plan/step_rules.hpp>
#include <lobos/x86/paging_4m.hpp>

#include <tests/catch.hpp>
#include <tests/support/effort.hpp>
#include <tests/support/overlay_memory.hpp>
#include <tests/support/page_layout.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

constexpr std::size_t most_pages = 7;
constexpr std::size_t page_bytes = 4096;
constexpr byte_count page_size = byte_count::of(page_bytes);
constexpr std::size_t words = page_bytes / sizeof(std::uint64_t);

// Memory: a page that nothing may change, the arena, another such page; then bounce page, program and steps.
constexpr phys_addr arena = 0x1000_pa;
constexpr std::size_t guarded = most_pages + 2;
constexpr phys_addr bounce = 0x10000_pa;
constexpr phys_addr program_at = 0x11000_pa;
constexpr std::uint64_t steps_at = 0x12000;
constexpr std::size_t memory_size = 0x13000;

constexpr phys_addr page(std::size_t i)
{
    return arena + byte_count::of(i * page_bytes);
}

constexpr std::size_t nothing = page_layout::nothing;
using injection = page_layout::injection<most_pages>;

class workshop {
public:
    workshop()
    {
        for (std::size_t i = 0; i < guarded; ++i)
            for (std::size_t w = 0; w < words; ++w)
                before_[i][w] = (std::uint64_t{i} + 1) << 56 | w << 8 | (w * 5 + i);
        plan_.page = page_size;
        plan_.bounce = bounce;
        plan_.program = program_at;
    }

    /// One layout. Pages without a source stay as they are, or are zeroed; each page is a segment of its own, or
    /// neighbours are one.
    void try_one(std::size_t n, const injection& source, unsigned safe, bool zero_rest, bool join)
    {
        const auto fail = [&](const char* what) {
            CAPTURE(n, source, safe, zero_rest, join);
            FAIL(what);
        };
        describe(n, source, safe, zero_rest, join);
        memory_.write(0_pa, std::as_bytes(std::span{before_}));
        const auto cost = make_plan(image_, phys_range::of(bounce, page_size), runs_, steps_);
        if (!cost) {
            fail("no plan");
            return;
        }
        overlay_program program{plan_page::no_page, overlay_program::no_trail, 0, {}};
        for (std::size_t i = 0; i < n; ++i)
            if ((safe >> i & 1) != 0)
                program.skips[program.skip_count++] = {page(i).raw(), page(i).raw() + page_bytes - 1};
        program.first_page = put_steps(memory_, std::span{steps_}.first(cost->steps), std::span{&steps_at, 1});
        store(memory_, program_at, program);

        prove(source, safe, fail);
        const std::uint64_t stored = memory_.stored;
        overlay::run(memory_, program_at.raw());
        compare(n, source, safe, zero_rest, fail);
        count(*cost, memory_.stored - stored, n, source, safe, zero_rest, join, fail);
    }

    std::size_t refused = 0; ///< for a source in a safe region
    std::size_t cycles = 0;

private:
    using page_words = std::array<std::uint64_t, words>;

    void describe(std::size_t n, const injection& source, unsigned safe, bool zero_rest, bool join)
    {
        image_.clear();
        extents_.clear();
        safe_.clear();
        for (std::size_t d = 0; d < n; ++d)
            extents_.push_back({page(source[d] == nothing ? 0 : source[d]), page_size}); // never grows beyond this
        for (std::size_t d = 0; d < n; ++d) {
            const content what = source[d] == nothing ? content::zero : content::copy;
            if (what == content::zero && !zero_rest)
                continue;
            const bool same = join && !image_.empty() && image_.back().what == what &&
                image_.back().destination.last() + 1_bytes == page(d);
            if (same) {
                segment& s = image_.back();
                s.destination = phys_range::of(s.destination.first(), s.destination.size() + page_size);
                s.file = what == content::copy ? std::span<const extent>{s.file.data(), s.file.size() + 1} : s.file;
            } else {
                image_.push_back({.destination = phys_range::of(page(d), page_size), .what = what});
                if (what == content::copy)
                    image_.back().file = std::span<const extent>{extents_}.subspan(d, 1);
            }
        }
        for (std::size_t i = 0; i < n; ++i)
            if ((safe >> i & 1) != 0) {
                safe_.push_back({phys_range::of(page(i), page_size), safe_role::log});
                if (i != 0 && (safe >> (i - 1) & 1) != 0) // neighbours lie in one piece of padding
                    image_.back().destination =
                        phys_range::between(image_.back().destination.first(), safe_.back().range.last());
                else
                    image_.push_back({.destination = phys_range::of(page(i), page_size), .what = content::padding});
            }
        safe_.push_back({phys_range::of(bounce, page_size), safe_role::bounce});
        plan_.image = image_;
        plan_.safe = safe_;
    }

    template <class Fail> void prove(const injection& source, unsigned safe, Fail fail)
    {
        region storage[2 * most_pages + 3];
        region_map map{storage};
        bool added = map.add(phys_range::of(0_pa, byte_count::of(memory_size)), region_kind::usable).has_value();
        for (const safe_region& r : safe_)
            added = added && map.add(r.range, region_kind::safe);
        verifier_context<overlay_memory<std::uint64_t>> c{plan_, map, memory_, writes_, 1};
        if (!added || !rules::destinations(c))
            fail("rule 1 does not hold");
        if (!rules::program_is_sound(c))
            fail("rule 9 does not hold");
        if (!rules::collect_writes(c, x86::paging_4m::physical_reach) || !rules::steps_write_the_image(c))
            fail("rule 3 does not hold");
        if (!rules::sources_are_intact(c))
            fail("rule 4 does not hold");

        // A source in a safe region is refused, wherever it goes; it would run all the same.
        std::optional<phys_addr> first;
        for (const std::size_t s : source)
            if (!first && s != nothing && (safe >> s & 1) != 0)
                first = page(s);
        const result<void> apart = rules::safe_regions_are_apart(c);
        if (first ? apart != refuse(fault_code::source_in_safe_region, stage::verifying, *first) : !apart)
            fail("rule 2 is wrong");
        refused += first ? 1u : 0u;
    }

    template <class Fail>
    void compare(std::size_t n, const injection& source, unsigned safe, bool zero_rest, Fail fail)
    {
        static constexpr page_words zeros{};
        const std::byte* after = memory_.place(0, guarded * page_bytes);
        for (std::size_t i = 0; i < guarded; ++i, after += page_bytes) {
            const page_words* wanted = &before_[i];
            if (i != 0 && i <= n && (safe >> (i - 1) & 1) == 0) {
                if (source[i - 1] != nothing)
                    wanted = &before_[source[i - 1] + 1];
                else if (zero_rest)
                    wanted = &zeros;
            }
            if (std::memcmp(after, wanted, page_bytes) != 0)
                fail("memory is not as it was wanted");
        }
    }

    /// The plan's own figures, page by page.
    template <class Fail>
    void count(const plan_cost& cost, std::uint64_t stored, std::size_t n, const injection& source, unsigned safe,
        bool zero_rest, bool join, Fail fail)
    {
        std::uint64_t copied = 0;
        std::uint64_t zeroed = 0;
        std::uint64_t in_place = 0;
        std::uint64_t skipped = 0;
        for (std::size_t d = 0; d < n; ++d) {
            std::uint64_t& kind = source[d] == nothing ? zeroed : source[d] == d ? in_place : copied;
            const bool written = (source[d] != nothing || zero_rest) && source[d] != d;
            kind += written || source[d] == d ? page_bytes : 0;
            skipped += written && (safe >> d & 1) != 0 ? page_bytes : 0;
        }
        const std::size_t circles = page_layout::circles(n, source);
        cycles += circles;
        // Where neighbours are one segment, circles side by side are one cycle of longer runs; and a run may go through
        // the bounce page rather than be cut. Less than a page for each circle can never do.
        const std::uint64_t bounced = cost.bounced.raw();
        const bool through_bounce = join ? bounced % page_bytes == 0 && bounced >= circles * page_bytes &&
                bounced <= copied / 2 && (cost.cycles != 0) == (bounced != 0)
                                         : bounced == circles * page_bytes && cost.cycles == circles;
        const bool right = through_bounce && cost.copied.raw() == copied && cost.zeroed.raw() == zeroed &&
            cost.in_place.raw() == in_place && stored == copied + zeroed + bounced - skipped;
        if (!right)
            fail("the cost is not what it should be");
    }

    overlay_memory<std::uint64_t> memory_{memory_size};
    std::array<page_words, guarded> before_{};
    std::vector<segment> image_;
    std::vector<extent> extents_;
    std::vector<safe_region> safe_;
    std::vector<planner_run> runs_ = std::vector<planner_run>(256);
    std::vector<overlay_step> steps_ = std::vector<overlay_step>(plan_page::capacity);
    std::vector<verified_write> writes_ = std::vector<verified_write>(plan_page::capacity);
    exec_plan plan_;
};

} // namespace

// The layouts are dealt out one by one, so that the shares are alike.
constexpr std::size_t shares = 8;

TEMPLATE_TEST_CASE_SIG("every layout of a few pages, share", "[property][plan][exhaustive]",
    ((std::size_t Share), Share), 0, 1, 2, 3, 4, 5, 6, 7)
{
    STATIC_REQUIRE(Share < shares);
    // Partial injections of n pages: the sum over k of (n over k)^2 k!.
    constexpr std::size_t injections[] = {1, 2, 7, 34, 209, 1546, 13'327, 130'922};
    workshop shop;
    std::size_t all = 0;
    const auto pages = effort<std::size_t>(5, 6, most_pages);
    for (std::size_t n = 0; n <= pages; ++n) {
        std::size_t found = 0;
        std::size_t cases = 0;
        const auto try_them = [&](const injection& source) {
            if (found++ % shares != Share)
                return;
            for (unsigned safe = 0; safe < 1u << n; ++safe, ++cases) {
                shop.try_one(n, source, safe, false, true);
                shop.try_one(n, source, safe, true, false);
            }
        };
        injection source;
        source.fill(nothing);
        page_layout::every_injection(n, 0, 0, source, try_them);
        CHECK(found == injections[n]);
        CHECK(cases == (injections[n] + shares - 1 - Share) / shares << n);
        all += cases;
    }
    std::printf(
        "share %zu of %zu: %zu layouts of up to %zu pages run twice, %zu cycles, %zu with a source in a safe region\n",
        Share + 1, shares, all, pages, shop.cycles, shop.refused);
    CHECK(shop.cycles != 0);
    CHECK(shop.refused != 0);
}
