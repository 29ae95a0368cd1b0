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
    CHECK_THROWS_AS(k.processor().mmu.translate(0x10'0000, mmu::intent::read), sim::machine_error);
}

TEST_CASE("pages are given once, shuffled by the seed, and counted")
{
    sim::x86_kernel ascending{2_MiB};
    sim::x86_kernel shuffled{2_MiB, 5};
    std::set<std::uint64_t> given;
    bool same_order = true;
    for (;;) {
        const auto page = shuffled.allocate_page();
        const auto other = ascending.allocate_page();
        CHECK(page.has_value() == other.has_value());
        if (!page)
            break;
        same_order = same_order && page == other;
        CHECK(given.insert(page->raw()).second);
        CHECK(is_aligned(*page, page_size));
        CHECK_FALSE(sim::x86_kernel::own_memory.contains(*page));
    }
    CHECK_FALSE(same_order);
    CHECK(shuffled.pages_taken() == given.size());
    for (const std::uint64_t page : given)
        shuffled.free_page(phys_addr::at(page));
    CHECK(shuffled.pages_taken() == 0);
    CHECK(shuffled.wrong_frees == 0);
    shuffled.free_page(phys_addr::at(*given.begin()));
    CHECK(shuffled.wrong_frees == 1);
}

TEST_CASE("the n-th request fails, and only that one")
{
    sim::x86_kernel k{4_MiB};
    k.fail_request(2);
    CHECK(k.allocate_page());
    CHECK_FALSE(k.allocate_workspace(64).empty());
    CHECK_FALSE(k.allocate_page());
    CHECK(k.allocate_page());
    CHECK(k.requests() == 4);
    k.fail_request(0);
    CHECK(k.allocate_workspace(64).empty());
    const auto space = k.allocate_workspace(64);
    CHECK(k.workspaces_taken() == 2);
    k.free_workspace(space);
    CHECK(k.workspaces_taken() == 1);
}

TEST_CASE("a staged file is the file")
{
    sim::x86_kernel k{4_MiB, 3};
    std::vector<std::byte> file(10'000);
    for (std::size_t i = 0; i < file.size(); ++i)
        file[i] = static_cast<std::byte>(i * 31);
    for (const std::size_t chunk : {4096u, 1000u}) {
        const auto staged = k.stage(file, chunk);
        CHECK(staged.extents.size() == (file.size() + chunk - 1) / chunk);
        const auto source = staged.source(k.memory());
        std::vector<std::byte> read(file.size());
        REQUIRE(source.read(0, read));
        CHECK(read == file);
    }
}
