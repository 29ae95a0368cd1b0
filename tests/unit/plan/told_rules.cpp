// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/plan/told_rules.hpp>

#include <tests/support/rule_checks.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

struct told {
    std::uint64_t first, last;
    bool usable;
};

constexpr phys_addr entry_at = 0x1000_pa, end_at = 0x2000_pa;
const fault at_entry = refused(fault_code::entry_contract_broken, entry_at);
const fault at_end = refused(fault_code::entry_contract_broken, end_at);

/// The memory of the sound plan: 32 MiB, of which these are safe.
const std::vector<told> all{{0, 0x40'5fff, true}, {0x40'6000, 0x40'6fff, false}, {0x40'7000, 0xbf'ffff, true},
    {0xc0'0000, 0xc0'2fff, false}, {0xc0'3000, 0xc0'3fff, true}, {0xc0'4000, 0xc0'6fff, false},
    {0xc0'7000, 0xc0'7fff, true}, {0xc0'8000, 0xc0'afff, false}, {0xc0'b000, 0xff'ffff, true},
    {0x100'0000, 0x100'0fff, false}, {0x100'1000, 0x13f'ffff, true}, {0x140'0000, 0x140'0fff, false},
    {0x140'1000, 0x1ff'ffff, true}};

fault verdict(sound_plan& p, const std::vector<told>& entries)
{
    const auto context = p.context();
    rules::told_map map{context};
    for (const told& t : entries) {
        const auto r = phys_range::between(phys_addr::at(t.first), phys_addr::at(t.last));
        if (const auto good = map.entry(r, t.usable, entry_at); !good)
            return good.error();
    }
    return fault_of(map.end(end_at));
}

/// Entry `i` is another.
std::vector<told> with(std::size_t i, told other)
{
    auto entries = all;
    entries[i] = other;
    return entries;
}

} // namespace

TEST_CASE("a memory map that says what is so", "[plan][told_rules]")
{
    sound_plan p;
    REQUIRE(verdict(p, all) == no_fault);
    auto more = all; // cut into pieces, and with what the running kernel knows nothing of
    more.erase(more.begin());
    more.insert(more.begin(), {{0, 0xfff, true}, {0x1000, 0x40'5fff, true}});
    more.push_back({0x200'0000, ~std::uint64_t{0}, false});
    CHECK(verdict(p, more) == no_fault);
}

TEST_CASE("a memory map that counts in pages, up to somewhere", "[plan][told_rules]")
{
    sound_plan p;
    const phys_range reach = phys_range::between(0_pa, 0x1ff'ffff_pa);
    const auto said = [&](std::vector<told> entries) {
        const auto context = p.context();
        rules::told_map map{context, 4_KiB, reach};
        for (const told& t : entries)
            if (const auto good =
                    map.entry(phys_range::between(phys_addr::at(t.first), phys_addr::at(t.last)), t.usable, entry_at);
                !good)
                return good.error();
        return fault_of(map.end(end_at));
    };
    REQUIRE(said(all) == no_fault);
    REQUIRE(
        p.firmware.map.add(phys_range::between(0x200'0000_pa, 0x2ff'ffff_pa), region_kind::reserved)); // out of reach
    CHECK(said(all) == no_fault);
    CHECK(verdict(p, all) == at_end);
    // Reserved memory that begins and ends in pages of usable memory takes both.
    REQUIRE(p.firmware.map.add(phys_range::between(0x180'0800_pa, 0x180'27ff_pa), region_kind::reserved));
    const auto around = [&](std::uint64_t first, std::uint64_t last) {
        auto entries = all;
        entries.back() = {0x140'1000, first - 1, true};
        entries.push_back({first, last, false});
        entries.push_back({last + 1, 0x1ff'ffff, true});
        return said(entries);
    };
    CHECK(around(0x180'0000, 0x180'2fff) == no_fault);
    CHECK(around(0x17f'f000, 0x180'2fff) == at_end); // a page of usable memory is lost
    CHECK(around(0x180'0000, 0x180'3fff) == at_end);
    CHECK(around(0x180'0800, 0x180'2fff) == at_end); // half a page more than can be told
    auto entries = all;
    entries.back() = {0x140'1000, 0x17f'ffff, true}; // the reserved memory is not told at all
    entries.push_back({0x180'3000, 0x1ff'ffff, true});
    CHECK(said(entries) == at_end);
    // What is smaller than a page is no usable memory at all; nor is what is left of one.
    REQUIRE(p.firmware.map.add(phys_range::between(0x1ff'f800_pa, 0x1ff'ffff_pa), region_kind::reserved));
    REQUIRE(p.firmware.map.add(phys_range::between(0x1ff'e000_pa, 0x1ff'efff_pa), region_kind::reserved));
    entries = all;
    entries.back() = {0x140'1000, 0x17f'ffff, true};
    entries.push_back({0x180'0000, 0x180'2fff, false});
    entries.push_back({0x180'3000, 0x1ff'dfff, true});
    entries.push_back({0x1ff'e000, 0x1ff'ffff, false});
    CHECK(said(entries) == no_fault);
}

TEST_CASE("entries that are not in order, or share a byte", "[plan][told_rules]")
{
    sound_plan p;
    auto entries = all;
    std::swap(entries[3], entries[4]);
    CHECK(verdict(p, entries) == at_entry);
    CHECK(verdict(p, with(1, {0x40'5fff, 0x40'6fff, false})) == at_entry);
    CHECK(verdict(p, with(1, {0x40'6000, 0x40'7000, false})) == at_entry);
    entries = all;
    entries.push_back({0x200'0000, ~std::uint64_t{0}, false});
    entries.push_back({~std::uint64_t{0}, ~std::uint64_t{0}, false}); // nothing lies behind the last byte
    CHECK(verdict(p, entries) == at_entry);
    entries.back() = {0, 0xfff, false};
    CHECK(verdict(p, entries) == at_entry);
}

TEST_CASE("what is told as usable and is not", "[plan][told_rules]")
{
    sound_plan p;
    CHECK(verdict(p, with(0, {0, 0x40'6000, true})) == at_entry); // a byte of what survives
    CHECK(verdict(p, with(2, {0x40'6fff, 0xbf'ffff, true})) == at_entry);
    CHECK(verdict(p, with(2, {0x40'7000, 0xc0'0000, true})) == at_entry); // of a page of the exec
    CHECK(verdict(p, with(3, {0xc0'0000, 0xc0'0fff, true})) == at_entry);
    CHECK(verdict(p, with(12, {0x140'1000, 0x200'0000, true})) == at_entry); // behind the end of memory
    REQUIRE(p.firmware.map.add(phys_range::of(0x1234_pa, 1_bytes), region_kind::acpi_nvs));
    CHECK(verdict(p, all) == at_entry);
}

TEST_CASE("what is left out", "[plan][told_rules]")
{
    sound_plan p;
    for (std::size_t i = 0; i < all.size(); ++i) {
        CAPTURE(i);
        auto entries = all;
        entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(i));
        CHECK(verdict(p, entries) == at_end);
    }
    CHECK(verdict(p, with(0, {1, 0x40'5fff, true})) == at_end); // a single byte, usable or safe
    CHECK(verdict(p, with(0, {0, 0x40'5ffe, true})) == at_end);
    CHECK(verdict(p, with(1, {0x40'6001, 0x40'6fff, false})) == at_end);
    CHECK(verdict(p, with(5, {0xc0'4000, 0xc0'6ffe, false})) == at_end);
    CHECK(verdict(p, with(4, {0xc0'3000, 0xc0'3fff, false})) == at_end); // usable, and told as reserved
    CHECK(verdict(p, {}) == at_end);
    REQUIRE(p.firmware.map.add(phys_range::of(0x1234_pa, 2_bytes), region_kind::reserved)); // told, or it is refused
    auto entries = all;
    entries.erase(entries.begin());
    entries.insert(entries.begin(), {{0, 0x1233, true}, {0x1234, 0x1235, false}, {0x1236, 0x40'5fff, true}});
    CHECK(verdict(p, entries) == no_fault);
    entries[1].last = 0x1234;
    CHECK(verdict(p, entries) == at_end);
}

TEST_CASE("what an image finds one to one", "[plan][told_rules]")
{
    sound_plan p;
    const auto said = [&](phys_range r) {
        const auto context = p.context();
        return fault_of(rules::one_to_one<sound_plan::paging>(context, r, true));
    };
    const phys_range kernel = phys_range::of(sound_plan::kernel, x86::page_size);
    const virt_addr at = virt_addr::at(sound_plan::kernel.raw());
    CHECK(said(kernel) == no_fault);
    CHECK(said(phys_range::of(sound_plan::running_root, x86::page_size)) ==
        refused(fault_code::not_mapped, sound_plan::running_root));
    const std::uint32_t good = p.directory_entry(p.plan.entry_root, at);
    REQUIRE((good & 0x80) != 0); // a page of 4 MB
    const phys_range behind_the_log = phys_range::of(sound_plan::log, byte_count::of(0x40'0001));
    CHECK(said(behind_the_log) == refused(fault_code::not_mapped, 0x180'0000_pa));
    p.set_directory_entry(p.plan.entry_root, at, 0);
    CHECK(said(kernel) == refused(fault_code::not_mapped, sound_plan::kernel));
    p.set_directory_entry(p.plan.entry_root, at, 0x40'0081);
    CHECK(said(kernel) == refused(fault_code::not_writable, sound_plan::kernel));
    p.set_directory_entry(p.plan.entry_root, at, 0x80'0083);
    CHECK(said(kernel) == refused(fault_code::not_mapped, sound_plan::kernel));
    p.set_directory_entry(p.plan.entry_root, at, 0x40'0083);
    CHECK(said(kernel) == no_fault);
    p.plan.entry_root = sound_plan::frame; // the tables of the image, not of the copy
    CHECK(said(kernel) == refused(fault_code::not_mapped, sound_plan::kernel));
}
