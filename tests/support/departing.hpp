// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A kernel about to leave, for the tests of the x86 port: tables, descriptors in two pages that lie apart, pieces of
/// code that are told by their sizes, and the pages of the switch.

#include <cstring>
#include <map>

#include <lobos/x86/port.hpp>

#include <tests/support/paging_modes.hpp>

namespace lobos::test {

/// A page in tables of any mode, by the manual's numbers.
template <class Paging>
void map_page(byte_memory& memory, std::uint64_t& next_table, std::uint64_t root, std::uint64_t v, std::uint64_t to,
    std::uint64_t bits = 2)
{
    using mode = manual<Paging>;
    using word = Paging::word;
    std::uint64_t table = root;
    const auto slot = [&](unsigned level) {
        const std::uint64_t words = mode::table_size / sizeof(word);
        return phys_addr::at(table + v / mode::span[level] % words * sizeof(word));
    };
    for (unsigned level = mode::levels - 1; level > 0; --level) {
        if ((load<word>(memory, slot(level)) & 1) == 0) {
            const bool says = level < rights_levels<Paging>();
            store(memory, slot(level), static_cast<word>(next_table | (says ? 3u : 1u)));
            next_table += mode::table_size;
        }
        table = load<word>(memory, slot(level)) & ~std::uint64_t{0xfff};
    }
    store(memory, slot(0), static_cast<word>(to | bits | 1));
}

template <class Paging, class Entry = Paging> struct departing {
    static constexpr bool is_64 = Paging::levels >= 4;
    static constexpr std::uint64_t kernel = is_64 ? 0xffff'8000'c000'0000 : 0xc000'0000;
    static constexpr std::uint64_t code_alias = kernel + 0x71'0000;
    static constexpr std::uint64_t frame_alias = kernel + 0x73'0000;
    static constexpr std::uint64_t stack_alias = kernel + 0x75'0000;
    using entry_paging = Entry;

    byte_memory memory{0x8'0000};
    std::uint64_t next_table = 0x2'4000;
    x86::machine_facts running{.table_root = 0x2'0000_pa,
        .descriptors = {virt_addr::at(kernel + 0x2ff4), 6 * 8 - 1}, // the second entry lies across the end of its page
        .cr0 = 0x8005'0033,
        .cr4 = 0x90,
        .code_selector = 0x10,
        .data_selector = 0x18};
    exec_plan plan{};
    x86::route way{};
    x86::entry_registers values{.ax = 0x2bad'b002, .bx = 0x1111'2222, .si = 0x3333'4444};
    x86::reset_register reset{0xcf9, 6};
    overlay_program program{};
    std::vector<bytes> code = std::vector<bytes>(x86::pieces);

    explicit departing(x86::entry_state state, copy_regime regime = copy_regime::paged,
        x86::paging_mode entered_in = x86::paging_mode::none, bool same_tables = false)
        : way{*x86::route_to(state, regime, is_64, same_tables)}
    {
        way.entered = entered_in;
        if (Paging::levels >= 3)
            running.cr4 = 0xa0;
        if (is_64)
            running.efer = 0xd01;
        if (Paging::levels == 5)
            running.cr4 |= 0x1000;
        const std::uint64_t code_word = is_64 ? 0x00af'9a00'0000'ffff : 0x00cf'9a00'0000'ffff;
        const std::uint64_t words[] = {0xdead'dead'dead'dead, 0x00cf'fa00'0000'ffff, code_word, 0x00cf'9200'0000'ffff,
            0x0000'8900'1000'0067, 0x1122'3344'5566'7788};
        bytes table(sizeof words);
        std::memcpy(table.data(), words, sizeof words);
        memory.write(0x9ff4_pa, std::span{table}.first(12));
        memory.write(0xb000_pa, std::span{table}.subspan(12));
        for (std::size_t i = 0; i < x86::pieces; ++i)
            code[i] = bytes(i >= 11 ? 0xb0 : 0x20 + i, static_cast<std::byte>(0x10 + i));

        plan.code = 0x1'0000_pa;
        plan.stack = 0x1'1000_pa;
        plan.frame = 0x1'2000_pa;
        plan.program = 0x1'2148_pa;
        plan.mode_pages = {0x1'3000_pa, 0x1'4000_pa};
        plan.mode_page_count = (way.hub ? 1u : 0u) + (way.state == x86::entry_state::long_64 ? 1u : 0u);
        plan.running_root = running.table_root;
        plan.new_root = 0x2'1000_pa;
        plan.entry_root = way.up ? 0x2'2000_pa : 0x2'1000_pa;
        plan.switch_page = virt_addr::at(code_alias);
        plan.regime = regime;
        plan.entry = 0x10'0020_va;
        plan.entered_paged = state == x86::entry_state::as_running || state == x86::entry_state::paged_32 ||
            state == x86::entry_state::long_64;
        program.first_page = 0x1'5000;
        program.trail = overlay_program::no_trail;
        program.skip_count = 1;
        program.skips[0] = {0x1'6000, 0x1'6fff};

        map<Paging>(0x2'0000, kernel + 0x2000, 0x9000);
        map<Paging>(0x2'0000, kernel + 0x3000, 0xb000);
        for (const std::uint64_t root : {0x2'0000u, 0x2'1000u}) {
            map<Paging>(root, code_alias, 0x1'0000);
            map<Paging>(root, frame_alias, 0x1'2000);
            map<Paging>(root, stack_alias, 0x1'1000);
        }
        for (const std::uint64_t page : {0x1'0000u, 0x1'1000u, 0x1'2000u})
            map<Paging>(0x2'1000, page, page);
        const auto into = [&]<class T>(std::uint64_t root) {
            return [this, root](const mapping& m) -> result<void> {
                // A mode of large pages asks for more than the page in question; what this memory has is enough.
                const std::uint64_t size = std::min<std::uint64_t>(m.virtual_range.size().raw(), 0x8'0000);
                for (std::uint64_t i = 0; i < size; i += 0x1000)
                    map<T>(root, m.virtual_range.first().raw() + i, m.physical.raw() + i);
                return {};
            };
        };
        auto copy = into.template operator()<Paging>(0x2'1000);
        (void)x86::port<Paging>::map_for_copy(way, plan, copy);
        if (way.up) {
            auto entry = into.template operator()<Entry>(0x2'2000);
            (void)x86::port<Paging>::template map_for_entry<Entry>(way, plan, entry);
        }
    }

    template <class T> void map(std::uint64_t root, std::uint64_t v, std::uint64_t to, std::uint64_t bits = 2)
    {
        map_page<T>(memory, next_table, root, v, to, bits);
    }
    result<void> write()
    {
        x86::overlay_code parts{};
        for (std::size_t i = 0; i < x86::pieces; ++i)
            parts.parts[i] = code[i];
        const departure_aliases aliases{
            virt_addr::at(code_alias), virt_addr::at(frame_alias), virt_addr::at(stack_alias)};
        x86::frame_writer<Paging, byte_memory> writer{memory, plan, way, aliases, running};
        if (const auto put = writer.put_code(parts); !put)
            return put;
        return writer.put_tables(values, program, reset);
    }
    result<void> sound()
    {
        const memory_map nothing{};
        const verifier_context<byte_memory> context{plan, nothing.map, memory, {}, 1};
        return x86::port<Paging>::template departure_is_sound<Entry>(context);
    }
    std::uint64_t at(std::uint64_t address, unsigned width = 8)
    {
        bytes out(width);
        memory.read(phys_addr::at(address), out);
        return peek(out, 0, width);
    }
    std::uint64_t field(std::uint64_t offset, unsigned width = 8) { return at(0x1'2000 + offset, width); }
    void poke(std::uint64_t address, unsigned width, std::uint64_t value)
    {
        bytes out(width);
        patch(out, 0, width, value);
        memory.write(phys_addr::at(address), out);
    }
};

/// Where the pieces of `on_the_way` lie when they are put behind a head of 32 bytes one after another.
inline std::map<x86::piece, std::uint64_t> places_of(std::initializer_list<x86::piece> on_the_way)
{
    std::map<x86::piece, std::uint64_t> places;
    std::uint64_t next = 0x1'0020;
    for (const x86::piece p : on_the_way) {
        places[p] = next;
        const auto i = static_cast<std::uint64_t>(p);
        next += i >= 11 ? 0xb0 : 0x20 + i;
    }
    return places;
}

} // namespace lobos::test
