// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/alpha/linux_rules.hpp>

#include <tests/catch.hpp>
#include <tests/support/alpha_told.hpp>

using namespace lobos;
using namespace lobos::alpha;
using namespace lobos::test;
using enum fault_code;

namespace {

using world = alpha_told;

fault verifying(fault_code code, std::uint64_t at)
{
    return {code, stage::verifying, at};
}
fault broken(std::uint64_t at)
{
    return verifying(entry_contract_broken, at);
}
fault loading(fault_code code, std::uint64_t at)
{
    return {code, stage::loading, at};
}

constexpr std::uint64_t told_initrd = world::page_place + 0x100;
constexpr std::uint64_t table = world::hwrpb + 2816; // the descriptors of memory
constexpr std::uint64_t cluster(std::uint64_t n)
{
    return table + 24 + n * 56;
}

} // namespace

TEST_CASE("what a Linux on Alpha relies on, made by hand", "[alpha][linux_rules]")
{
    world w;
    REQUIRE(w.verdict() == no_fault);
    w.image.pop_back(); // without an initrd
    w.poke(world::page + 0x100, 0);
    CHECK(w.verdict() == no_fault);
    w.poke(world::page + 0x108, 0x1234); // a size of nothing
    CHECK(w.verdict() == no_fault);
}

TEST_CASE("an entry is in kseg, with room below it that begins at a multiple of 64 KiB", "[alpha][linux_rules]")
{
    world w;
    for (const std::uint64_t wrong : {std::uint64_t{0x101'0000}, alpha_kseg, alpha_kseg + 0x101'0004,
             alpha_kseg + 0x101'8000, alpha_kseg + 0x8000, std::uint64_t{0xffff'fd00'0001'0000}, ~std::uint64_t{0}}) {
        CAPTURE(wrong);
        w.plan.entry = virt_addr::at(wrong);
        CHECK(w.verdict() == broken(wrong));
    }
    w.plan.entry = virt_addr::at(alpha_kseg + 0x1'0000); // has room, though not of its own
    CHECK(w.verdict() == broken(0));
}

TEST_CASE("no safe region lies on a side of a Linux on Alpha", "[alpha][linux_rules]")
{
    const auto with = [](std::uint64_t first, std::uint64_t last) {
        world w;
        w.add_safe({world::from_to(first, last), safe_role::plan});
        return w.verdict();
    };
    CHECK(with(0x0ff'e000, 0x100'0000) == broken(0x100'0000));
    CHECK(with(0x100'a000, 0x100'bfff) == broken(0x100'a000)); // nor on its page of parameters
    CHECK(with(0x100'ffff, 0x100'ffff) == broken(0x100'ffff));
    CHECK(with(0x101'4045, 0x101'4045) == broken(0x101'4045));
    CHECK(with(0x101'9fff, 0x101'bfff) == broken(0x101'9fff));
    // Beside them it is a region like any other, and the HWRPB has to tell it.
    CHECK(with(0x0ff'e000, 0x0ff'ffff) == broken(cluster(1)));
    CHECK(with(0x101'a000, 0x101'bfff) == broken(cluster(1)));
}

TEST_CASE("no initrd lies on a side of a Linux on Alpha", "[alpha][linux_rules]")
{
    const auto with = [](std::uint64_t first, std::uint64_t last, segment_role role = segment_role::initrd) {
        world w;
        w.image[world::initrd].destination = world::from_to(first, last);
        w.image[world::initrd].role = role;
        return w.verdict();
    };
    CHECK(with(0x0ff'e000, 0x100'0000) == broken(0x100'0000));
    CHECK(with(0x100'ffff, 0x100'ffff) == broken(0x100'ffff));
    CHECK(with(0x101'4045, 0x101'4045) == broken(0x101'4045));
    CHECK(with(0x101'9fff, 0x101'bfff) == broken(0x101'9fff));
    CHECK(with(0x0ff'e000, 0x0ff'ffff) == broken(told_initrd)); // it is told elsewhere
    CHECK(with(0x101'a000, 0x101'bfff) == broken(told_initrd));
    CHECK(with(0x101'a000, 0x101'bfff, segment_role::module) == broken(told_initrd)); // and is none at all
}

TEST_CASE("both sides of a Linux on Alpha are usable memory", "[alpha][linux_rules]")
{
    const auto with = [](std::uint64_t reserved) {
        world w;
        REQUIRE(w.map.map.add(world::from_to(reserved, reserved), region_kind::reserved));
        return w.verdict();
    };
    for (const std::uint64_t byte : {0x100'0000u, 0x100'ffffu, 0x101'4045u, 0x101'9fffu})
        CHECK(with(byte) == broken(byte));
    CHECK(with(0xff'ffff) == broken(cluster(1))); // told as usable
    CHECK(with(0x101'a000) == broken(cluster(1)));
}

TEST_CASE("the side behind a Linux begins with the page behind its last byte", "[alpha][linux_rules]")
{
    const auto last = [](std::uint64_t kernel, std::uint64_t reserved) {
        world w;
        w.image[world::bss].destination = world::from_to(world::start + 0x2045, kernel);
        REQUIRE(w.map.map.add(world::from_to(reserved, reserved), region_kind::reserved));
        return w.verdict();
    };
    CHECK(last(0x101'5fff, 0x101'9fff) == broken(0x101'9fff));
    CHECK(last(0x101'5fff, 0x101'a000) == broken(cluster(1)));
    CHECK(last(0x101'6000, 0x101'bfff) == broken(0x101'bfff)); // one byte in the next page
    CHECK(last(0x101'6000, 0x101'c000) == broken(cluster(1)));
    for (const std::uint64_t top : {~0ull, ~0ull - 1, ~0ull - 0x2000, 0xffff'ffff'ffff'bfffull})
        CHECK(last(top, 0) == broken(top));                                 // no room
    CHECK(last(0xffff'ffff'ffff'7fff, 0) == broken(0xffff'ffff'ffff'8000)); // no memory
}

TEST_CASE("where a Linux on Alpha ends, its own bytes say", "[alpha][linux_rules]")
{
    world w;
    REQUIRE(w.map.map.add(world::from_to(0x101'c000, 0x101'c000), region_kind::reserved));
    const auto with = [&](content what, segment_role role) {
        w.image.push_back({.destination = world::from_to(0x101'8000, 0x101'8000), .what = what, .role = role});
        const fault answer = w.verdict();
        w.image.pop_back();
        return answer;
    };
    for (const content what : {content::copy, content::zero})
        CHECK(with(what, segment_role::kernel) == broken(0x101'c000));
    CHECK(with(content::scratch, segment_role::kernel) == broken(cluster(1)));
    CHECK(with(content::copy, segment_role::module) == broken(cluster(1)));
}

TEST_CASE("the command line for a Linux on Alpha ends", "[alpha][linux_rules]")
{
    world w;
    for (std::uint64_t i = 0; i < 256; i += 8)
        w.poke(world::page + i, 0x7878'7878'7878'7878);
    CHECK(w.verdict() == broken(world::page_place));
    w.poke(world::page + 248, 0x0078'7878'7878'7878);
    CHECK(w.verdict() == no_fault);
    w.poke(world::page, 0); // an empty one
    CHECK(w.verdict() == no_fault);
}

TEST_CASE("the page of parameters comes from where the exec has it", "[alpha][linux_rules]")
{
    SECTION("the page behind the HWRPB's, which is no such page")
    {
        world w;
        w.image[world::told_page].file_offset = 0_bytes;
        CHECK(w.verdict() == broken(told_initrd));
    }
    SECTION("nowhere")
    {
        world w;
        w.image[world::told_page].what = content::scratch;
        CHECK(w.verdict() == broken(world::page_place));
    }
    SECTION("a file that ends before it")
    {
        world w;
        w.parameter_pages.back().size = 255_bytes;
        CHECK(w.verdict() == broken(world::page_place));
        w.parameter_pages.back().size = 0x10f_bytes;
        CHECK(w.verdict() == broken(told_initrd));
        w.parameter_pages.back().size = 0x110_bytes;
        CHECK(w.verdict() == no_fault);
    }
    SECTION("zeros")
    {
        world w;
        w.image[world::told_page].what = content::zero;
        CHECK(w.verdict() == broken(told_initrd)); // that an initrd is there
        w.image.pop_back();
        CHECK(w.verdict() == no_fault);
    }
}

TEST_CASE("an initrd on Alpha is told where it is, in kseg, and as long as it is", "[alpha][linux_rules]")
{
    world w;
    constexpr std::uint64_t first = world::page + 0x100, size = world::page + 0x108;
    for (const std::uint64_t wrong : {std::uint64_t{0}, world::initrd_at, alpha_kseg + world::initrd_at + 1,
             alpha_kseg + world::initrd_at - 0x2000, 0xffff'fd00'0000'0000 + world::initrd_at, ~std::uint64_t{0}})
        CHECK(w.when(first, wrong) == broken(told_initrd));
    for (const std::uint64_t wrong :
        {std::uint64_t{0}, world::initrd_size - 1, world::initrd_size + 1, world::initrd_size | std::uint64_t{1} << 32})
        CHECK(w.when(size, wrong) == broken(told_initrd));
    w.image.pop_back();
    CHECK(w.verdict() == broken(told_initrd)); // there is none
    CHECK(w.when(first, 1) == broken(told_initrd));
    CHECK(w.when(first, 0) == no_fault);
}

TEST_CASE("the HWRPB is where it is looked for, and can be written to", "[alpha][linux_rules]")
{
    world w;
    constexpr std::uint64_t home = 0x1000'0000;
    CHECK(w.when_mapped(home, world::hwrpb, 0x1100) == verifying(not_mapped, home)); // not valid
    CHECK(w.when_mapped(home, world::hwrpb, 0x1001) == verifying(not_mapped, home)); // not the kernel's to read
    CHECK(w.when_mapped(home, world::hwrpb, 0x0101) == verifying(not_writable, home));
    CHECK(w.when_mapped(home, world::hwrpb, 0x1105) == verifying(not_writable, home)); // faults on write
    CHECK(w.when_mapped(home, world::page) == loading(unknown_format, world::page + 8));
    w.plan.entry_root = phys_addr::at(world::page); // tables with nothing in them
    w.poke(world::page, 0);
    CHECK(w.verdict() == verifying(not_mapped, home));
}

TEST_CASE("the HWRPB of a Linux is sound, and knows where it lies itself", "[alpha][linux_rules]")
{
    world w;
    CHECK(w.when_told(0, console_block::at) == loading(bad_header, world::hwrpb)); // the original's address
    CHECK(w.when_told(8, 0) == loading(unknown_format, world::hwrpb + 8));
    CHECK(w.when_told(8, 0x42'5052'5748) == no_fault);
    CHECK(w.when_told(40, 0x4000) == loading(unsupported, world::hwrpb + 40));
    CHECK(w.when(world::hwrpb + 288, 0) == loading(bad_header, world::hwrpb + 288));
    CHECK(w.when(world::hwrpb + 64, 1) == loading(bad_header, world::hwrpb + 288)); // a field, and not the sum
}

TEST_CASE("the HWRPB of a Linux lies in a safe page of parameters, all of it", "[alpha][linux_rules]")
{
    SECTION("the console's own is not safe")
    {
        world w;
        console_block original;
        original.sum_up();
        w.memory.write(phys_addr::at(console_block::at), std::span{original.block}.first(0x2000));
        CHECK(w.when_mapped(0x1000'0000, console_block::at) == broken(console_block::at));
    }
    SECTION("another role is not that of parameters")
    {
        world w;
        w.safe[6].role = safe_role::plan;
        CHECK(w.verdict() == broken(world::hwrpb));
    }
    SECTION("its last byte as well")
    {
        world w;
        CHECK(w.when_told(24, 0x4000) == verifying(not_mapped, 0x1000'2000)); // which tables have to have, too
        map_alpha_page(w.memory, w.next_table, world::root, 0x1000'2000, world::page + 0x2000);
        CHECK(w.when_told(24, 0x4000) == verifying(not_mapped, 0x1000'2000)); // in a row
        map_alpha_page(w.memory, w.next_table, world::root, 0x1000'2000, world::page, 0x0101);
        CHECK(w.when_told(24, 0x4000) == verifying(not_writable, 0x1000'2000));
        map_alpha_page(w.memory, w.next_table, world::root, 0x1000'2000, world::page);
        CHECK(w.when_told(24, 0x4000) == no_fault);
        for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{0x4001}, ~std::uint64_t{0}})
            CHECK(w.when_told(24, size) == broken(world::hwrpb));
        w.safe[6].range = world::from_to(world::hwrpb, world::hwrpb + world::end - 2);
        CHECK(w.verdict() == broken(world::hwrpb));
    }
    SECTION("and so do the parts that Linux reads")
    {
        world w;
        CHECK(w.when_told(24, 320) == broken(world::hwrpb + 160)); // what QEMU's says: slots go past it
        CHECK(w.when_told(24, world::end - 1) == broken(world::hwrpb + 192));
        CHECK(w.when_told(160, ~7ull) == broken(world::hwrpb + 160));
        CHECK(w.when_told(144, ~0ull) == broken(world::hwrpb + 160));
        CHECK(w.when_told(144, 5) == no_fault);
        // A terminal, even where none is counted, and the block to recognise the machine by.
        w.block.set(176, 0x100);
        CHECK(w.when_told(184, world::end - 0x100) == no_fault);
        CHECK(w.when_told(184, world::end - 0xf8) == broken(world::hwrpb + 184));
        w.block.set(168, 2);
        CHECK(w.when_told(184, world::end - 0x200) == no_fault);
        CHECK(w.when_told(184, world::end - 0x1f8) == broken(world::hwrpb + 184));
        CHECK(w.when_told(312, world::end - 24) == no_fault);
        CHECK(w.when_told(312, world::end - 16) == broken(world::hwrpb + 312));
        // Descriptors behind all else, of one cluster.
        w.block.set(200, 0x1000).set(0x1010, 1).set(0x1020, 0x2000).set(0x1048, 1);
        CHECK(w.when_told(24, 0x104f) == broken(world::hwrpb + 200));
        CHECK(w.when_told(24, 0x1050) == broken(world::hwrpb + 0x1000)); // all of it, and all else is missing
    }
}

TEST_CASE("what a Linux on Alpha may use is usable, and nobody's", "[alpha][linux_rules]")
{
    world w;
    const struct {
        std::size_t n;
        std::uint64_t first, pages, usage;
        fault wanted;
    } cases[] = {
        {2, 0x2000, 5, 0, broken(cluster(2))},                     // safe pages
        {2, 0x2000, 5, 4, broken(cluster(2))},                     // by a bit that Linux does not look at
        {2, 0x2000, 5, 0x6c6f'6253'0000'0000, broken(cluster(2))}, // with lobos's word for it, and no more
        {2, 0x2000, 5, 1, no_fault},                               // the console's
        {2, 0x2000, 5, 2, no_fault},                               // or not volatile
        {6, 0x2010, 2, 0, broken(cluster(6))},                     // the HWRPB itself
        {8, 0x2018, 1, 0, broken(cluster(8))},                     // what survives
        {0, 0, 15, 0, broken(cluster(0))},                         // the PALcode's
        {1, 14, 0x2000 - 14, 0, broken(cluster(1))},               // the last page of it
        {1, 15, 0x2001 - 15, 0, broken(cluster(1))},               // the first of the safe ones
        {9, 0x2019, 0x8001 - 0x2019, 0, broken(cluster(9))},       // more memory than there is
        {3, 0x2004, 4, 0, broken(cluster(3))},                     // a page in two clusters
        {3, 0x2008, 3, 0, broken(cluster(3))},                     // tables
        {5, 0x2005, 3, 0, broken(cluster(5))},                     // out of order
        {1, 15, 0x1000 - 15, 0, broken(table)},                    // not all
        {9, 0x2019, 0x7fff - 0x2019, 0, broken(table)},
        {1, 15, 0x2000 - 15, 1, broken(table)}, // the console's now
        {0, 0, 14, 1, broken(table)},           // a page that is not told at all
        {2, 0x2000, 4, 1, broken(table)},       // a safe one that is not
        {8, 0x2018, 1, 1, no_fault},
    };
    for (const auto& c : cases) {
        CAPTURE(c.n, c.first, c.pages, c.usage);
        CHECK(w.when_told_cluster(c.n, c.first, c.pages, c.usage) == c.wanted);
    }
    CHECK(w.when_told(2816 + 16, 9) == broken(table));
    CHECK(w.when_told(2816 + 16, 0) == broken(table));
    CHECK(w.verdict() == no_fault);
}

TEST_CASE("a cluster is pages of the address space", "[alpha][linux_rules]")
{
    world w;
    constexpr std::uint64_t most = ~std::uint64_t{0} >> 13;
    CHECK(w.when_told_cluster(9, 0x2019, 0, 0) == broken(cluster(9))); // none
    CHECK(w.when_told_cluster(9, 0x2019, most + 1, 1) == broken(cluster(9)));
    CHECK(w.when_told_cluster(9, most + 1, 1, 1) == broken(cluster(9))); // page 0, in 64 bits
    CHECK(w.when_told_cluster(9, 0x2019, ~0ull, 1) == broken(cluster(9)));
    CHECK(w.when_told_cluster(9, ~0ull, 1, 1) == broken(cluster(9)));
    CHECK(w.when_told_cluster(9, most, 2, 1) == broken(cluster(9)));
    CHECK(w.when_told_cluster(9, most, 1, 1) == broken(table)); // and memory is left out
}

TEST_CASE("descriptors that cannot be read are refused", "[alpha][linux_rules]")
{
    world w;
    CHECK(w.when_told(200, 2820) == loading(bad_header, world::hwrpb + 200));
    CHECK(w.when_told(200, 0) == loading(bad_header, world::hwrpb + 200));
    CHECK(w.when_told(2816, 1) == loading(bad_header, table)); // a sum
    w.block.memory_sum = true;
    CHECK(w.tell(2816, 0).verdict() == no_fault);
}

TEST_CASE("pieces of the console are where it wants them", "[alpha][linux_rules]")
{
    world w;
    CHECK(w.when_mapped(0x2000'0000, world::piece, 0) == verifying(not_mapped, 0x2000'0000));
    CHECK(w.when_mapped(0x2000'2000, world::piece + 0x2000, 0) == verifying(not_mapped, 0x2000'2000));
    CHECK(w.when_mapped(0x2000'2000, world::piece) == verifying(not_mapped, 0x2000'2000)); // another page
    CHECK(w.when_told(world::pieces + 8, world::piece + 0x2000) == verifying(not_mapped, 0x2000'0000));
    CHECK(w.when_told(world::pieces + 16, 3) == verifying(not_mapped, 0x2000'4000));
    CHECK(w.when_told(world::pieces + 16, 0) == no_fault);
    CHECK(w.when_told(world::pieces, 0x2000'0008) == loading(bad_header, world::hwrpb + world::pieces));
    CHECK(w.when_told(world::pieces + 24, alpha_kseg) == loading(bad_header, world::hwrpb + world::pieces + 24));
    CHECK(w.when_told(192, 4) == loading(bad_header, world::hwrpb + 192));
    CHECK(w.when_told(192, 8) == loading(bad_header, world::hwrpb + 192));
}

TEST_CASE("pieces of the console can be worked with, and are nobody else's", "[alpha][linux_rules]")
{
    world w;
    CHECK(w.when_mapped(0x2000'2000, world::piece + 0x2000, 0x0101) == verifying(not_writable, 0x2000'2000));
    constexpr std::uint64_t usable = 0x1'e000; // and not the last page before
    map_alpha_page(w.memory, w.next_table, world::root, 0x2000'0000, usable - 0x2000);
    map_alpha_page(w.memory, w.next_table, world::root, 0x2000'2000, usable);
    CHECK(w.when_told(world::pieces + 8, usable - 0x2000) == broken(0x2000'2000));
}

TEST_CASE("the console's fixup, which a Linux calls first, can be called", "[alpha][linux_rules]")
{
    constexpr std::size_t fixup = world::callback + 16;
    constexpr std::uint64_t field = world::hwrpb + 192, descriptor = world::piece + 0x18;
    SECTION("there is one, unless the console is MILO")
    {
        world w;
        CHECK(w.when_told(192, 0) == broken(field));
        CHECK(w.when_told(fixup, 0) == verifying(not_mapped, 8));
        w.block.set(64, 0x4f4c'494d).set(72, 0); // "MILO"
        CHECK(w.when_told(192, 0) == no_fault);
        CHECK(w.when_told(fixup, 0) == no_fault);
        w.block.set(64, 0x4f4c'496d);
        CHECK(w.when_told(192, 0) == broken(field));
    }
    SECTION("its descriptor")
    {
        world w;
        CHECK(w.when_told(fixup, world::fixup + 4) == broken(world::fixup + 4));
        CHECK(w.when_told(fixup, ~std::uint64_t{7}) == broken(~std::uint64_t{7}));
        CHECK(w.when_told(fixup, 0x3000'0000) == verifying(not_mapped, 0x3000'0008));
        CHECK(w.when_told(fixup, alpha_kseg + 0x2'0000) == broken(alpha_kseg + 0x2'0008)); // anybody's memory
        CHECK(w.when_told(fixup, alpha_kseg + world::piece + 0x10) == no_fault);
        // In the copy of the block; the quadword behind it is no longer the block's.
        w.block.set(0x1000, world::fixup_code);
        CHECK(w.tell(24, 0x1008).when_told(fixup, 0x1000'0ff8) == no_fault);
        CHECK(w.tell(24, 0x1000).when_told(fixup, 0x1000'0ff8) == broken(0x1000'1000));
    }
    SECTION("its code")
    {
        world w;
        CHECK(w.when(descriptor, 0x3000'0000) == verifying(not_mapped, 0x3000'0000));
        CHECK(w.when(descriptor, alpha_kseg + 0x2'0000) == broken(alpha_kseg + 0x2'0000));
        CHECK(w.when(descriptor, alpha_kseg + world::piece) == no_fault);
        constexpr std::uint64_t fault_on_execute = 8;
        CHECK(w.when_mapped(0x2000'2000, world::piece + 0x2000, 0x1101 | fault_on_execute) ==
            verifying(not_executable, world::fixup_code));
    }
}

TEST_CASE("what shares a page with something else is not told, and need not be", "[alpha][linux_rules]")
{
    world w;
    constexpr std::uint64_t reserved = 0x800'1000;
    REQUIRE(w.map.map.add(world::from_to(reserved, reserved + 0x1fff), region_kind::reserved));
    CHECK(w.verdict() == broken(cluster(9)));
    // The last cluster becomes three.
    w.block.set(console_block::memory + 16, 12);
    const auto three = [&](std::uint64_t first, std::uint64_t pages) {
        w.block.cluster(9, 0x2019, first - 0x2019, 0).cluster(10, first, pages, 1);
        return w.tell_cluster(11, first + pages, 0x8000 - first - pages, 0).verdict();
    };
    // They take the place of the callback block, which goes behind them.
    std::ranges::copy(bytes(w.block.block.begin() + world::callback, w.block.block.begin() + world::end),
        w.block.block.begin() + 0x1000);
    w.block.set(24, 0x1000 + world::end - world::callback).set(192, 0x1000);
    CHECK(three(0x4000, 2) == no_fault);
    CHECK(three(0x4000, 1) == broken(cluster(11)));
    CHECK(three(0x4001, 1) == broken(cluster(9)));
    CHECK(three(0x4000, 3) == broken(table)); // one page of usable memory too many
    CHECK(three(0x3fff, 3) == broken(table));
}

TEST_CASE("the copy of a HWRPB lies over what the console lists of the original", "[alpha][linux_rules]")
{
    world w;
    const auto listed = [&](std::uint64_t v, std::uint64_t p, std::uint64_t pages) {
        const console_block was = w.block;
        w.block.set(world::pieces + 24, v).set(world::pieces + 32, p);
        const fault answer = w.tell(world::pieces + 40, pages).verdict();
        w.block = was;
        return answer;
    };
    CHECK(listed(0x1000'0000, 0x1'2000, 1) == no_fault);
    CHECK(listed(0x1000'0000, 0x1'2000, 2) == verifying(not_mapped, 0x1000'2000)); // the console's page behind
    CHECK(listed(0x0fff'e000, 0x1'0000, 2) == verifying(not_mapped, 0x0fff'e000)); // and before
    map_alpha_page(w.memory, w.next_table, world::root, 0x1000'2000, 0x1'4000);
    CHECK(listed(0x1000'0000, 0x1'2000, 2) == no_fault);
}

TEST_CASE("the root is seen where the HWRPB says, and where that Linux ends", "[alpha][linux_rules]")
{
    world w;
    constexpr std::uint64_t vptb = 0xffff'fffe'0000'0000, in_the_end = 0x2'0000'0000;
    for (const std::uint64_t entry : {std::uint64_t{0}, alpha_entry(world::root, 0x1001), alpha_entry(world::hwrpb),
             alpha_entry(world::root + 0x2000)}) {
        CAPTURE(entry);
        CHECK(w.when(world::vptb_entry, entry) == broken(vptb));
        CHECK(w.when(world::linux_vptb_entry, entry) == broken(in_the_end));
    }
    CHECK(w.when_told(120, in_the_end) == no_fault);
    for (const std::uint64_t other : {0x4'0000'0000ull, 0x2'0000'2000ull, 0xffff'fc00'0000'0000ull, 0ull})
        CHECK(w.when_told(120, other) == broken(other));
    CHECK(w.verdict() == no_fault);
}
