// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// What all modes have in common is tested in tests/unit/paging; here is what is this mode's own.
#include <lobos/x86/paging_4k.hpp>

#include <tests/support/paging_modes.hpp>

using namespace lobos;
using namespace lobos::test;
using lobos::x86::paging_4k;
using lobos::x86::paging_4m;

namespace {

using directory_entry = paging_4k::entry<1>;

template <class E>
concept can_be_leaf = requires(E e) {
    e.kept(lobos::access::read_write);
    E::leaf(0_pa, lobos::access::read_write);
};
static_assert(can_be_leaf<paging_4k::entry<0>> && !can_be_leaf<directory_entry>);
static_assert(std::is_same_v<paging_4k::entry<0>, paging_4m::entry<0>>); // a table is a table

} // namespace

TEST_CASE("bit 7 of a directory entry is ignored, and what looks like a 4 MB page is a table", "[x86][paging_4k]")
{
    byte_memory memory{0x2000};
    store(memory, 0x000c_pa, std::uint32_t{0x1083});
    store(memory, 0x1014_pa, std::uint32_t{0x0012'3063});
    const auto found = walk<paging_4k>(memory, 0_pa, 0x00c0'5678_va);
    REQUIRE(found);
    CHECK(found->physical == 0x0012'3678_pa);
    CHECK(found->page == virt_range::of(0x00c0'5000_va, 4_KiB));
    CHECK(found->level == 0);
    // With CR4.PSE the same tables say something else.
    CHECK(walk<paging_4m>(memory, 0_pa, 0x00c0'5678_va)->physical == 0x0000'5678_pa);
}

TEST_CASE("nothing is reserved in a directory, and bits 31 to 12 are the table's place", "[x86][paging_4k]")
{
    for (unsigned b = 0; b < 32; ++b) {
        const std::uint32_t bits = std::uint32_t{1} << b;
        const directory_entry e{bits | 1};
        CAPTURE(b);
        CHECK(e.present());
        CHECK(e.valid());
        CHECK_FALSE(e.is_leaf());
        CHECK(e.target() == phys_addr::at(b < 12 ? 0 : bits));
        CHECK((e.rights() == lobos::access::read_write) == (b == 1));
    }
}

TEST_CASE("4 MB that are added are 1024 pages of a table", "[x86][paging_4k]")
{
    table_world<paging_4k> world;
    const auto cloned = clone_page_tables<paging_4k>(
        world.memory, 0_pa, {},
        [](auto put) { return put(identity_mapping<paging_4k>(phys_range::of(0x40'0000_pa, 4_MiB))); },
        [&] { return result<phys_addr>{phys_addr::at(world.new_table())}; });
    REQUIRE(cloned);
    CHECK(cloned->tables == 2);
    const std::uint64_t pde = world.get(cloned->root.raw(), 1, 0x40'0000);
    CHECK((pde & 0xfff) == 0x023); // bit 7 clear, so that it means the same with CR4.PSE
    CHECK(world.get(pde & 0xffff'f000, 0, 0x40'0000) == 0x0040'0063);
    CHECK(world.get(pde & 0xffff'f000, 0, 0x7f'f000) == 0x007f'f063);
}
