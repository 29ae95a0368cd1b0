// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// The front door. What prepare() and commit() do with whole machines is in tests/sim.

#include <tests/support/scenario.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

template <class Contract>
concept can_be_prepared = requires(sim::x86_kernel& k, Contract&& c) { prepare(k, std::forward<Contract>(c)); };

static_assert(can_be_prepared<const x86::linux32_entry&>);
static_assert(can_be_prepared<x86::paged_entry&>);
static_assert(!can_be_prepared<x86::linux32_entry>, "a temporary contract would be gone before commit()");
static_assert(!can_be_prepared<int&>);

} // namespace

TEST_CASE("a refused commit can be tried again once the machine is as it was")
{
    linux_scenario s{4};
    const auto image = s.load();
    REQUIRE(image);
    const x86::linux32_entry contract{*image};
    auto staged = prepare(s.machine, contract);
    REQUIRE(staged);
    ++s.machine.generation;
    const auto refused = run(*staged);
    REQUIRE(std::holds_alternative<fault>(refused));
    CHECK(std::get<fault>(refused) ==
        fault{fault_code::memory_map_changed, stage::committing, s.machine.memory_generation()});
    --s.machine.generation;
    CHECK(std::holds_alternative<sim::entry_state>(run(*staged)));
}

TEST_CASE("a kernel without paging has nothing to clone and is refused")
{
    linux_scenario s{4};
    const auto image = s.load();
    REQUIRE(image);
    const x86::linux32_entry contract{*image};
    auto& mmu = s.machine.processor().mmu;
    mmu.load_cr0(x86::cr0::protection);
    const auto staged = prepare(s.machine, contract);
    REQUIRE_FALSE(staged);
    CHECK(staged.error() == fault{fault_code::unsupported, stage::mapping, x86::cr0::protection});
    CHECK(s.machine.workspaces_taken() == 0);
}
