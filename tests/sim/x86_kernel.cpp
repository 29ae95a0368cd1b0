// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/sim/x86_kernel.hpp>

#include <tests/catch.hpp>

using namespace lobos;
using namespace lobos::literals;

TEST_CASE("the simulated kernel runs paged, with its memory where it says it is")
{
    sim::x86_kernel k{8_MiB};
    const auto facts = k.processor().facts();
    CHECK((facts.cr0 & x86::cr0::paging) != 0);
    CHECK(sim::x86_kernel::port::accepts(facts));
    CHECK(sim::x86_kernel::own_memory.contains(facts.table_root));
    const auto page = k.allocate_page();
    REQUIRE(page);
    const auto at = k.virtual_address(*page);
    REQUIRE(at);
    using mmu = sim::x86_mmu;
    CHECK(k.processor().mmu.translate(static_cast<std::uint32_t>(at->raw()), mmu::intent::write) == *page);
}

TEST_CASE("the simulated kernel is as hard to leave as a real one")
{
    sim::x86_kernel k{8_MiB};
    auto& cpu = k.processor();
    using mmu = sim::x86_mmu;
    CHECK(cpu.record.count() == 0);
    // What the overlay will use one to one the TLB knows as something else, and keeps over a load of CR3.
    cpu.mmu.load_cr3(static_cast<std::uint32_t>(sim::x86_machine::root.raw()));
    for (std::uint64_t i = 0; i < 1024; ++i)
        store(k.memory(), sim::x86_machine::root + byte_count::of(4 * i), std::uint32_t{0});
    CHECK(cpu.mmu.translate(0x10'0000, mmu::intent::read) == 0x50'0000_pa);
    CHECK(cpu.mmu.translate(0x7f'ffff, mmu::intent::write) == 0x3f'ffff_pa);
    CHECK_THROWS_AS(cpu.mmu.translate(0x80'0000, mmu::intent::read), sim::machine_error);

    // The segments are in force, the table they came from is not.
    CHECK(std::ranges::all_of(cpu.segments.all(), &sim::x86_segment::flat));
    const auto data = load<std::uint64_t>(k.memory(), sim::x86_machine::descriptors.first() + 16_bytes);
    CHECK((data & x86::segment_word::accessed) == 0);
}

TEST_CASE("physical memory is mapped as far as the address space goes")
{
    sim::x86_kernel k{8_MiB};
    CHECK(k.virtual_address(0x3fff'f000_pa) == virt_addr::at(0xffff'f000));
    CHECK_FALSE(k.virtual_address(0x4000'0000_pa));
}
