// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// Exceptions behind the point of no return, on every port: whenever one comes, it finds the guard, which leaves a
// record in the log and gives up the machine. Nothing hangs, and nothing but the image and the overlay's own is
// touched.

#include <tests/conformance/ports.hpp>
#include <tests/conformance/world.hpp>
#include <tests/support/effort.hpp>

using namespace lobos;
using namespace lobos::conformance;

namespace {

/// An exec of a few instructions: two pieces change places, another moves, something is zeroed; all of it late.
template <class D> struct tiny_world : world<D> {
    using base = world<D>;
    using base::at;

    tiny_world() : base{0, 32}
    {
        base::claim(4, 3);
        base::claim(12, 2);
        trail = base::start_log(12, 2);
    }
    typename D::image image() const
    {
        const auto move = [](phys_addr to, const extent& file) {
            return segment{.destination = phys_range::of(to, file.size), .file = {&file, 1}};
        };
        return D::image_of(
            {move(at(4), files[0]), move(at(4, 0x800), files[1]), move(at(5, 3), files[2]),
                {.destination = phys_range::of(at(5, 3 + 0x85), byte_count::of(0x1d)), .what = content::zero}},
            at(4, 0x20));
    }

    phys_addr trail;
    extent files[3] = {
        {at(4, 0x800), byte_count::of(0x48)}, {at(4), byte_count::of(0x48)}, {at(6, 1), byte_count::of(0x85)}};
};

/// Each byte of the image is as it was or as it is wanted; of others only those have changed that are the overlay's
/// own, or the processor's.
template <class D>
void check_half_done(
    const exec_plan& plan, const snapshot& before, snapshot after, phys_addr trail, const std::vector<phys_range>& own)
{
    const snapshot wanted = wanted_memory(plan, before);
    const auto forget = [&](phys_range r) {
        for (std::uint64_t at = r.first().raw(); at <= r.last().raw(); ++at)
            after[at] = before[at];
    };
    for (const safe_region& r : plan.safe)
        if (r.role == safe_role::stack || r.role == safe_role::bounce || r.role == safe_role::frame)
            forget(r.range);
    forget(notes_of(plan, trail));
    std::ranges::for_each(own, forget);
    std::size_t neither = 0;
    for (const segment& s : plan.image)
        for (std::uint64_t at = s.destination.first().raw(); at <= s.destination.last().raw(); ++at) {
            neither += after[at] != before[at] && after[at] != wanted[at] ? 1u : 0u;
            after[at] = before[at];
        }
    CHECK(neither == 0);
    const auto [at, different] = std::as_const(after).difference(before);
    CAPTURE(at);
    CHECK(different == 0);
}

/// What has happened until now, in one run over the instructions of an exec.
struct progress {
    std::vector<bool> guarded; ///< which kinds have found the guard
    std::uint64_t steps = 0;
    std::size_t stopped = 0;
};

/// An exception of `kind` at instruction `n` from the departure on. Whether there is one.
template <class D> bool check_one(std::size_t kind, std::uint64_t n, progress& until_now)
{
    tiny_world<D> w;
    const auto image = w.image();
    auto staged = prepare(w.machine, image, {.trail = w.trail});
    REQUIRE(staged);
    const exec_plan plan = staged->plan();
    const snapshot before{w.machine.memory(), w.ram};
    auto own = D::processor_writes(w.machine);
    std::ranges::copy(D::guard_writes(w.machine), std::back_inserter(own));
    raised what;
    const outcome how = D::commit_with_exception(w.machine, *staged, kind, n, what);
    CAPTURE(D::name, kind, n, to_string(how));
    if (std::holds_alternative<arrival>(how)) {
        CHECK(what.exception == 0);
        return false;
    }
    const auto crumb = load<breadcrumb>(w.machine.memory(), w.trail);
    check_half_done<D>(plan, before, snapshot{w.machine.memory(), w.ram}, w.trail, own);
    if (!std::holds_alternative<stopped>(how)) { // it found the running kernel, which has to be there still
        CHECK_FALSE(until_now.guarded[kind]);
        CHECK(std::holds_alternative<sim::machine_error>(how));
        CHECK(crumb.stage < static_cast<std::uint32_t>(overlay_stage::copying));
        for (const segment& s : plan.image)
            CHECK_FALSE(w.machine.processor().record.first(sim::access_kind::write, s.destination));
        return true;
    }
    until_now.guarded[kind] = true;
    ++until_now.stopped;
    CHECK(std::get<stopped>(how).starts_anew);
    CHECK(crumb.exception == what.exception);
    CHECK(crumb.at == what.at);
    CHECK(crumb.touched == what.touched);
    CHECK((crumb.steps >= until_now.steps && crumb.steps <= plan.cost.steps));
    CHECK((crumb.steps == plan.cost.steps || crumb.stage <= static_cast<std::uint32_t>(overlay_stage::copying)));
    until_now.steps = crumb.steps;
    // The log can be read by whoever comes.
    CHECK(surviving_log<sim::memory>::find(w.machine.memory(), w.machine.memory_map()));
    return true;
}

} // namespace

TEMPLATE_LIST_TEST_CASE("an exception at any instruction ends in the guard, with a record in the log", "", ports)
{
    if constexpr (raises_exceptions<TestType>) {
        // The first kind at every instruction, and then the others by turns.
        constexpr std::size_t kinds = TestType::exception_kinds;
        for (const bool others : {false, true}) {
            progress until_now{.guarded = std::vector<bool>(kinds)};
            const auto kind_at = [&](std::uint64_t n) {
                return others && kinds > 1 ? 1 + static_cast<std::size_t>(n) % (kinds - 1) : 0;
            };
            for (std::uint64_t n = 0; check_one<TestType>(kind_at(n), n, until_now);)
                n += n < 64 ? stride(5u) : effort(41u, 7u, 1u);
            CHECK(until_now.stopped > 10);
            CHECK(until_now.steps > 0);
            CHECK(std::ranges::count(until_now.guarded, true) == (others ? kinds - 1 : 1));
        }
    } else {
        STATIC_REQUIRE(proves_its_guard<TestType>);
        CAPTURE(TestType::name);
        tiny_world<TestType> w;
        check_exec(w, w.image(), {.trail = w.trail});
        CHECK(TestType::guard_was_proved(w.machine));
    }
}
