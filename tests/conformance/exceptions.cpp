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

    tiny_world() : base{0, 24}
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

/// A byte of the image: where it belongs, what is there, and what is wanted there.
struct image_byte {
    phys_addr at;
    std::byte before, wanted;
};
std::vector<image_byte> image_bytes(sim::memory& memory, const exec_plan& plan)
{
    std::vector<image_byte> all;
    for (const segment& s : plan.image) {
        phys_addr to = s.destination.first();
        for (content_cursor c{s}; c.left().raw() != 0; to += byte_count::of(1)) {
            const extent from = c.take(byte_count::of(1));
            all.push_back(
                {to, load<std::byte>(memory, to), from.is_zeros() ? std::byte{} : load<std::byte>(memory, from.at)});
        }
    }
    return all;
}

/// Nothing was written but the image, what is the overlay's own, and what the processor itself writes.
void check_writes(
    const exec_plan& plan, const sim::recorder& record, phys_addr trail, std::vector<phys_range> may, byte_count store)
{
    for (const segment& s : plan.image)
        may.push_back(widen(s.destination, store));
    for (const safe_region& r : plan.safe)
        if (r.role == safe_role::stack || r.role == safe_role::bounce || r.role == safe_role::frame)
            may.push_back(r.range);
    may.push_back(notes_of(plan, trail));
    for (const auto kind : {sim::access_kind::write, sim::access_kind::mark}) {
        const auto outside = record.first_outside(kind, may);
        CAPTURE(outside ? outside->range() : may.front());
        CHECK_FALSE(outside);
    }
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
    const auto bytes_of_image = image_bytes(w.machine.memory(), plan);
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
    check_writes(plan, w.machine.processor().record, w.trail, own, D::store);
    CHECK(std::ranges::all_of(bytes_of_image, [&](const image_byte& b) {
        const auto now = load<std::byte>(w.machine.memory(), b.at);
        return now == b.before || now == b.wanted;
    }));
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
                n += n < 64 ? stride(5u) : effort(97u, 5u, 1u);
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
