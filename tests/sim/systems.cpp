// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// What the paper says of the three systems [lobos/2000 §5], asked of the simulated processor that has run them.

#include <lobos/systems/bootimg.hpp>
#include <lobos/systems/lobos.hpp>
#include <lobos/systems/two_kernel_monte.hpp>
#include <lobos/x86/linux32_entry.hpp>

#include <tests/support/real_mode_scenario.hpp>
#include <tests/support/scenario.hpp>

namespace {

using namespace lobos::test;
namespace sim = ::lobos::sim;
namespace systems = ::lobos::systems;
namespace x86 = ::lobos::x86;
using ::lobos::phys_addr;

/// What changed on the way from the point of no return to the image's first instruction.
struct changes {
    unsigned descriptor_tables, table_roots, paging_ends;
    sim::entry_state state;
};

template <class S, class World, class Contract> changes run_as(World& world, const Contract& contract)
{
    // A kernel that cannot tell who uses a frame: all of the image is copied on the way.
    world.machine.injected.fail_every(sim::glue_call::allocate_page_at);
    auto staged = systems::prepare<S>(world.machine, contract);
    REQUIRE(staged);
    CHECK(staged->plan().cost.steps > 8); // out of scattered pages, whichever system
    auto& cpu = world.machine.processor();
    const unsigned tables = cpu.relocations, roots = cpu.mmu.roots, ends = cpu.mmu.paging_ends;
    const auto outcome = run(*staged);
    REQUIRE(std::holds_alternative<sim::entry_state>(outcome));
    return {cpu.relocations - tables, cpu.mmu.roots - roots, cpu.mmu.paging_ends - ends,
        std::get<sim::entry_state>(outcome)};
}

void check(const systems::account& says, const changes& seen)
{
    CHECK(seen.descriptor_tables == says.descriptor_table_loads);
    CHECK(seen.table_roots == says.table_root_loads);
    CHECK((seen.paging_ends == 0) == says.paging_throughout);
    CHECK(((seen.state.cr0 & x86::cr0::protection) != 0) == says.segmentation_throughout);
}

} // namespace

TEST_CASE("LOBOS never turns virtual memory off and relocates GDT and page tables once", "[sim][systems]")
{
    paged_scenario world{1};
    const auto contract = world.load();
    REQUIRE(contract);
    const changes seen = run_as<systems::lobos>(world, *contract);
    check(systems::lobos::about, seen);
    CHECK(seen.descriptor_tables == systems::lobos::about.papers_relocations);
    CHECK((seen.state.cr0 & x86::cr0::paging) != 0);
}

TEST_CASE("bootimg turns virtual memory off and keeps segments, and needs nothing contiguous here", "[sim][systems]")
{
    linux_scenario world{2};
    const auto image = world.load();
    REQUIRE(image);
    const x86::linux32_entry contract{*image};
    const changes seen = run_as<systems::bootimg>(world, contract);
    check(systems::bootimg::about, seen);
    CHECK(seen.descriptor_tables < systems::bootimg::about.papers_relocations);
    CHECK(systems::bootimg::about.papers_contiguous);
}

TEST_CASE("Two Kernel Monte turns both off, and the BIOS finds its memory as it left it", "[sim][systems]")
{
    real_mode_scenario world{3};
    const auto image = world.load();
    REQUIRE(image);
    const real_mode_scenario::contract_type contract{world.kernel, *image};
    const std::vector<::lobos::phys_range> of_the_bios{::lobos::linux16::bios_data, real_mode_scenario::extended_data};
    std::vector<bytes> before;
    const auto read = [&](::lobos::phys_range r) {
        bytes there(static_cast<std::size_t>(r.size().raw()));
        world.machine.memory().read(r.first(), there);
        return there;
    };
    for (const auto& r : of_the_bios)
        before.push_back(read(r));
    const changes seen = run_as<systems::two_kernel_monte>(world, contract);
    check(systems::two_kernel_monte::about, seen);
    for (std::size_t i = 0; i < before.size(); ++i)
        CHECK(read(of_the_bios[i]) == before[i]);
}

TEST_CASE("by LOBOS's copy Linux gets its own entry, with virtual memory on until the last byte", "[sim][systems]")
{
    linux_scenario world{4};
    const auto image = world.load();
    REQUIRE(image);
    const x86::linux32_entry contract{*image};
    const changes seen = run_as<systems::lobos>(world, contract);
    CHECK(seen.paging_ends == 1);
    CHECK((seen.state.cr0 & x86::cr0::paging) == 0);
}
