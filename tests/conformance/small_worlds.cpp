// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// Every layout of a few pages, on every port: every partial injection of source pages to destination pages, the others
// zeroed or left as they are, each a whole exec with all of memory compared. tests/property/layouts.cpp goes further
// with the planner and the loop alone.

#include <tests/conformance/ports.hpp>
#include <tests/conformance/world.hpp>
#include <tests/support/effort.hpp>
#include <tests/support/page_layout.hpp>

using namespace lobos;
using namespace lobos::conformance;
using page_layout::nothing;

namespace {

constexpr std::size_t most_pages = 5;
using layout = page_layout::injection<most_pages>;

/// Pages of a kernel's own, from the fourth on.
template <class D> struct arena : world<D> {
    explicit arena(std::size_t pages) : world<D>{0, 24} { world<D>::claim(4, pages); }
    phys_range page(std::size_t n) const { return this->pages(4 + n, 1); }
};

/// One layout; whether there was anything to do.
template <class D> bool try_one(std::size_t n, const layout& source, bool zero_rest)
{
    CAPTURE(D::name, n, source, zero_rest);
    arena<D> a{n};
    std::vector<extent> files(n);
    std::vector<segment> parts;
    plan_cost wanted;
    for (std::size_t d = 0; d < n; ++d) {
        const bool copied = source[d] != nothing;
        if (!copied && !zero_rest)
            continue;
        parts.push_back({.destination = a.page(d), .what = copied ? content::copy : content::zero});
        if (copied) {
            files[d] = {a.page(source[d]).first(), a.page_size};
            parts.back().file = {&files[d], 1};
        }
        byte_count& kind = !copied ? wanted.zeroed : source[d] == d ? wanted.in_place : wanted.copied;
        kind += a.page_size;
    }
    if (parts.empty())
        return false;
    const phys_addr first = parts.front().destination.first();
    const plan_cost cost = check_exec(a, D::image_of(std::move(parts), first + byte_count::of(0x10)));
    const std::size_t circles = page_layout::circles(n, source);
    CHECK(cost.cycles == circles);
    CHECK(cost.bounced.raw() == circles * a.page_size.raw());
    CHECK((cost.copied == wanted.copied && cost.zeroed == wanted.zeroed && cost.in_place == wanted.in_place));
    return true;
}

} // namespace

TEMPLATE_LIST_TEST_CASE("every layout of a few pages", "[exhaustive]", ports)
{
    std::size_t tried = 0;
    const auto pages = effort<std::size_t>(2, 3, most_pages);
    for (std::size_t n = 1; n <= pages; ++n) {
        const auto visit = [&](const layout& source) {
            for (const bool zero_rest : {false, true})
                tried += try_one<TestType>(n, source, zero_rest) ? 1u : 0u;
        };
        layout source{};
        page_layout::every_injection(n, 0, 0, source, visit);
    }
    CHECK(tried == effort<std::size_t>(2 * (2 + 7) - 2, 2 * (2 + 7 + 34) - 3, 2 * (2 + 7 + 34 + 209 + 1546) - 5));
}

TEMPLATE_LIST_TEST_CASE("every order of a few pages", "[exhaustive]", ports)
{
    const auto n = effort<std::size_t>(3, 4, most_pages);
    layout source{0, 1, 2, 3, 4};
    do
        try_one<TestType>(n, source, false);
    while (std::next_permutation(source.begin(), source.begin() + static_cast<std::ptrdiff_t>(n)));
}
