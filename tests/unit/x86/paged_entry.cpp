// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <elf.h>

#include <lobos/x86/paged_entry.hpp>

#include <lobos/x86/paging_4k.hpp>
#include <lobos/x86/paging_4level.hpp>
#include <lobos/x86/paging_4m.hpp>
#include <lobos/x86/paging_5level.hpp>
#include <lobos/x86/paging_pae.hpp>

#include <tests/catch.hpp>
#include <tests/support/scratch_page.hpp>
#include <tests/support/told.hpp>

using namespace lobos;
using namespace lobos::test;
using lobos::x86::paged_entry;

namespace {

using port = x86::port<x86::paging_4m>;
using long_port = x86::port<x86::paging_4level>;
static_assert(entry_contract<paged_entry, port>);
static_assert(entry_contract<paged_entry, long_port>);

/// Entered by a kernel of the one width and of the other.
template <class Paging, x86::entry_state State>
inline constexpr bool entered_in = entry_contract<x86::paged_entry_in<Paging>, port> &&
    entry_contract<x86::paged_entry_in<Paging>, long_port> && x86::paged_entry_in<Paging>::state == State &&
    std::is_same_v<entry_paging<x86::paged_entry_in<Paging>, x86::paging_4m>, Paging>;
static_assert(entered_in<x86::paging_4k, x86::entry_state::paged_32>);
static_assert(entered_in<x86::paging_4m, x86::entry_state::paged_32>);
static_assert(entered_in<x86::paging_pae, x86::entry_state::paged_32>);
static_assert(entered_in<x86::paging_4level, x86::entry_state::long_64>);
static_assert(entered_in<x86::paging_5level, x86::entry_state::long_64>);

const memory_map handed{{phys_range::between(0_pa, 0x9'ffff_pa), region_kind::usable},
    {phys_range::between(0x10'0000_pa, 0xfff'ffff_pa), region_kind::usable},
    {phys_range::between(0x20'0000_pa, 0x20'ffff_pa), region_kind::safe},
    {phys_range::between(0x40'0000_pa, 0x40'ffff_pa), region_kind::surviving}};

const elf_image& small_image()
{
    static const scattered_file file{small_kernel().build()};
    static const auto image = load_elf32(file, x86::elf_machine);
    REQUIRE(fault_of(image) == no_fault);
    return *image;
}

std::vector<multiboot_module> modules(std::size_t count)
{
    std::vector<multiboot_module> list;
    for (std::size_t i = 0; i < count; ++i)
        list.push_back({phys_range::of(phys_addr::at(0x80'0000 + i * 0x2000), 0x1234_bytes), "boot/file"});
    return list;
}

} // namespace

TEST_CASE("a paged kernel leaves paged, with the running descriptors, from its virtual entry", "[x86][paged_entry]")
{
    const auto files = modules(2);
    const auto contract = paged_entry::make(small_image(), files, "again");
    REQUIRE(contract);
    STATIC_REQUIRE(paged_entry::state == x86::entry_state::as_running);
    STATIC_REQUIRE(std::is_same_v<paged_entry::paging, same_paging>);
    CHECK(contract->entry() == 0xc010'0010_va);
    CHECK(contract->parameter_pages() == 1);
    CHECK(contract->virtual_layout().size() == 2);
    CHECK(contract->virtual_layout()[0].physical == 0x10'0000_pa);
}

TEST_CASE("modules are segments that stay as they are", "[x86][paged_entry]")
{
    const auto files = modules(2);
    const auto contract = paged_entry::make(small_image(), files, "");
    REQUIRE(contract);
    const std::size_t own = small_image().segments.size();
    REQUIRE(contract->segments().size() == own + 2);
    for (std::size_t i = 0; i < own; ++i)
        CHECK(contract->segments()[i].destination == small_image().segments[i].destination);
    for (std::size_t i = 0; i < 2; ++i) {
        const segment& s = contract->segments()[own + i];
        CHECK(s.destination == files[i].range);
        CHECK(s.what == content::kept);
        CHECK(s.role == segment_role::module);
        CHECK(s.file.empty());
    }
}

TEST_CASE("more modules than an image has room for are refused", "[x86][paged_entry]")
{
    const std::size_t room = max_segments - small_image().segments.size();
    const auto fitting = modules(room);
    CHECK(paged_entry::make(small_image(), fitting, "").has_value());
    const auto too_many = modules(room + 1);
    CHECK(fault_of(paged_entry::make(small_image(), too_many, "")) ==
        fault{fault_code::no_space, stage::loading, max_segments + 1});
}

TEST_CASE("the registers are a multiboot loader's", "[x86][paged_entry]")
{
    const auto contract = paged_entry::make(small_image(), {}, "");
    REQUIRE(contract);
    const phys_addr pages[] = {0xffff'f000_pa};
    const auto r = contract->registers(pages);
    CHECK(r.ax == 0x2bad'b002);
    CHECK(r.bx == 0xffff'f000);
    CHECK(r.si == 0);
}

TEST_CASE("what a paged kernel is told can be read by it", "[x86][paged_entry]")
{
    byte_memory memory{0x1000, 0x30'0000_pa};
    const bytes old(0x1000, std::byte{0xa5});
    memory.write(0x30'0000_pa, old);
    const auto files = modules(3);
    const auto contract = paged_entry::make(small_image(), files, "generation=2 -- quiet");
    REQUIRE(contract);
    const phys_addr pages[] = {0x30'0000_pa};
    REQUIRE(fault_of(contract->write_parameters(memory, handed.map, pages, scratch_page())) == no_fault);

    const multiboot_reader reader{memory, 0x30'0000_pa};
    const memory_map found{};
    auto& map = const_cast<region_map&>(found.map);
    REQUIRE(reader.read_memory_map(map));
    CHECK(std::ranges::equal(map.regions(), handed.map.regions()));
    char text[64];
    REQUIRE(reader.command_line());
    CHECK(reader.string(*reader.command_line(), text) == "generation=2 -- quiet");
    REQUIRE(reader.module_count() == 3);
    for (std::uint32_t i = 0; i < 3; ++i) {
        const auto module = reader.module(i);
        REQUIRE(module);
        CHECK(module->start == files[i].range.first());
        CHECK(module->size == files[i].range.size());
        CHECK(reader.string(module->string, text) == "boot/file");
    }
    // The rest of the page is zero, not what was there.
    CHECK(load<std::uint8_t>(memory, 0x30'0fff_pa) == 0);
}

TEST_CASE("what does not fit in the page, or below 4 GiB, is a fault, and nothing is written", "[x86][paged_entry]")
{
    byte_memory none{0};
    const std::string long_line(4096, 'x');
    const auto said = [&](std::string_view line, phys_addr page) {
        const auto contract = paged_entry::make(small_image(), {}, line);
        REQUIRE(contract);
        const phys_addr pages[] = {page};
        return fault_of(contract->write_parameters(none, handed.map, pages, scratch_page()));
    };
    CHECK(said(long_line, 0x30'0000_pa).code == fault_code::no_space);
    CHECK(said("quiet", 0x1'0000'0000_pa) == fault{fault_code::bad_range, stage::staging, 0x1'0000'0000});
    CHECK(said({"a\0b", 3}, 0x30'0000_pa) == fault{fault_code::command_line_too_long, stage::staging, 3});
}

TEST_CASE("what a paged kernel is told holds, in its own mode and in another", "[x86][paged_entry]")
{
    told_exec t{small_kernel().build()};
    const auto image = load_elf32(t.file, x86::elf_machine);
    REQUIRE(image);
    const auto contract = paged_entry::make(*image, t.modules, "again");
    REQUIRE(contract);
    REQUIRE(t.write(*contract) == no_fault);
    CHECK(t.asked(*contract) == no_fault);
    CHECK(t.with(*contract, told_exec::page + 20, 4, 1) == broken(told_exec::page + 20)); // the rest: multiboot_rules
    t.found.ax = 0x36d7'6289;
    CHECK(t.asked(*contract) == broken(told_exec::frame + 240));
    t.found.ax = 0x2bad'b002;
    t.plan.entry = 0xc010'0011_va;
    CHECK(t.asked(*contract) == broken(0xc010'0011));
    t.plan.entry = 0xc010'0010_va;
    CHECK(t.with(*contract, told_exec::file_at + 24, 4, 0xc010'0014) == broken(0xc010'0010));

    const auto other = x86::paged_entry_in<x86::paging_4level>::make(*image, t.modules, "again");
    REQUIRE(other);
    CHECK(other->segments().size() == contract->segments().size());
    CHECK(other->entry() == contract->entry());
    REQUIRE(t.write(*other) == no_fault);
    CHECK(t.asked(*other) == no_fault);
}

TEST_CASE("a plain binary is entered paged at its virtual address", "[x86][paged_entry]")
{
    told_exec t{bytes(0x1000, std::byte{0x90})};
    const auto image = load_flat_paged(t.file, 0x10'0000_pa, 0xffff'8000'0010'0000_va, 0x1000_bytes, 0x20_bytes);
    REQUIRE(image);
    const auto contract = x86::paged_entry_in<x86::paging_4level>::make(*image, t.modules, "");
    REQUIRE(contract);
    CHECK(contract->entry() == 0xffff'8000'0010'0020_va);
    CHECK(contract->virtual_layout().size() == 1);
    CHECK(contract->segments().size() == 4);
    REQUIRE(t.write(*contract) == no_fault);
    CHECK(t.asked(*contract) == no_fault);
}
