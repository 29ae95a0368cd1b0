// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// Every request of the glue that may fail is made to fail, alone and in pairs, on every port. Whatever prepare() says
// then, everything that is somebody's is as it was, and the next exec succeeds to the last byte.

#include <tests/conformance/ports.hpp>
#include <tests/conformance/world.hpp>
#include <tests/support/effort.hpp>

using namespace lobos;
using namespace lobos::conformance;
using sim::glue_call;

namespace {

/// Prepares and drops until all of `failing` have failed, three times at most; whether they all did.
template <class D> bool endure(small_world<D>& w, const std::set<std::size_t>& failing)
{
    const sim::kernel_state before = w.machine.state();
    w.machine.fail_requests(failing);
    const auto image = w.image();
    for (int attempt = 0; attempt < 3 && w.machine.injected.failed() < failing.size(); ++attempt) {
        const std::size_t failed = w.machine.injected.failed();
        {
            const auto staged = prepare(w.machine, image);
            if (!staged) {
                const fault_code code = staged.error().code;
                CHECK((code == fault_code::no_memory || code == fault_code::not_mapped));
                CHECK(w.machine.injected.failed() > failed);
            }
        }
        CHECK(difference(before, w.machine.state()).empty());
    }
    return w.machine.injected.failed() == failing.size();
}

template <class D> void check_next_exec(small_world<D>& w)
{
    w.machine.fail_requests({});
    check_exec(w, w.image());
}

/// How many requests there are when none fails.
template <class D> std::size_t requests_of_one_exec()
{
    small_world<D> w{0};
    w.machine.fail_requests({});
    const auto image = w.image();
    REQUIRE(prepare(w.machine, image));
    for (const auto kind : {glue_call::allocate_page, glue_call::allocate_page_at, glue_call::allocate_workspace,
             glue_call::virtual_address})
        CHECK(w.machine.injected.count(kind) != 0);
    return w.machine.requests();
}

} // namespace

TEMPLATE_LIST_TEST_CASE("each request fails: all is as it was, and the next exec succeeds", "", ports)
{
    const std::size_t all = requests_of_one_exec<TestType>();
    for (std::size_t i = 0; i < all; ++i) {
        CAPTURE(TestType::name, i);
        small_world<TestType> w{0};
        CHECK(endure(w, {i}));
        check_next_exec(w);
    }
}

TEMPLATE_LIST_TEST_CASE("pairs of requests fail: all is as it was, and the next exec succeeds", "", ports)
{
    // The second may fall into the same attempt, or into the one that is made because the first was refused.
    const std::size_t all = requests_of_one_exec<TestType>();
    const auto step = effort<std::size_t>(31, 11, 1);
    for (std::size_t pair = 0; pair < all * all; pair += step) {
        const std::size_t i = pair / all;
        const std::size_t j = i + 1 + pair % all;
        CAPTURE(TestType::name, i, j);
        small_world<TestType> w{0};
        CHECK(endure(w, {i, j}));
        if (pair % (3 * step) == 0)
            check_next_exec(w);
    }
}

TEMPLATE_LIST_TEST_CASE("a call that always fails is a refusal, or not needed", "", ports)
{
    for (const auto kind : {glue_call::allocate_page, glue_call::allocate_page_at, glue_call::allocate_workspace,
             glue_call::virtual_address}) {
        CAPTURE(TestType::name, static_cast<int>(kind));
        small_world<TestType> w{2};
        const sim::kernel_state before = w.machine.state();
        w.machine.injected.fail_every(kind);
        const auto image = w.image();
        CHECK(prepare(w.machine, image).has_value() == (kind == glue_call::allocate_page_at));
        CHECK(difference(before, w.machine.state()).empty());
        w.machine.injected.fail_every(kind, false);
        check_next_exec(w);
    }
}

TEMPLATE_LIST_TEST_CASE("an exec that is dropped was never there", "", ports)
{
    CAPTURE(TestType::name);
    small_world<TestType> w{0};
    const sim::kernel_state before = w.machine.state();
    const auto image = w.image();
    {
        const auto staged = prepare(w.machine, image);
        REQUIRE(staged);
        CHECK(difference(before, w.machine.state()) == "pages owned");
    }
    CHECK(difference(before, w.machine.state()).empty());
    CHECK(w.machine.wrong_frees == 0);
    check_next_exec(w);
}

TEMPLATE_LIST_TEST_CASE("an image that cannot be is refused, and all is as it was", "", ports)
{
    CAPTURE(TestType::name);
    small_world<TestType> w{0};
    const sim::kernel_state before = w.machine.state();
    const auto refused = [&](auto damage) {
        auto image = w.image();
        damage(image.parts);
        const auto staged = prepare(w.machine, image);
        REQUIRE_FALSE(staged);
        return staged.error().code;
    };
    using parts = std::vector<segment>;
    const auto move = [](segment& s, phys_addr to) { s.destination = phys_range::of(to, s.destination.size()); };
    CHECK(refused([&](parts& p) { move(p[1], w.at(12, 8)); }) == fault_code::destination_not_usable); // the log
    CHECK(refused([&](parts& p) { move(p[1], phys_addr::at(w.ram.raw())); }) == fault_code::destination_not_usable);
    CHECK(refused([&](parts& p) {
        p[2].destination = phys_range::of(w.at(9), byte_count::of(std::uint64_t{1} << 46));
    }) == fault_code::destination_not_usable);
    CHECK(refused([&](parts& p) { move(p[2], p[1].destination.last()); }) == fault_code::destinations_overlap);
    CHECK(refused([&](parts& p) { p[1].file = p[1].file.first(1); }) == fault_code::source_size_mismatch);
    CHECK(difference(before, w.machine.state()).empty());
    check_next_exec(w);
}
