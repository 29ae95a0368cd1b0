// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/sim/alpha_kernel.hpp>

#include <tests/catch.hpp>

using namespace lobos;
using namespace lobos::literals;
using intent = sim::alpha_mmu::intent;

TEMPLATE_TEST_CASE(
    "the simulated Alpha's kernel has its memory where it says it is", "", sim::alpha_kernel, sim::mapped_alpha_kernel)
{
    TestType k{8_MiB};
    const auto facts = k.processor().facts();
    CHECK(TestType::port::accepts(facts));
    CHECK(TestType::own_memory.contains(facts.table_root));
    CHECK(is_aligned(TestType::own_memory.first(), alpha::port::page_size));
    for (const auto looks : {sim::alpha_mmu::search::virtual_table, sim::alpha_mmu::search::virtual_table_or_walk,
             sim::alpha_mmu::search::walk}) {
        k.processor().mmu.looks = looks;
        for (const phys_addr page : {0_pa, 0x10'0000_pa, 0x1f'e000_pa, 0x7f'e000_pa}) {
            const auto at = k.virtual_address(page);
            REQUIRE(at);
            CHECK(k.processor().mmu.peek(at->raw(), intent::write) == page);
            CHECK(k.processor().mmu.peek(at->raw(), intent::execute) == page);
        }
    }
    CHECK(k.processor().mmu.peek(k.processor().general[sim::alpha_register::sp], intent::write) ==
        TestType::machine::stack + byte_count::of(8192 - 0x130));
}

TEMPLATE_TEST_CASE("it is as hard to leave as a real one", "", sim::alpha_kernel, sim::mapped_alpha_kernel)
{
    TestType k{8_MiB};
    auto& cpu = k.processor();
    CHECK(cpu.record.count() == 0);
    CHECK(cpu.pcbb % alpha::hwpcb::alignment.raw() != 0);

    // Other tables, another space: the buffers know better, until everything is forgotten.
    for (phys_addr at = TestType::machine::root; at < TestType::own_memory.last(); at += 8_bytes)
        store(k.memory(), at, std::uint64_t{0});
    cpu.mmu.space = 0;
    cpu.mmu.forget_spaces();
    for (const auto wanted : {intent::read, intent::write, intent::execute}) {
        CHECK(cpu.mmu.translate(0, wanted) == 0x2000_pa);
        CHECK(cpu.mmu.translate(0x7f'ffff, wanted) == 0x7f'dfff_pa);
    }
    CHECK(cpu.mmu.translate(TestType::machine::block_address, intent::read) == TestType::machine::block);
    cpu.mmu.forget_all();
    CHECK_THROWS_AS(cpu.mmu.translate(0, intent::read), sim::alpha_exception);
    CHECK_THROWS_AS(cpu.mmu.translate(TestType::machine::block_address, intent::read), sim::alpha_exception);
}

TEMPLATE_TEST_CASE(
    "it has a HWRPB that tells of its processor and its memory", "", sim::alpha_kernel, sim::mapped_alpha_kernel)
{
    TestType k{16_MiB};
    auto block = alpha::hwrpb_reader<sim::memory>::open(k.memory(), TestType::machine::block);
    REQUIRE(block);
    CHECK(virt_addr::at(block->fixed().vptb) == k.processor().facts().vptb);
    const auto slot = block->slot(0);
    REQUIRE(slot);
    CHECK((slot->flags & alpha::hwrpb_slot::palcode_memory_valid) != 0);
    CHECK(alpha::halt_request_of(*block, 0) == k.processor().facts().halt);
    REQUIRE(block->cluster_count() == 2u);
    CHECK(block->cluster(0).pages == 1);
    CHECK((block->cluster(0).usage & alpha::memory_cluster::of_console) != 0);
    CHECK(block->cluster(1).pages == 2047);
    CHECK(k.memory().unwritten_reads() == 0);
}

TEST_CASE("physical memory is mapped as far as there is some, or as the kernel maps any")
{
    sim::alpha_kernel k{8_MiB};
    CHECK(k.virtual_address(0x7f'e000_pa) == virt_addr::at(0xffff'fc00'007f'e000));
    CHECK_FALSE(k.virtual_address(0x80'0000_pa));
    sim::mapped_alpha_kernel mapped{144_MiB};
    CHECK(mapped.virtual_address(0x7ff'e000_pa) == virt_addr::at(0xffff'fe00'07ff'e000));
    CHECK_FALSE(mapped.virtual_address(0x800'0000_pa));
}
