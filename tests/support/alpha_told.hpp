// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A Linux about to be entered on an Alpha, for the tests of its contract: a machine of 256 MiB as QEMU's console
/// describes it, safe pages at 64 MiB, tables, and what Linux is told, all made by hand. Tests break one thing at a
/// time.
///
///     0x100'0000  what Linux takes below it; its page of parameters at 0x100'a000
///     0x101'0000  a small kernel, up to 0x101'4044, and what it takes behind, up to 0x101'9fff
///     0x400'0000  code, stack, frame, bounce page, a page of steps
///     0x401'0000  four tables
///     0x402'0000  the HWRPB, and what will lie in the page of parameters
///     0x403'0000  a log that survives
///     0xfff'e000  an initrd of 5,000 bytes

#include <string_view>
#include <vector>

#include <lobos/alpha/linux_rules.hpp>

#include <tests/support/alpha_tables.hpp>
#include <tests/support/hwrpb_builder.hpp>
#include <tests/support/sparse_memory.hpp>

namespace lobos::test {

struct alpha_told {
    using context_type = verifier_context<sparse_memory>;

    static constexpr std::uint64_t start = 0x101'0000, kernel_last = 0x101'4044;
    static constexpr std::uint64_t below = 0x100'0000, page_place = 0x100'a000, behind_last = 0x101'9fff;
    static constexpr std::uint64_t code = 0x400'0000, root = 0x401'0000, hwrpb = 0x402'0000, page = 0x402'2000,
                                   log = 0x403'0000, initrd_at = 0xfff'e000;
    static constexpr std::uint64_t initrd_size = 5000;
    static constexpr std::uint64_t hwrpb_home = 0x1000'0000, piece_home = 0x2000'0000, piece = 0x1'4000;
    static constexpr std::uint64_t vptb_entry = root + 1023 * 8, linux_vptb_entry = root + 8;

    // The console's procedure for a move, in its piece of memory.
    static constexpr std::uint64_t fixup = piece_home + 0x10, fixup_code = piece_home + 0x2100;

    // Offsets in the HWRPB.
    static constexpr std::size_t clusters = console_block::clusters, cluster_count = 10;
    static constexpr std::size_t callback = clusters + cluster_count * console_block::cluster_size;
    static constexpr std::size_t pieces = callback + 48;
    static constexpr std::size_t end = pieces + 2 * 24;

    /// As the block says who has which pages. Only the lowest two bits of the last number are Linux's to read.
    struct told_cluster {
        std::uint64_t first, pages, usage;
    };
    static constexpr told_cluster all_clusters[cluster_count] = {{0, 15, 1}, {15, 0x2000 - 15, 0},
        {0x2000, 5, 0x6c6f'6253'0000'0001}, {0x2005, 3, 0}, {0x2008, 4, 0x6c6f'6253'0000'0001}, {0x200c, 4, 0},
        {0x2010, 2, 0x6c6f'6253'0000'0001}, {0x2012, 6, 0}, {0x2018, 1, 0x6c6f'6254'0000'0001},
        {0x2019, 0x8000 - 0x2019, 0}};

    sparse_memory memory;
    memory_map map{{from_to(0, 0x1'dfff), region_kind::reserved}, {from_to(0x1'e000, 0xfff'ffff), region_kind::usable},
        {from_to(log, log + 0x1fff), region_kind::surviving}};
    std::vector<safe_region> safe{{pages_at(code, 1), safe_role::code}, {pages_at(code + 0x2000, 1), safe_role::stack},
        {pages_at(code + 0x4000, 1), safe_role::frame}, {pages_at(code + 0x6000, 1), safe_role::bounce},
        {pages_at(code + 0x8000, 1), safe_role::plan}, {pages_at(root, 4), safe_role::page_table},
        {pages_at(hwrpb, 2), safe_role::parameters}, {pages_at(log, 1), safe_role::log}};
    std::vector<extent> parameter_pages{{phys_addr::at(hwrpb), 8_KiB}, {phys_addr::at(page), 8_KiB}};
    enum segment_index : std::uint8_t { text, data, bss, under_the_page, over_the_page, behind, told_page, initrd };
    std::vector<segment> image{
        {.destination = from_to(start, start + 0x122)},
        {.destination = from_to(start + 0x2000, start + 0x2044)},
        {.destination = from_to(start + 0x2045, kernel_last), .what = content::zero},
        {.destination = from_to(below, page_place - 1), .what = content::scratch},
        {.destination = from_to(page_place + 0x2000, start - 1), .what = content::scratch},
        {.destination = from_to(kernel_last + 1, behind_last), .what = content::scratch},
        {.destination = pages_at(page_place, 1), .file = parameter_pages, .file_offset = 8_KiB},
        {.destination = from_to(initrd_at, initrd_at + initrd_size - 1), .role = segment_role::initrd},
    };
    console_block block;
    std::uint64_t next_table = root + 0x2000;
    exec_plan plan{};

    alpha_told()
    {
        plan.page = 8_KiB;
        plan.entry = virt_addr::at(alpha_kseg + start);
        plan.entered_paged = true;
        plan.new_root = plan.entry_root = phys_addr::at(root);
        make_block();
        make_tables();
        make_page("console=ttyS0");
    }
    alpha_told(const alpha_told&) = delete;

    static constexpr phys_range from_to(std::uint64_t first, std::uint64_t last)
    {
        return phys_range::between(phys_addr::at(first), phys_addr::at(last));
    }
    static constexpr phys_range pages_at(std::uint64_t first, std::uint64_t pages)
    {
        return phys_range::of(phys_addr::at(first), byte_count::of(pages * alpha_page));
    }

    fault verdict()
    {
        plan.safe = safe;
        plan.image = image;
        const context_type context{plan, map.map, memory, {}, 1};
        return fault_of(alpha::linux_rules<context_type>{context}.hold());
    }

    std::uint64_t at(std::uint64_t address) { return load<std::uint64_t>(memory, phys_addr::at(address)); }
    void poke(std::uint64_t address, std::uint64_t value) { store(memory, phys_addr::at(address), value); }

    /// Where it belongs in the list.
    void add_safe(const safe_region& r)
    {
        const auto next =
            std::ranges::find_if(safe, [&](const safe_region& other) { return other.range.first() > r.range.first(); });
        safe.insert(next, r);
    }

    /// A field of the HWRPB, with all sums right.
    alpha_told& tell(std::size_t offset, std::uint64_t value)
    {
        block.set(offset, value);
        put_block();
        return *this;
    }
    alpha_told& tell_cluster(std::size_t n, std::uint64_t first, std::uint64_t pages, std::uint64_t usage)
    {
        block.cluster(n, first, pages, usage);
        put_block();
        return *this;
    }
    /// The answer when the HWRPB says something else, which it does not afterwards.
    fault when_told(std::size_t offset, std::uint64_t value)
    {
        const console_block was = block;
        const fault answer = tell(offset, value).verdict();
        block = was;
        put_block();
        return answer;
    }
    fault when_told_cluster(std::size_t n, std::uint64_t first, std::uint64_t pages, std::uint64_t usage)
    {
        const console_block was = block;
        const fault answer = tell_cluster(n, first, pages, usage).verdict();
        block = was;
        put_block();
        return answer;
    }
    /// The answer when another quadword lies in memory, which it does not afterwards.
    fault when(std::uint64_t address, std::uint64_t value)
    {
        const std::uint64_t was = at(address);
        poke(address, value);
        const fault answer = verdict();
        poke(address, was);
        return answer;
    }
    /// The answer when the tables have another entry for the page at `v`.
    fault when_mapped(std::uint64_t v, std::uint64_t to, std::uint64_t bits = 0x1101)
    {
        const sparse_memory was = memory;
        map_alpha_page(memory, next_table, root, v, to, bits);
        const fault answer = verdict();
        memory = was;
        return answer;
    }

private:
    void make_block()
    {
        block.block.resize(static_cast<std::size_t>(alpha_page));
        block.set(0, hwrpb).set(24, end).set(192, callback).set(console_block::memory + 16, cluster_count);
        for (std::size_t n = 0; n < cluster_count; ++n)
            block.cluster(n, all_clusters[n].first, all_clusters[n].pages, all_clusters[n].usage);
        block.set(callback + 16, fixup);
        poke(piece + 0x18, fixup_code);
        block.set(callback + 32, 2); // one piece that needs tables, and one in kseg
        block.set(pieces, piece_home).set(pieces + 8, piece).set(pieces + 16, 2);
        block.set(pieces + 24, alpha_kseg + 0x1'8000).set(pieces + 32, 0x1'8000).set(pieces + 40, 1);
        put_block();
    }
    void put_block()
    {
        block.sum_up();
        memory.write(phys_addr::at(hwrpb), block.block);
    }
    void make_tables()
    {
        map_alpha_page(memory, next_table, root, hwrpb_home, hwrpb);
        map_alpha_page(memory, next_table, root, piece_home, piece);
        map_alpha_page(memory, next_table, root, piece_home + 0x2000, piece + 0x2000);
        poke(vptb_entry, alpha_entry(root));
        poke(linux_vptb_entry, alpha_entry(root));
    }
    void make_page(std::string_view command_line)
    {
        bytes told(alpha_page);
        for (std::size_t i = 0; i < command_line.size(); ++i)
            told[i] = static_cast<std::byte>(command_line[i]);
        patch(told, 0x100, 8, alpha_kseg + initrd_at);
        patch(told, 0x108, 8, initrd_size);
        memory.write(phys_addr::at(page), told);
    }
};

} // namespace lobos::test
