// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// The front door. What prepare() and commit() do with whole machines is in tests/sim.

#include <lobos/core/sha256.hpp>

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

TEST_CASE("the checksum of what is staged is the caller's choice, and names the segment whichever it is")
{
    const auto changed = []<class Sum>(Sum, phys_addr (*where)(const exec_plan&)) {
        linux_scenario s{4};
        const auto image = s.load();
        REQUIRE(image);
        const x86::linux32_entry contract{*image};
        auto staged = prepare<Sum>(s.machine, contract);
        REQUIRE(staged);
        static_assert(std::is_same_v<decltype(staged->checksum()), checksum_value<Sum>>);
        const phys_addr at = where(staged->plan());
        auto& memory = s.machine.memory();
        const auto was = load<std::uint8_t>(memory, at);
        store(memory, at, static_cast<std::uint8_t>(was ^ 1));
        const auto refused = run(*staged);
        REQUIRE(std::holds_alternative<fault>(refused));
        store(memory, at, was);
        CHECK(std::holds_alternative<sim::entry_state>(run(*staged)));
        return std::get<fault>(refused);
    };
    const auto initrd = [](const exec_plan& p) { return p.image.back().file.front().at; };
    const auto frame = [](const exec_plan& p) { return p.frame; };
    const fault by_crc = changed(crc32c{}, initrd);
    CHECK(by_crc.code == fault_code::staged_image_changed);
    CHECK(by_crc == changed(sha256{}, initrd));
    CHECK(changed(sha256{}, frame).code == fault_code::staged_image_changed);
}
