// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/alpha/virtual_page_table.hpp>

#include <lobos/paging/clone.hpp>

#include <tests/catch.hpp>
#include <tests/contract.hpp>
#include <tests/support/byte_memory.hpp>

using namespace lobos;
using namespace lobos::alpha;
using namespace lobos::test;
using enum fault_code;

namespace {

/// Tables that map a few pages, and the virtual page table at `vptb`.
struct tables {
    byte_memory memory{64 * 0x2000};
    phys_addr root;

    explicit tables(std::span<const std::uint64_t> pages)
    {
        phys_addr next = 0x2000_pa;
        const auto frames = [&next]() -> result<phys_addr> {
            const phys_addr frame = next;
            next += 8_KiB;
            return frame;
        };
        const auto add = [&](auto put) -> result<void> {
            for (const std::uint64_t v : pages)
                if (auto done = put(mapping{virt_range::of(virt_addr::at(v), 8_KiB), phys_addr::at(0x10'0000)}); !done)
                    return done;
            return {};
        };
        const auto made = clone_page_tables<paging_8k>(memory, 0_pa, {}, add, frames);
        REQUIRE(made);
        made->flush.done_by_loading_the_root();
        root = made->root;
    }

    std::uint64_t read(virt_addr v)
    {
        const auto found = walk<paging_8k>(memory, root, v);
        REQUIRE(found);
        return load<std::uint64_t>(memory, found->physical);
    }
};

} // namespace

TEST_CASE("every last entry can be read where it is said to be", "[alpha][virtual_page_table]")
{
    for (const std::uint64_t vptb :
        {0x2'0000'0000ull, 0x200'0000'0000ull, 0xffff'fe00'0000'0000ull, 0xffff'fffe'0000'0000ull}) {
        CAPTURE(vptb);
        const std::uint64_t pages[] = {
            0, 0x1000'0000, 0x1'ffff'e000, 0x3f0'1234'6000, 0xffff'fe80'0000'2000, 0xffff'fffd'ffff'e000};
        tables t{pages};
        const auto table = virtual_page_table::at(virt_addr::at(vptb));
        REQUIRE(table);
        REQUIRE(table->add_to(t.memory, t.root));
        for (const std::uint64_t v : pages) {
            CAPTURE(v);
            CHECK(t.read(table->entry_for(virt_addr::at(v + 0x1ff8))) == 0x80'0000'1101);
        }
        CHECK(t.read(table->self()) == (t.root.raw() >> 13 << 32 | 0x1101));
        CHECK(walk<paging_8k>(t.memory, t.root, table->self())->physical ==
            t.root + byte_count::of(8 * table->root_index()));
        CHECK(table->add_to(t.memory, t.root)); // a second time is no conflict
    }
}

TEST_CASE("a place that is taken, or no place, is refused", "[alpha][virtual_page_table]")
{
    for (const std::uint64_t vptb : {0x1'0000'0000ull, 0x2'0000'2000ull, 0xffff'fffe'0000'0008ull}) {
        CAPTURE(vptb);
        CHECK(fault_of(virtual_page_table::at(virt_addr::at(vptb))) == fault{misaligned, stage::mapping, vptb});
    }
    for (const std::uint64_t vptb : {0x400'0000'0000ull, 0xffff'fc00'0000'0000ull, 0xffff'fdfe'0000'0000ull}) {
        CAPTURE(vptb);
        CHECK(fault_of(virtual_page_table::at(virt_addr::at(vptb))) == fault{bad_range, stage::mapping, vptb});
    }
    const std::uint64_t pages[] = {0x2'1000'0000};
    tables t{pages};
    const auto table = virtual_page_table::at(0x2'0000'0000_va);
    CHECK(fault_of(table->add_to(t.memory, t.root)) == fault{mapping_conflict, stage::mapping, 0x2'0000'0000});
    CHECK(walk<paging_8k>(t.memory, t.root, 0x2'1000'0000_va)->physical == 0x10'0000_pa); // and is as it was
    CHECK_THROWS_AS(table->entry_for(virt_addr::at(0xffff'fc00'0000'0000)), contract_error);
}
