// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// What changes between prepare and commit, on every port: bits of whatever the exec stands on, the memory map, the
// tables in use. All of it is found and named, and then nothing has happened.

#include <tests/conformance/ports.hpp>
#include <tests/conformance/world.hpp>
#include <tests/support/effort.hpp>

using namespace lobos;
using namespace lobos::conformance;

namespace {

/// A small exec that waits, with some of it in place early or not.
template <class D> struct waiting : small_world<D> {
    explicit waiting(std::uint32_t seed) : small_world<D>{seed}, image{small_world<D>::image()}
    {
        staged.emplace(prepare(this->machine, image));
        REQUIRE(*staged);
    }
    const exec_plan& plan() const { return (*staged)->plan(); }

    void flip(phys_addr at, unsigned bit)
    {
        auto& memory = this->machine.memory();
        store(memory, at, static_cast<std::uint8_t>(load<std::uint8_t>(memory, at) ^ 1u << bit));
    }
    /// Tries to go: it is refused so, with everything as it was.
    void check_refused(fault_code code, std::optional<phys_addr> at = {})
    {
        const sim::kernel_state before = this->machine.state();
        const outcome how = D::commit(this->machine, **staged);
        INFO(to_string(how));
        REQUIRE(std::holds_alternative<fault>(how));
        const fault refused = std::get<fault>(how);
        CHECK((refused.code == code && refused.in == stage::committing));
        if (at)
            CHECK(refused.at == at->raw());
        CHECK(difference(before, this->machine.state()).empty());
        CHECK_FALSE(this->machine.gone);
        CHECK(this->machine.processor().record.count() == 0);
    }
    void check_goes() { check_commit(*this, image, **staged, std::nullopt); }

    D::image image;
    std::optional<result<staged_of<D>>> staged;
};

/// A piece of memory that the exec stands on, and what a change there is called.
struct vital {
    phys_range range;
    phys_addr named;
};

/// Every staged byte, and the machinery, what it tells the new kernel included.
std::vector<vital> everything_vital(const exec_plan& plan)
{
    std::vector<vital> all;
    for (const segment& s : plan.image) {
        content_cursor c{s};
        for (extent e = c.take(c.left()); e.size.raw() != 0; e = c.take(c.left()))
            if (!e.is_zeros())
                all.push_back({phys_range::of(e.at, e.size), s.destination.first()});
    }
    for (const safe_region& r : plan.safe)
        if (r.role != safe_role::stack && r.role != safe_role::bounce && r.role != safe_role::log)
            all.push_back({r.range, plan.code});
    return all;
}

} // namespace

TEMPLATE_LIST_TEST_CASE(
    "a flipped bit in anything that the exec stands on is found, and nothing has happened", "", ports)
{
    for (const std::uint32_t seed : {2u, 3u}) {
        waiting<TestType> w{seed};
        std::size_t flipped = 0;
        std::size_t roles = 0;
        const auto vitals = everything_vital(w.plan());
        for (const safe_role role :
            {safe_role::code, safe_role::frame, safe_role::page_table, safe_role::plan, safe_role::parameters})
            roles += std::ranges::any_of(w.plan().safe, [&](const safe_region& r) { return r.role == role; }) ? 1u : 0u;
        CHECK(roles == 5);
        for (const vital& v : vitals) {
            const std::uint64_t bits = v.range.size().raw() * 8;
            const auto step = effort<std::uint64_t>(bits / 2 + 1, bits / 8 + 1, 61);
            for (std::uint64_t bit = v.range.first().raw() % 7; bit < bits; bit += step, ++flipped) {
                CAPTURE(TestType::name, v.range, bit);
                const phys_addr at = v.range.first() + byte_count::of(bit / 8);
                w.flip(at, bit % 8);
                w.check_refused(fault_code::staged_image_changed, v.named);
                w.flip(at, bit % 8);
            }
            w.flip(v.range.last(), 7);
            w.check_refused(fault_code::staged_image_changed, v.named);
            w.flip(v.range.last(), 7);
        }
        CHECK(flipped >= vitals.size());
        w.check_goes();
    }
}

TEMPLATE_LIST_TEST_CASE("a memory map that has changed since stops the commit", "", ports)
{
    CAPTURE(TestType::name);
    waiting<TestType> w{1};
    ++w.machine.generation;
    w.check_refused(fault_code::memory_map_changed, phys_addr::at(w.machine.generation));
    --w.machine.generation;
    w.check_goes();
}

TEMPLATE_LIST_TEST_CASE("tables that are others since stop the commit", "", ports)
{
    CAPTURE(TestType::name);
    waiting<TestType> w{1};
    TestType::change_tables(w.machine);
    w.machine.processor().record.clear();
    w.check_refused(fault_code::table_root_changed);
}

TEMPLATE_LIST_TEST_CASE("what lies on the overlay's stack and in its bounce page does not matter", "", ports)
{
    for (const std::uint64_t offset : {std::uint64_t{0}, world<TestType>::page_size.raw() - 1}) {
        CAPTURE(TestType::name, offset);
        waiting<TestType> w{3};
        std::size_t found = 0;
        for (const safe_region& r : w.plan().safe)
            if (r.role == safe_role::stack || r.role == safe_role::bounce) {
                ++found;
                w.flip(r.range.first() + byte_count::of(offset), 3);
            }
        CHECK(found == 2);
        w.check_goes();
    }
}
