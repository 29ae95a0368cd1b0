// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// Nothing that an image is made of need be aligned: sizes, addresses, the distance that bytes move by, the edges of
// what survives. Machines that store in larger pieces than bytes have to put the neighbours back.

#include <tests/conformance/ports.hpp>
#include <tests/conformance/world.hpp>
#include <tests/support/effort.hpp>
#include <tests/support/random_numbers.hpp>

using namespace lobos;
using namespace lobos::conformance;

namespace {

/// An image whose first part is entered at a multiple of 16, wherever that begins.
template <class D> typename D::image image_of(std::vector<segment> parts)
{
    const phys_addr first = align_down(parts.front().destination.first() + byte_count::of(47), byte_count::of(16));
    return D::image_of(std::move(parts), first);
}

/// A kernel with ten pages in a row, from the fourth on, that are its own to stage in.
template <class D> struct own_pages : world<D> {
    explicit own_pages(std::uint32_t seed) : world<D>{seed, 40}
    {
        world<D>::claim(4, 10);
        world<D>::early(false);
    }
    /// `size` bytes move by `distance`, to `offset` of the sixth page.
    void check_move(std::uint64_t offset, std::int64_t distance, std::uint64_t size)
    {
        CAPTURE(D::name, offset, distance, size);
        const phys_addr to = this->at(6, offset);
        const phys_addr from = phys_addr::at(to.raw() - static_cast<std::uint64_t>(distance));
        const extent file{from, byte_count::of(size)};
        check_exec(*this, image_of<D>({{.destination = phys_range::of(to, file.size), .file = {&file, 1}}}));
    }
};

} // namespace

TEMPLATE_LIST_TEST_CASE("bytes move by any distance, over themselves, from any address", "", ports)
{
    constexpr auto page = static_cast<std::int64_t>(world<TestType>::page_size.raw());
    for (std::int64_t distance = 1; distance <= 17; distance += stride<std::int64_t>(3))
        for (const int sign : {1, -1}) {
            const auto offset = static_cast<std::uint64_t>(distance * 5 + sign) % 23;
            own_pages<TestType> w{0};
            w.check_move(offset, sign * distance, static_cast<std::uint64_t>(page) + 31 - offset);
        }
    for (const std::int64_t distance : {page - 1, page + 8, 2 * page + 5}) {
        own_pages<TestType>{1}.check_move(3, distance, static_cast<std::uint64_t>(2 * page) + 1);
        own_pages<TestType>{2}.check_move(6, -distance, static_cast<std::uint64_t>(3 * page) - 11);
    }
    // Every place in a word, and every distance up to its size, both ways.
    for (std::uint64_t offset = 0; offset < effort(0u, 0u, 8u); ++offset)
        for (std::int64_t distance = -9; distance <= 9; ++distance)
            if (distance != 0)
                for (std::uint64_t size = 64; size <= 72; ++size)
                    own_pages<TestType>{3}.check_move(offset, distance, size);
}

TEMPLATE_LIST_TEST_CASE("small pieces at odd places leave their neighbours as they are", "", ports)
{
    CAPTURE(TestType::name);
    for (const bool zeros : {false, true}) {
        own_pages<TestType> w{4};
        std::vector<extent> files(24);
        const extent kernel{w.at(5, 1), byte_count::of(0x77)};
        std::vector<segment> parts{{.destination = phys_range::of(w.at(4, 3), kernel.size), .file = {&kernel, 1}}};
        for (std::size_t n = 1; n < files.size(); ++n) {
            const phys_range to = phys_range::of(w.at(8, 40 * n + n % 8), byte_count::of(n));
            files[n] = {w.at(10, 48 * n + n / 8), byte_count::of(n)};
            parts.push_back({.destination = to,
                .what = zeros && n % 2 != 0 ? content::zero : content::copy,
                .role = segment_role::module,
                .file = {&files[n], 1}});
        }
        check_exec(w, image_of<TestType>(parts));
    }
}

TEMPLATE_LIST_TEST_CASE("a file in pieces of any size, from anywhere", "", ports)
{
    for (std::uint32_t seed = 0; seed < effort(2u, 6u, 64u); ++seed) {
        CAPTURE(TestType::name, seed);
        own_pages<TestType> w{seed};
        random_numbers random{seed};
        // Now and then a hole. In order, it may lie in its own destination: shuffled, its pieces would wait for each
        // other in circles without end.
        std::vector<extent> file;
        std::uint64_t size = 0;
        for (std::uint64_t at = random.below(9); at < 3 * w.page_size.raw();) {
            const std::uint64_t n = 1 + random.below(random.chance(8) ? 40 : 900);
            file.push_back(
                random.chance(1) ? extent::zeros(byte_count::of(n)) : extent{w.at(5, at), byte_count::of(n)});
            at += n + random.below(300);
            size += n;
        }
        const bool shuffled = seed % 2 != 0;
        std::mt19937 shuffling{seed};
        if (shuffled)
            std::ranges::shuffle(file, shuffling);
        const phys_range to = phys_range::of(w.at(shuffled ? 9 : 5, random.below(64)), byte_count::of(size));
        const phys_range rest = phys_range::of(*address_after(to), byte_count::of(1 + random.below(500)));
        check_exec(
            w, image_of<TestType>({{.destination = to, .file = file}, {.destination = rest, .what = content::zero}}));
    }
}

TEMPLATE_LIST_TEST_CASE("what survives keeps its edges, and the image comes up to them", "", ports)
{
    constexpr std::uint64_t step = TestType::edges.raw();
    constexpr struct {
        std::uint64_t first, count;
    } edges[] = {{1, 1}, {1, 8}, {2, 1}, {2, 3}, {5, 8}, {5, 64}, {8, 3}, {8, 64}};
    for (const bool zeros : {false, true})
        for (const auto& [first, count] : edges) {
            CAPTURE(TestType::name, zeros, first, count);
            own_pages<TestType> w{5};
            const phys_range log = phys_range::of(w.at(8, first * step), byte_count::of(count * step));
            REQUIRE(w.machine.map().add(log, region_kind::surviving));
            const extent file{w.at(4, 5), byte_count::of(3 * w.page_size.raw() - 40)};
            const phys_range to = phys_range::of(w.at(7, 9), byte_count::of(2 * w.page_size.raw()));
            const extent kernel{w.at(12, 7), byte_count::of(0x31)};
            check_exec(w,
                image_of<TestType>({{.destination = phys_range::of(w.at(12, 0x301), kernel.size), .file = {&kernel, 1}},
                    {.destination = to,
                        .what = zeros ? content::zero : content::copy,
                        .role = segment_role::module,
                        .file = {&file, 1}},
                    {.destination = log, .what = content::padding}}));
        }
}

TEMPLATE_LIST_TEST_CASE("what survives and has edges that the machine cannot keep is refused", "", ports)
{
    CAPTURE(TestType::name);
    own_pages<TestType> w{6};
    const phys_range log = phys_range::of(w.at(8, 3), byte_count::of(66));
    REQUIRE(w.machine.map().add(log, region_kind::surviving));
    const extent file{w.at(4, 5), byte_count::of(2 * w.page_size.raw())};
    const auto image = image_of<TestType>({{.destination = phys_range::of(w.at(7, 9), file.size), .file = {&file, 1}},
        {.destination = log, .what = content::padding}});
    if (TestType::edges == byte_count::of(1)) {
        check_exec(w, image);
    } else {
        const sim::kernel_state before = w.machine.state();
        const auto staged = prepare(w.machine, image);
        REQUIRE_FALSE(staged);
        CHECK(staged.error() == fault{fault_code::misaligned, stage::verifying, log.first().raw()});
        CHECK(difference(before, w.machine.state()).empty());
    }
}
