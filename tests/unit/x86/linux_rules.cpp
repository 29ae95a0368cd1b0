// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/linux_rules.hpp>

#include <tests/support/told_linux.hpp>

using namespace lobos;
using namespace lobos::test;
using namespace lobos::x86;

namespace {

/// The chain of setup data: the seed, and behind it entries of the map.
constexpr phys_addr seed_node = 0x30'2000_pa, first_node = 0x30'2030_pa;

template <class Contract, class T> fault with_node(phys_addr at, T value)
{
    linux_told what = everything();
    what.efi.reset(); // whose map would lie behind
    told_linux<Contract> told{what};
    REQUIRE(load<::setup_data>(told.memory, seed_node).next == first_node.raw());
    REQUIRE(load<::setup_data>(told.memory, first_node).next == 0);
    store(told.memory, at, value);
    return told.verdict();
}

} // namespace

TEMPLATE_LIST_TEST_CASE("what the contracts write is what Linux relies on", "[x86][linux_rules]", all_entries)
{
    CHECK(told_linux<TestType>{}.verdict() == no_fault);
    CHECK(told_linux<TestType>{{.initrd = 0}}.verdict() == no_fault);
    CHECK(told_linux<TestType>{{.command_line = ""}}.verdict() == no_fault);
    CHECK(told_linux<TestType>{{.command_line = std::string(2047, 'x')}}.verdict() == no_fault);
    CHECK(told_linux<TestType>{{.seed = true}}.verdict() == no_fault);
    CHECK(told_linux<TestType>{{.holes = 80}}.verdict() == no_fault);
    CHECK(told_linux<TestType>{everything()}.verdict() == no_fault);
}

TEMPLATE_LIST_TEST_CASE("the memory that the kernel takes", "[x86][linux_rules]", both_entries)
{
    constexpr phys_addr init_size = 0x30'0260_pa, pref_address = 0x30'0258_pa;
    constexpr phys_range kernel = phys_range::of(0x100'0000_pa, 8_MiB);
    SECTION("is usable, to its last byte")
    {
        told_linux<TestType> told;
        REQUIRE(told.image.kernel == kernel);
        REQUIRE(told.map.map.add(phys_range::of(kernel.last(), 1_bytes), region_kind::reserved));
        CHECK(told.verdict() == broken_at(init_size));
    }
    SECTION("holds no safe region")
    {
        told_linux<TestType> told;
        told.safe.push_back({phys_range::of(kernel.last(), 1_bytes), safe_role::bounce});
        CHECK(told.verdict() == broken_at(init_size));
        told.safe.back() = {phys_range::of(kernel.first(), x86::page_size), safe_role::bounce};
        CHECK(told.verdict() == broken_at(init_size));
    }
    SECTION("holds the kernel, and nothing else of the image")
    {
        told_linux<TestType> told;
        std::vector<segment> parts{told.image.segments.begin(), told.image.segments.end()};
        parts.push_back({.destination = phys_range::of(kernel.last() + 1_bytes, 1_bytes)});
        told.plan.image = parts;
        CHECK(told.verdict() == broken_at(init_size));
        parts.back() = {.destination = phys_range::of(kernel.last(), 1_bytes), .role = segment_role::module};
        CHECK(told.verdict() == broken_at(init_size));
        parts.back().destination = phys_range::of(kernel.last() + 1_bytes, 1_bytes);
        CHECK(told.verdict() == no_fault);
    }
    SECTION("is where it stays")
    {
        told_linux<TestType> told;
        // The loader's own header, and what lies in memory, say the same; the place is another.
        const auto both = [&](std::size_t field, auto value) {
            set_field(told.image.header, field, value);
            told.put(field, value);
        };
        both(lobos::setup_header::pref_address, std::uint64_t{0x100'1000});
        CHECK(told.verdict() == broken_at(pref_address));
        both(lobos::setup_header::pref_address, std::uint64_t{0x80'0000});
        CHECK(told.verdict() == no_fault);
        both(lobos::setup_header::relocatable_kernel, std::uint8_t{0});
        CHECK(told.verdict() == broken_at(pref_address));
        both(lobos::setup_header::relocatable_kernel, std::uint8_t{1});
        both(lobos::setup_header::kernel_alignment, std::uint32_t{0x200'0000});
        CHECK(told.verdict() == broken_at(pref_address));
        both(lobos::setup_header::kernel_alignment, std::uint32_t{0x30'0000});
        CHECK(told.verdict() == broken_at(pref_address));
        both(lobos::setup_header::kernel_alignment, std::uint32_t{0x100'0000});
        CHECK(told.verdict() == no_fault);
        both(lobos::setup_header::init_size, std::uint32_t{0});
        CHECK(told.verdict() == broken_at(init_size));
        both(lobos::setup_header::init_size, std::uint32_t{0x7f'ffff}); // not all of its scratch
        CHECK(told.verdict() == broken_at(init_size));
    }
    SECTION("begins where the entry says")
    {
        told_linux<TestType> told;
        told.plan.entry = told.plan.entry + 0x1000_bytes;
        CHECK(told.verdict() != no_fault);
        constexpr std::uint32_t other = 0x100'0200;
        CHECK(with<TestType>(0x214, other) == broken_at(0x30'0214_pa));
    }
}

TEST_CASE("a vmlinux is entered anywhere in its memory", "[x86][linux_rules]")
{
    told_linux<vmlinux64_entry> told;
    CHECK(told.plan.entry == 0x100'0010_va);
    told.plan.entry = virt_addr::at(told.image.kernel.last().raw());
    CHECK(told.verdict() == no_fault);
    told.plan.entry = told.plan.entry + 1_bytes;
    CHECK(told.verdict() == broken_at(0x30'0258_pa));
    told.plan.entry = 0xff'ffff_va;
    CHECK(told.verdict() == broken_at(0x30'0258_pa));
}

TEMPLATE_LIST_TEST_CASE("the command line", "[x86][linux_rules]", all_entries)
{
    SECTION("is what was asked for, every byte and the terminator")
    {
        told_linux<TestType> told;
        const std::size_t size = told.what.command_line.size();
        for (std::size_t i = 0; i <= size; ++i) {
            const phys_addr at = told.line() + byte_count::of(i);
            const char good = load<char>(told.memory, at);
            store(told.memory, at, static_cast<char>(good ^ 1));
            CAPTURE(i);
            CHECK(told.verdict() == broken_at(at));
            store(told.memory, at, good);
        }
        store(told.memory, told.line() + byte_count::of(size + 1), 'x'); // nobody reads that far
        CHECK(told.verdict() == no_fault);
    }
    SECTION("lies in the parameters, within reach, beside the page")
    {
        CHECK(with<TestType>(0x228, std::uint32_t{0x20'0000}) == not_safe(0x20'0000_pa));
        CHECK(with<TestType>(0x228, std::uint32_t{0x30'1fff}) == not_safe(0x30'1fff_pa));
        CHECK(with<TestType>(0xc8, std::uint32_t{1}) == out_of_reach(0x1'0030'1000_pa));
        CHECK(with<TestType>(0x228, std::uint32_t{0x30'0000}) == broken_at(0x30'0228_pa));
        CHECK(with<TestType>(0x228, std::uint32_t{0x30'0fff}) == broken_at(0x30'0228_pa));
    }
    SECTION("is as long as the kernel reads")
    {
        told_linux<TestType> told{{.command_line = std::string(100, 'x')}};
        for (const std::uint32_t most : {100u, 99u}) {
            set_field(told.image.header, lobos::setup_header::cmdline_size, most);
            told.put(0x238, most);
            CHECK(told.verdict() == (most == 100 ? no_fault : broken_at(0x30'0228_pa)));
        }
    }
}

TEMPLATE_LIST_TEST_CASE("the initrd", "[x86][linux_rules]", all_entries)
{
    constexpr phys_addr at = 0x30'0218_pa, size = 0x30'021c_pa;
    CHECK(with<TestType>(0x218, std::uint32_t{0x200'0000}) == broken_at(at));
    CHECK(with<TestType>(0xc0, std::uint32_t{1}) == broken_at(at));
    CHECK(with<TestType>(0x21c, std::uint32_t{4999}) == broken_at(size));
    CHECK(with<TestType>(0xc4, std::uint32_t{1}) == broken_at(size));
    CHECK(with<TestType>(0x21c, std::uint32_t{1}, {.initrd = 0}) == broken_at(at));
    CHECK(with<TestType>(0x218, std::uint32_t{0x200'0000}, {.initrd = 0}) == broken_at(at));
    told_linux<TestType> told;
    const auto last = static_cast<std::uint32_t>(told.image.initrd->last().raw());
    for (const std::uint32_t most : {last, last - 1}) {
        set_field(told.image.header, lobos::setup_header::initrd_addr_max, most);
        told.put(0x22c, most);
        CHECK(told.verdict() == (most == last ? no_fault : broken_at(0x30'022c_pa)));
    }
}

TEMPLATE_LIST_TEST_CASE("the memory map", "[x86][linux_rules]", all_entries)
{
    constexpr phys_addr count = 0x30'01e8_pa;
    constexpr std::size_t table = 0x2d0, entry = 20;
    const auto at = [](std::size_t i) { return broken_at(0x30'0000_pa + byte_count::of(table + entry * i)); };
    told_linux<TestType> told;
    const std::size_t entries = told.params().e820_entries;
    REQUIRE(entries == 10);
    SECTION("leaves nothing out")
    {
        told.put(0x1e8, std::uint8_t{9});
        for (std::size_t i = 0; i < entry; ++i)
            told.put(table + 9 * entry + i, std::uint8_t{0});
        CHECK(told.verdict() == broken_at(count));
    }
    SECTION("has entries of a size, that do not wrap, of a type")
    {
        told.put(table + 8, std::uint64_t{0});
        CHECK(told.verdict() == at(0));
        told.put(table + 8, ~std::uint64_t{0});
        CHECK(told.verdict() == at(0));
        told.put(table + 8, std::uint64_t{0xa'0000});
        for (const std::uint32_t type : {0u, 6u, 0xffff'ffffu}) {
            told.put(table + 16, type);
            CHECK(told.verdict() == at(0));
        }
    }
    SECTION("calls nothing usable that is not")
    {
        // 0: low memory; 1: the BIOS; 2, 4 and 6: memory around the code in 3 and the parameters in 5.
        for (const std::size_t i : {1u, 3u, 5u, 7u, 8u}) {
            told_linux<TestType> other;
            other.put(table + entry * i + 16, std::uint32_t{1});
            CAPTURE(i);
            CHECK(other.verdict() == at(i));
        }
    }
    SECTION("calls nothing ACPI's that is not")
    {
        CHECK(told.template get<std::uint32_t>(table + entry * 7 + 16) == 3);
        CHECK(told.template get<std::uint32_t>(table + entry * 8 + 16) == 4);
        for (const std::uint32_t type : {3u, 4u, 5u}) {
            told.put(table + entry * 1 + 16, type);
            CHECK(told.verdict() == at(1));
        }
        told.put(table + entry * 1 + 16, std::uint32_t{2});
        told.put(table + entry * 8 + 16, std::uint32_t{3}); // would be taken for free memory
        CHECK(told.verdict() == at(8));
    }
    SECTION("is in order")
    {
        const auto first = told.template get<e820_entry>(table);
        told.put(table, told.template get<e820_entry>(table + entry));
        told.put(table + entry, first);
        CHECK(told.verdict() == at(1));
    }
}

TEMPLATE_LIST_TEST_CASE("the chain of setup data", "[x86][linux_rules]", all_entries)
{
    CHECK(with_node<TestType>(seed_node, std::uint64_t{0}) == broken_at(0x30'01e8_pa)); // the map's rest is left out
    CHECK(with_node<TestType>(seed_node, seed_node.raw()) != no_fault);                 // goes round
    CHECK(with_node<TestType>(first_node, first_node.raw()) != no_fault);
    CHECK(with_node<TestType>(first_node, std::uint64_t{0x20'0000}) == not_safe(0x20'0000_pa));
    CHECK(with_node<TestType>(first_node, std::uint64_t{0x30'2ff8}) == not_safe(0x30'2ff8_pa));
    CHECK(with_node<TestType>(first_node, std::uint64_t{0x1'0000'0000}) == out_of_reach(0x1'0000'0000_pa));
    CHECK(with_node<TestType>(first_node, ~std::uint64_t{0}) == out_of_reach(phys_addr::at(~std::uint64_t{0})));
    CHECK(with_node<TestType>(first_node, std::uint64_t{0x30'0f00}) == broken_at(0x30'0f00_pa)); // in the page
    CHECK(with_node<TestType>(first_node, std::uint64_t{0x30'1000}) != no_fault);                // the command line
    CHECK(with_node<TestType>(seed_node + 12_bytes, std::uint32_t{0x1000}) == not_safe(seed_node));
    for (const std::uint32_t size : {0xffff'fff0u, 0xffff'fff1u, 0xffff'ffffu}) // with its head, beyond 32 bits
        CHECK(with_node<TestType>(seed_node + 12_bytes, size) == out_of_reach(seed_node));
    CHECK(with_node<TestType>(first_node + 12_bytes, std::uint32_t{0}) == broken_at(first_node));
    CHECK(with_node<TestType>(first_node + 12_bytes, std::uint32_t{21}) == broken_at(first_node));
    CHECK(with_node<TestType>(first_node + 12_bytes, std::uint32_t{20}) == broken_at(0x30'01e8_pa));
    CHECK(with_node<TestType>(first_node + 8_bytes, std::uint32_t{9}) == broken_at(0x30'01e8_pa));
    CHECK(with_node<TestType>(first_node + 16_bytes, std::uint64_t{0}) == broken_at(first_node + 16_bytes));
    told_linux<TestType> told{{.seed = true}};
    store(told.memory, seed_node + 8_bytes, std::uint32_t{0x1234}); // a type of later kernels
    CHECK(told.verdict() == no_fault);
    store(told.memory, seed_node, seed_node.raw());
    CHECK(told.verdict() == broken_at(seed_node));
}

TEMPLATE_LIST_TEST_CASE("a node lies beside what else is told", "[x86][linux_rules]", all_entries)
{
    told_linux<TestType> told{{.seed = true, .efi = firmware}};
    const phys_addr map = phys_addr::at(told.template get<std::uint32_t>(0x1d0));
    const byte_count map_size = byte_count::of(told.template get<std::uint32_t>(0x1d4));
    REQUIRE(told.verdict() == no_fault);
    REQUIRE(load<::setup_data>(told.memory, seed_node).next == 0);
    SECTION("the EFI memory map")
    {
        REQUIRE(map > seed_node + 16_bytes);
        const auto size = static_cast<std::uint32_t>((map - seed_node).raw()) - 16;
        store(told.memory, seed_node + 12_bytes, size);
        CHECK(told.verdict() == no_fault);
        store(told.memory, seed_node + 12_bytes, size + 1);
        CHECK(told.verdict() == broken_at(seed_node));
        store(told.memory, seed_node + 12_bytes, std::uint32_t{32});
        const phys_addr last = map + map_size - 8_bytes; // the end of a descriptor, which nobody looks at
        store(told.memory, last, std::uint64_t{0});
        store(told.memory, seed_node, last.raw());
        CHECK(told.verdict() == broken_at(last));
        store(told.memory, seed_node, (map + map_size).raw());
        CHECK(told.verdict() == no_fault);
    }
    SECTION("the command line")
    {
        const phys_addr end = told.line() + byte_count::of(told.what.command_line.size());
        store(told.memory, seed_node, end.raw()); // its terminator
        CHECK(told.verdict() == broken_at(end));
        store(told.memory, seed_node, (end + 1_bytes).raw());
        CHECK(told.verdict() == no_fault);
    }
}

TEMPLATE_TEST_CASE("what 64-bit code finds one to one", "[x86][linux_rules]", linux64_entry, vmlinux64_entry)
{
    told_linux<TestType> told{everything()};
    /// The entry for an address, on the level of 4 KB or of 2 MB pages.
    const auto slot = [&](std::uint64_t v, unsigned level) {
        phys_addr table = told.plan.entry_root;
        for (unsigned l = 3;; --l) {
            const phys_addr at = table + byte_count::of((v >> (12 + 9 * l) & 0x1ff) * 8);
            if (l == level)
                return at;
            table = phys_addr::at(load<std::uint64_t>(told.memory, at) & 0xf'ffff'ffff'f000);
        }
    };
    const auto said = [&](std::uint64_t v, unsigned level, std::uint64_t flip) {
        const phys_addr at = slot(v, level);
        const auto good = load<std::uint64_t>(told.memory, at);
        REQUIRE((good & 1) != 0);
        store(told.memory, at, good ^ flip);
        const fault f = told.verdict();
        store(told.memory, at, good);
        return f;
    };
    const auto unmapped = [](std::uint64_t at) { return fault{fault_code::not_mapped, stage::verifying, at}; };
    const auto read_only = [](std::uint64_t at) { return fault{fault_code::not_writable, stage::verifying, at}; };
    const bool large = told.image.kernel.size() == 8_MiB;
    const std::uint64_t last = large ? 0x160'0000 : 0x100'3000;
    const unsigned level = large ? 1 : 0;
    constexpr std::uint64_t no_execute = std::uint64_t{1} << 63;
    for (const std::uint64_t at : {std::uint64_t{0x100'0000}, last}) {
        CHECK(said(at, level, 1) == unmapped(at));
        CHECK(said(at, level, 2) == read_only(at));
        CHECK(said(at, level, 0x400'0000) == unmapped(at));
        CHECK(said(at, level, no_execute) == fault{fault_code::not_executable, stage::verifying, at});
    }
    for (const std::uint64_t at : {0x30'0000u, 0x30'1000u, 0x30'2000u, 0u, 0x9'f000u}) {
        CHECK(said(at, 0, 1) == unmapped(at));
        CHECK(said(at, 0, 2) == read_only(at));
        CHECK(said(at, 0, 0x1000) == unmapped(at));
        CHECK(said(at, 0, no_execute) == no_fault);
    }
}
