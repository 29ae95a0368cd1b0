// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/sim/x86_kernel.hpp>

#include <lobos/x86/paging_4k.hpp>
#include <lobos/x86/paging_4level.hpp>
#include <lobos/x86/paging_5level.hpp>
#include <lobos/x86/paging_pae.hpp>

#include <tests/catch.hpp>

using namespace lobos;
using namespace lobos::literals;
using namespace lobos::x86;
using mmu = sim::x86_mmu;

#define EVERY_MODE "", paging_4k, paging_4m, paging_pae, paging_4level, paging_5level

TEMPLATE_TEST_CASE("the simulated kernel runs paged, with its memory where it says it is", EVERY_MODE)
{
    using kernel = sim::basic_x86_kernel<TestType>;
    kernel k{8_MiB};
    const auto facts = k.processor().facts();
    CHECK(k.processor().mmu.mode() == mode_of_traits<TestType>());
    CHECK(kernel::port::accepts(facts));
    CHECK(kernel::own_memory.contains(facts.table_root));
    for (const phys_addr page : {0_pa, 0x10'0000_pa, 0x1f'f000_pa, 0x20'0000_pa, 0x7f'f000_pa}) {
        const auto at = k.virtual_address(page);
        REQUIRE(at);
        CHECK(k.processor().mmu.translate(at->raw(), mmu::intent::write) == page);
        CHECK(k.processor().mmu.translate(at->raw(), mmu::intent::execute) == page);
        CHECK_THROWS_AS(
            k.processor().mmu.translate(at->raw(), mmu::intent::read, mmu::privilege::user), sim::machine_error);
    }
    CHECK(static_cast<std::uint32_t>(kernel::linear_base >> 32 != 0) == is_long(mode_of_traits<TestType>()));
}

TEMPLATE_TEST_CASE("the simulated kernel is as hard to leave as a real one", EVERY_MODE)
{
    using machine = sim::basic_x86_machine<TestType>;
    sim::basic_x86_kernel<TestType> k{8_MiB};
    auto& cpu = k.processor();
    CHECK(cpu.record.count() == 0);
    // What the overlay will use one to one the TLB knows as something else, and keeps over a load of CR3.
    cpu.mmu.load_cr3(cpu.mmu.cr3());
    for (phys_addr at = machine::tables.first(); at < machine::tables.last(); at += 8_bytes)
        store(k.memory(), at, std::uint64_t{0});
    const std::uint64_t size = 0x1000ull << machine::shape.page_level * (TestType::levels > 2 ? 9 : 10);
    CHECK(cpu.mmu.translate(0x10'0000, mmu::intent::read, mmu::privilege::user).raw() == (0x10'0000 ^ size));
    CHECK(cpu.mmu.translate(0x7f'ffff, mmu::intent::write, mmu::privilege::user).raw() == (0x7f'ffff ^ size));
    CHECK_THROWS_AS(cpu.mmu.translate(0x80'0000, mmu::intent::read, mmu::privilege::user), sim::machine_error);
    if (TestType::levels > 2)
        CHECK_THROWS_AS(cpu.mmu.translate(0x10'0000, mmu::intent::execute), sim::machine_error);

    // The segments are in force, the table they came from is not.
    CHECK(std::ranges::all_of(cpu.segments.all(), &sim::x86_segment::flat) == (TestType::levels < 4));
    const auto data = load<std::uint64_t>(k.memory(), machine::descriptors.first() + 16_bytes);
    CHECK((data & segment_word::accessed) == 0);
    CHECK(cpu.dr7 != 0x400);

    // What its mode lets it turn on is on.
    CHECK((cpu.mmu.cr4() & cr4::global_pages) != 0);
    if (!std::is_same_v<TestType, paging_4m>)
        CHECK((cpu.mmu.cr4() & (cr4::no_user_execution | cr4::no_user_access)) != 0);
    CHECK(((cpu.mmu.cr4() & cr4::process_contexts) != 0) == (TestType::levels > 3));
    CHECK(((cpu.mmu.cr4() & cr4::control_flow) != 0) == (TestType::levels > 3));
    CHECK(((cpu.mmu.efer() & efer::execute_disable) != 0) == (TestType::levels > 2));
}

TEST_CASE("physical memory is mapped as far as there is some, or as tables go")
{
    sim::x86_kernel k{8_MiB};
    CHECK(k.virtual_address(0x3fff'f000_pa) == virt_addr::at(0xffff'f000));
    CHECK_FALSE(k.virtual_address(0x4000'0000_pa));
    sim::basic_x86_kernel<paging_4k> small{8_MiB};
    CHECK(small.virtual_address(0x7f'f000_pa) == virt_addr::at(0xc07f'f000));
    CHECK_FALSE(small.virtual_address(0x80'0000_pa));
    sim::basic_x86_kernel<paging_4k> large{128_MiB};
    CHECK(large.virtual_address(0x5ff'f000_pa));
    CHECK_FALSE(large.virtual_address(0x600'0000_pa));
    sim::basic_x86_kernel<paging_5level> wide{1_GiB};
    CHECK(wide.virtual_address(0x3fff'f000_pa) == virt_addr::at(0xff11'0000'3fff'f000));
    // Half of a pair of large pages is mapped with the other half.
    sim::basic_x86_kernel<paging_pae> odd{6_MiB};
    CHECK(odd.virtual_address(0x7f'f000_pa));
}
