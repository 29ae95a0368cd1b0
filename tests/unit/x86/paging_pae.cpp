// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// What all modes have in common is tested in tests/unit/paging; here is what is this mode's own.
#include <lobos/x86/paging_pae.hpp>

#include <tests/support/paging_modes.hpp>

using namespace lobos;
using namespace lobos::test;
using lobos::x86::paging_pae;

namespace {

using table_entry = paging_pae::entry<0>;
using directory_entry = paging_pae::entry<1>;
using pointer_entry = paging_pae::entry<2>;

constexpr std::uint64_t xd = 0x8000'0000'0000'0000;

template <class E>
concept can_be_leaf = requires(E e) {
    e.kept(lobos::access::read_write, true);
    E::leaf(0_pa, lobos::access::read_write);
};
static_assert(can_be_leaf<directory_entry> && !can_be_leaf<pointer_entry>);

template <class Add>
result<cloned_tables<paging_pae>> clone(table_world<paging_pae>& world, std::span<const virt_range> keep, Add add)
{
    return clone_page_tables<paging_pae>(world.memory, phys_addr::at(world.root), keep, add,
        [&] { return result<phys_addr>{phys_addr::at(world.new_table())}; });
}

} // namespace

TEST_CASE("a pointer that was made has its place and is present, and no other bit", "[x86][paging_pae]")
{
    CHECK(pointer_entry::table(0x1000_pa).bits == 0x1001);
    CHECK(pointer_entry::table(0xf'ffff'ffff'f000_pa).bits == 0xf'ffff'ffff'f001);
    table_world<paging_pae> world;
    const auto cloned =
        clone(world, {}, [](auto put) { return put(identity_mapping<paging_pae>(phys_range::of(0_pa, 4_GiB))); });
    REQUIRE(cloned);
    CHECK(cloned->tables == 5);
    for (unsigned i = 0; i < 4; ++i) {
        const auto pdpte = load<std::uint64_t>(world.memory, cloned->root + byte_count::of(8 * i));
        CHECK((pdpte & ~std::uint64_t{0xffff'f000}) == 1);
        const auto pde = load<std::uint64_t>(world.memory, phys_addr::at((pdpte & 0xffff'f000) + 8));
        CHECK(pde == (0x4000'0000u * std::uint64_t{i} + 0x20'00e3)); // the directory below has the rights
    }
    for (unsigned i = 4; i < 512; ++i) // nothing behind the table
        CHECK(load<std::uint64_t>(world.memory, cloned->root + byte_count::of(8 * i)) == 0);
}

TEST_CASE("the manual's reserved bits of a pointer are reserved, but for the one that is set in a table in use",
    "[x86][paging_pae]")
{
    for (unsigned b = 1; b < 64; ++b) {
        CAPTURE(b);
        const bool reserved = b == 1 || b == 2 || (b >= 6 && b <= 8) || b >= 52;
        CHECK(pointer_entry{std::uint64_t{1} << b | 1}.valid() == !reserved);
        CHECK(
            pointer_entry{std::uint64_t{1} << b | 1}.target().raw() == (b >= 12 && b < 52 ? std::uint64_t{1} << b : 0));
    }
}

TEST_CASE("bits 62 to 52 are reserved below the pointers and bit 63 is not", "[x86][paging_pae]")
{
    for (unsigned b = 52; b < 64; ++b) {
        const std::uint64_t bits = std::uint64_t{1} << b;
        CAPTURE(b);
        CHECK(table_entry{0x1001 | bits}.valid() == (b == 63));
        CHECK(directory_entry{0x1001 | bits}.valid() == (b == 63));
        CHECK(directory_entry{0x20'0081 | bits}.valid() == (b == 63));
        CHECK(directory_entry{0x20'0081 | bits}.target() == 0x20'0000_pa);
        CHECK(table_entry{0x1001 | bits}.executable() == (b != 63));
        // A table that the processor would not walk is not walked.
        byte_memory memory{0x3000};
        store(memory, 0_pa, std::uint64_t{0x1001});
        store(memory, 0x1000_pa, 0x2003 | bits);
        store(memory, 0x2000_pa, std::uint64_t{0x5003});
        const auto found = walk<paging_pae>(memory, 0_pa, 0_va);
        if (b == 63)
            CHECK((found && !found->executable));
        else
            CHECK(fault_of(found) == fault{fault_code::bad_page_table, stage::mapping, 0x1000});
    }
}

TEST_CASE("a running root may lie at any multiple of 32", "[x86][paging_pae]")
{
    byte_memory memory{0x3000};
    store(memory, 0x0fe0_pa + 24_bytes, std::uint64_t{0x1001}); // pointer 3
    store(memory, 0x1000_pa + 0xff8_bytes, std::uint64_t{0x2003});
    store(memory, 0x2ff8_pa, std::uint64_t{0xf'1234'5678'9063});
    const auto found = walk<paging_pae>(memory, 0x0fe0_pa, 0xffff'f123_va);
    REQUIRE(found);
    CHECK(found->physical == 0xf'1234'5678'9123_pa);
    CHECK(fault_of(walk<paging_pae>(memory, 0x0fe0_pa, virt_addr::at(0x1'0000'0000))) ==
        fault{fault_code::not_mapped, stage::mapping, 0x1'0000'0000});
}

TEST_CASE("a kept page keeps XD and its memory type, and neither global nor software's bits", "[x86][paging_pae]")
{
    table_world<paging_pae> world;
    world.map(1, 0xc020'0000, 0x8'0020'0000, xd | 0x1f7f);
    world.map(0, 0xc040'3000, 0x9'0000'3000, 0x0f67);
    const virt_range keep[] = {virt_range::of(0xc020'1000_va, 1_bytes), virt_range::of(0xc040'3000_va, 1_bytes)};
    const auto cloned = clone(world, keep, [](auto) { return result<void>{}; });
    REQUIRE(cloned);
    CHECK(cloned->tables == 3);
    CHECK(world.look(cloned->root.raw(), 0xc020'0000).entry == (xd | 0x8'0020'10fb));
    CHECK(world.look(cloned->root.raw(), 0xc040'3000).entry == 0x9'0000'3063);
}

TEST_CASE("a root that CR3 cannot name is refused, a table above 4 GiB is not", "[x86][paging_pae]")
{
    struct two_places { // tables at 0 and at 64 GiB
        byte_memory low{0x1000}, high{0x3000, 0x10'0000'0000_pa};
        byte_memory& of(phys_addr at) { return at.raw() < 0x1'0000'0000 ? low : high; }
        void read(phys_addr at, std::span<std::byte> out) { of(at).read(at, out); }
        void write(phys_addr at, std::span<const std::byte> in) { of(at).write(at, in); }
    } memory;
    const auto made = [&](std::uint64_t first) {
        std::uint64_t high = 0x10'0000'1000;
        bool root = true;
        return clone_page_tables<paging_pae>(
            memory, 0_pa, {}, [](auto put) { return put(identity_mapping<paging_pae>(phys_range::of(0_pa, 4_KiB))); },
            [&]() -> result<phys_addr> {
                if (std::exchange(root, false))
                    return phys_addr::at(first);
                return phys_addr::at(std::exchange(high, high + 0x1000));
            });
    };
    CHECK(fault_of(made(0x10'0000'0000)) == fault{fault_code::bad_range, stage::mapping, 0x10'0000'0000});
    REQUIRE(made(0));
    CHECK(walk<paging_pae>(memory, 0_pa, 0x123_va)->physical == 0x123_pa);
}
