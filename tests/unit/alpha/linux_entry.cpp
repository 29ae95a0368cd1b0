// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/alpha/linux_entry.hpp>

#include <string>

#include <tests/catch.hpp>
#include <tests/support/alpha_elf.hpp>
#include <tests/support/alpha_told.hpp>
#include <tests/support/scratch_page.hpp>

using namespace lobos;
using namespace lobos::alpha;
using namespace lobos::test;
using enum fault_code;

namespace {

using world = alpha_told;

/// Where the callback block of the console below begins: behind its two clusters.
constexpr std::size_t callback = console_block::clusters + 2 * 56, listed = callback + 48;

/// A console as QEMU's, with a piece of itself that needs tables.
console_block console()
{
    console_block block;
    block.set(192, callback).set(callback + 16, world::fixup).set(callback + 32, 1);
    block.set(world::piece + 0x18 - console_block::at, world::fixup_code); // the piece lies behind the block
    return block.set(listed, world::piece_home).set(listed + 8, world::piece).set(listed + 16, 2);
}

/// A contract, and the world in which it writes its parameters over those made by hand.
struct entering {
    world w;
    memory_map handed{};
    scattered_file file;
    result<linux_image> image;
    result<linux_entry> contract = refuse(no_room, stage::loading, 0);

    explicit entering(console_block block = console(), std::uint64_t initrd = world::initrd_size,
        const alpha_elf_builder& kernel = alpha_kernel(), std::string_view command_line = "quiet 1")
        : file{kernel.build()},
          image{load(initrd, command_line)}
    {
        REQUIRE(fault_of(image) == no_fault);
        block.sum_up();
        w.memory.write(phys_addr::at(console_block::at), std::span{block.block}.first(0x4000));
        w.memory.write(phys_addr::at(world::hwrpb), bytes(0x4000)); // both pages
        contract = linux_entry::make(w.memory, *image, phys_addr::at(console_block::at));
        REQUIRE(handed.map.copy_from(w.map.map));
        for (const safe_region& r : w.safe)
            if (r.role != safe_role::log)
                REQUIRE(handed.map.add(r.range, region_kind::safe));
    }

    fault write()
    {
        const phys_addr pages[] = {phys_addr::at(world::hwrpb), phys_addr::at(world::page)};
        return fault_of(contract->write_parameters(w.memory, handed.map, pages, scratch_page()));
    }

    /// As the exec's preparation makes it of the contract's segments.
    fault verdict()
    {
        w.image.assign(contract->segments().begin(), contract->segments().end());
        for (segment& s : w.image)
            if (s.what == content::parameters) {
                s.what = content::copy;
                s.file = w.parameter_pages;
            }
        w.plan.image = w.image;
        w.plan.safe = w.safe;
        w.plan.entry = contract->entry();
        const world::context_type context{w.plan, w.map.map, w.memory, {}, 1};
        return fault_of(contract->is_met(context, {}));
    }

private:
    result<linux_image> load(std::uint64_t initrd, std::string_view command_line)
    {
        const linux_request wanted{.command_line = command_line};
        return initrd == 0 ? load_linux(file, wanted) : load_linux(file, hollow_file{initrd}, wanted, w.map.map);
    }
};

fault made(console_block block)
{
    return fault_of(entering{std::move(block)}.contract);
}

fault loading(fault_code code, std::uint64_t at)
{
    return {code, stage::loading, at};
}
constexpr std::uint64_t at = console_block::at;

} // namespace

TEST_CASE("a Linux for Alpha wants two pages, one where the console had the HWRPB", "[alpha][linux_entry]")
{
    entering e;
    const linux_entry& c = *e.contract;
    CHECK(linux_entry::state == entry_state::kernel);
    STATIC_REQUIRE(is_entered_paged<linux_entry>);
    CHECK(c.entry() == virt_addr::at(0xffff'fc00'0101'0000));
    CHECK(c.registers({}) == entry_registers{});
    CHECK(c.parameter_pages() == 2);
    CHECK(c.parameters_row().first == 0x1000'0000_va);
    CHECK(c.parameters_row().pages == 1);
    CHECK(c.parameter_reach() == world::from_to(0, 0xff'ffff'ffff));

    REQUIRE(c.segments().size() == 8); // three of the kernel's, three sides, the initrd, and
    const segment& page = c.segments().back();
    CHECK(page.destination == world::from_to(0x100'a000, 0x100'bfff));
    CHECK(page.what == content::parameters);
    CHECK(page.file_offset == 8_KiB); // the second page

    REQUIRE(c.virtual_layout().size() == 3);
    const virtual_segment& console = c.virtual_layout().back();
    CHECK(console.virtual_range == virt_range::of(0x2000'0000_va, 16_KiB));
    CHECK(console.physical == 0x1'4000_pa);
    CHECK(console.writable);
}

TEST_CASE("a copy of the HWRPB for Linux, word for word", "[alpha][linux_entry]")
{
    entering e;
    REQUIRE(e.write() == no_fault);
    const auto word = [&](std::size_t offset) { return e.w.at(world::hwrpb + offset); };
    constexpr std::size_t table = listed + 24, clusters = table + 24;
    constexpr std::size_t size = clusters + world::cluster_count * 56;
    CHECK(word(0) == world::hwrpb);
    CHECK(word(8) == 0x4857'5250'4200'0000);
    CHECK(word(24) == size);
    CHECK(word(120) == 0xffff'fffe'0000'0000);
    CHECK(word(192) == callback);
    CHECK(word(200) == table);
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < 288; i += 8)
        sum += word(i);
    CHECK(word(288) == sum);
    CHECK(word(table + 16) == world::cluster_count);
    for (std::size_t n = 0; n < world::cluster_count; ++n) {
        CAPTURE(n);
        CHECK(word(clusters + n * 56) == world::all_clusters[n].first);
        CHECK(word(clusters + n * 56 + 8) == world::all_clusters[n].pages);
        CHECK(word(clusters + n * 56 + 48) == world::all_clusters[n].usage);
    }
    CHECK(word(size) == 0);
}

TEST_CASE("the page below a Linux, word for word", "[alpha][linux_entry]")
{
    entering e;
    REQUIRE(e.write() == no_fault);
    CHECK(e.w.at(world::page) == 0x0031'2074'6569'7571); // "quiet 1"
    CHECK(e.w.at(world::page + 8) == 0);
    CHECK(e.w.at(world::page + 0x100) == 0xffff'fc00'0fff'e000);
    CHECK(e.w.at(world::page + 0x108) == 5000);
    entering without{console(), 0};
    REQUIRE(without.write() == no_fault);
    CHECK(without.w.at(world::page + 0x100) == 0);
}

TEST_CASE("what the contract of a Linux for Alpha writes is what Linux relies on", "[alpha][linux_entry]")
{
    const auto met = [](entering e) {
        REQUIRE(e.write() == no_fault);
        return e.verdict();
    };
    CHECK(met(entering{}) == no_fault);
    CHECK(met(entering{console(), 0}) == no_fault);
    CHECK(met(entering{console(), world::initrd_size, alpha_kernel(), ""}) == no_fault);
    const std::string longest(255, 'x');
    CHECK(met(entering{console(), world::initrd_size, alpha_kernel(), longest}) == no_fault);
    CHECK(met(entering{console_block{}.set(64, 0x4f4c'494d)}) == no_fault); // MILO, which wants nothing
    // A kernel that ends with the first byte of a page.
    auto kernel = alpha_kernel();
    kernel.parts[2].p_memsz = 0x4001;
    entering edge{console(), world::initrd_size, kernel};
    REQUIRE(edge.write() == no_fault);
    CHECK(edge.verdict() == no_fault);
    CHECK(edge.image->kernel.last() == 0x101'bfff_pa);
}

TEST_CASE("and what somebody changes after the contract has written it is found", "[alpha][linux_entry]")
{
    entering e;
    REQUIRE(e.write() == no_fault);
    const auto broken = [](std::uint64_t where) { return fault{entry_contract_broken, stage::verifying, where}; };
    e.w.poke(world::page + 0x108, 4999);
    CHECK(e.verdict() == broken(0x100'a100));
    e.w.poke(world::page + 0x108, 5000);
    REQUIRE(e.verdict() == no_fault);
    e.w.add_safe({world::pages_at(0x500'0000, 1), safe_role::bounce}); // a safe page that the map has not
    CHECK(e.verdict() == broken(world::hwrpb + listed + 24 + 24 + 9 * 56));
}

TEST_CASE("a block that cannot be read makes no contract, and is copied by none", "[alpha][linux_entry]")
{
    CHECK(made(console()) == no_fault);
    CHECK(made(console().set(8, 0)) == loading(unknown_format, at + 8));
    CHECK(made(console().set(0, 0x1'8000)) == loading(bad_header, at));
    CHECK(made(console().set(24, 0)) == loading(bad_header, at + 24));
    CHECK(made(console().set(192, 4)) == loading(bad_header, at + 192));
    CHECK(made(console().set(listed, 1)) == loading(bad_header, at + listed));
    entering e;
    CHECK(fault_of(linux_entry::make(e.w.memory, *e.image, 0x1'2008_pa)) == loading(misaligned, 0x1'2008));

    e.w.poke(at + 64, 1); // behind the contract's back
    CHECK(e.write() == loading(bad_header, at + 288));
}

TEST_CASE("a console of many pieces, and a kernel of many parts, have no room in a contract", "[alpha][linux_entry]")
{
    const auto with_pieces = [](std::uint64_t count) {
        console_block block = console();
        block.set(callback + 32, count);
        for (std::size_t n = 0; n < count; ++n)
            block.set(listed + n * 24, 0x2000'0000 + 0x2000 * n).set(listed + n * 24 + 16, 1);
        return made(block);
    };
    CHECK(with_pieces(30) == no_fault); // beside two of the kernel's
    CHECK(with_pieces(31) == loading(no_space, 33));

    const auto with_parts = [](std::size_t count) {
        auto kernel = alpha_kernel();
        const auto first = kernel.parts[0];
        kernel.parts.assign(count, first);
        for (std::size_t i = 0; i < count; ++i)
            kernel.parts[i].p_vaddr = kernel.parts[i].p_paddr = first.p_paddr + 0x1000 * i;
        kernel.size = 0x1000;
        for (auto& p : kernel.parts)
            p.p_offset = 0x800;
        return fault_of(entering{console_block{}, 0, kernel}.contract);
    };
    CHECK(with_parts(28) == no_fault);
    CHECK(with_parts(29) == loading(no_space, 33)); // three sides leave no room for the page
}

TEST_CASE("a copy of the HWRPB for Linux has one page", "[alpha][linux_entry]")
{
    entering e{console().set(24, 0x2000 - 24 - 10 * 56)}; // what the console says that it is
    CHECK(e.write() == no_fault);
    entering larger{console().set(24, 0x2000 - 24 - 10 * 56 + 1)};
    CHECK(larger.write() == fault{no_space, stage::staging, 0x2008});
    entering unreadable{console().set(184, ~7ull)}; // terminals
    CHECK(unreadable.write() == fault{bad_header, stage::staging, at + 184});
}

TEST_CASE("what make_linux_page refuses the contract does", "[alpha][linux_entry]")
{
    entering e;
    e.image->command_line = {"a\0b", 3}; // which the loader would not have taken
    e.contract = linux_entry::make(e.w.memory, *e.image, phys_addr::at(at));
    CHECK(e.write() == fault{command_line_too_long, stage::staging, 3});
    e.image->command_line = "";
    e.image->initrd = world::from_to(0xff'ffff'ffff, 0x100'0000'0000);
    e.contract = linux_entry::make(e.w.memory, *e.image, phys_addr::at(at));
    CHECK(e.write() == fault{bad_range, stage::staging, 0xff'ffff'ffff});
}

TEST_CASE("a kernel that was told of a copy tells the next one of a copy of that", "[alpha][linux_entry]")
{
    entering e;
    REQUIRE(e.write() == no_fault);
    e.w.memory.write(phys_addr::at(console_block::at), bytes(0x2000)); // nobody looks at the first one any more
    const auto again = linux_entry::make(e.w.memory, *e.image, phys_addr::at(world::hwrpb));
    REQUIRE(fault_of(again) == no_fault);
    REQUIRE(again->virtual_layout().size() == 3);
    CHECK(again->virtual_layout().back().physical == 0x1'4000_pa);
    const phys_addr pages[] = {0x500'0000_pa, 0x500'2000_pa};
    CHECK(fault_of(again->write_parameters(e.w.memory, e.handed.map, pages, scratch_page())) == no_fault);
    CHECK(e.w.at(0x500'0000) == 0x500'0000);
    CHECK(e.w.at(0x500'0000 + 24) == e.w.at(world::hwrpb + 24)); // no larger
}
