// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// Memory that changes by itself between prepare and commit: every bit of what the exec stands on, and bursts of up to
// 32 bits, which CRC-32C never misses. All of it is found, and then nothing has happened; what the overlay will write
// before it reads may be anything.

#include <tests/support/effort.hpp>
#include <tests/support/random_numbers.hpp>
#include <tests/support/scenario.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

/// The smallest Linux there is, with some memory that is put into place at once and some that is not.
struct small_exec {
    explicit small_exec(std::uint32_t seed, bool early)
        : scenario{seed,
              {.setup_sects = 1,
                  .code = 0x230,
                  .trailer = 0,
                  .init_size = 0x4000,
                  .pref_address = 0x20'0000,
                  .kernel_alignment = 0x10'0000},
              0x201} // a byte more than what is summed up at a time
    {
        scenario.machine.injected.fail_every(sim::glue_call::allocate_page_at, !early);
        const auto loaded = scenario.load("quiet");
        REQUIRE(loaded);
        contract.emplace(*loaded);
        staged.emplace(prepare(scenario.machine, *contract));
        REQUIRE(*staged);
    }

    const exec_plan& plan() const { return (*staged)->plan(); }
    sim::memory& memory() { return scenario.machine.memory(); }

    /// Changes bits of `mask` from the lowest bit of the byte at `at` on, over and back.
    void flip(phys_addr at, std::uint64_t mask)
    {
        memory().drop_guards();
        for (; mask != 0; mask >>= 8, at += 1_bytes)
            if ((mask & 0xff) != 0)
                store(memory(), at, static_cast<std::uint8_t>(load<std::uint8_t>(memory(), at) ^ (mask & 0xff)));
        memory().guard(phys_range::of(0_pa, scenario.ram));
    }

    linux_scenario scenario;
    std::optional<x86::linux32_entry> contract;
    std::optional<result<staged_exec<sim::x86_kernel, crc32c>>> staged;
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
        if (r.role != safe_role::stack && r.role != safe_role::bounce)
            all.push_back({r.range, plan.code});
    return all;
}

void check_found(small_exec& exec, const vital& v, std::uint64_t bit, std::uint64_t mask)
{
    const auto outcome = run(**exec.staged);
    const auto& machine = exec.scenario.machine;
    const bool found = std::holds_alternative<fault>(outcome) &&
        std::get<fault>(outcome) == fault{fault_code::staged_image_changed, stage::committing, v.named.raw()};
    if (found && !machine.gone && exec.scenario.machine.processor().state.interrupts &&
        exec.scenario.machine.processor().record.count() == 0)
        return;
    CAPTURE(v.range, bit, mask);
    FAIL("a changed bit was not found, or not before something had happened");
}

} // namespace

TEST_CASE("a flipped bit in anything that the exec stands on is found before the point of no return")
{
    const bool early = GENERATE(true, false);
    small_exec exec{3, early};
    // All of them once; and again, a bit of each byte or two, with some of the image in place already.
    const auto step = early ? effort<std::uint64_t>(97, 5, 1) : stride<std::uint64_t>(97);
    std::size_t flipped = 0;
    std::uint64_t bits = 0;
    for (const vital& v : everything_vital(exec.plan())) {
        bits += v.range.size().raw() * 8;
        for (std::uint64_t bit = 0; bit < v.range.size().raw() * 8; bit += step, ++flipped) {
            const phys_addr at = v.range.first() + byte_count::of(bit / 8);
            exec.flip(at, std::uint64_t{1} << bit % 8);
            check_found(exec, v, bit, 1);
            exec.flip(at, std::uint64_t{1} << bit % 8);
        }
    }
    std::printf("%zu of %llu bits flipped, one at a time\n", flipped, static_cast<unsigned long long>(bits));
    CHECK(flipped > effort(600u, 30'000u, 30'000u));
    // And as it was, it goes.
    exec.memory().drop_guards();
    CHECK(std::holds_alternative<sim::entry_state>(run(**exec.staged)));
    CHECK(exec.scenario.machine.gone);
}

TEST_CASE("a burst of up to 32 bits in anything that the exec stands on is found")
{
    const bool early = GENERATE(true, false);
    small_exec exec{4, early};
    random_numbers random{1};
    const auto vitals = everything_vital(exec.plan());
    const auto each = effort(1u, 10u, 300u);
    for (const vital& v : vitals)
        for (unsigned length = 2; length <= 32; ++length)
            for (unsigned i = 0; i < each && v.range.size().raw() * 8 >= length; ++i) {
                const auto room = static_cast<std::uint32_t>(v.range.size().raw() * 8 - length + 1);
                const std::uint64_t bit = random.below(room);
                const std::uint64_t inside = random.below(~std::uint32_t{0}) & ((std::uint64_t{1} << length) - 1);
                const std::uint64_t ends = 1 | std::uint64_t{1} << (length - 1);
                const std::uint64_t mask = (inside | ends) << bit % 8;
                const phys_addr at = v.range.first() + byte_count::of(bit / 8);
                exec.flip(at, mask);
                check_found(exec, v, bit, mask);
                exec.flip(at, mask);
            }
}

TEST_CASE("what lies on the overlay's stack and in its bounce page does not matter")
{
    for (const safe_role role : {safe_role::stack, safe_role::bounce})
        for (const std::uint64_t offset : {0u, 1u, 2048u, 4092u, 4095u}) {
            CAPTURE(to_string(role), offset);
            small_exec exec{5, offset % 2 == 0};
            std::size_t found = 0;
            for (const safe_region& r : exec.plan().safe)
                if (r.role == role) {
                    ++found;
                    exec.flip(r.range.first() + byte_count::of(offset), 0xff);
                }
            CHECK(found == 1);
            exec.memory().drop_guards();
            CHECK(std::holds_alternative<sim::entry_state>(run(**exec.staged)));
            CHECK(exec.scenario.machine.gone);
        }
}
