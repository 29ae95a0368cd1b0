// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Rule 11 for Linux on Alpha: what it finds in its page of parameters, at the HWRPB's address, and in the tables that
/// it is entered on, is what it relies on (arch/alpha/PORT.md, "What Linux wants"). It reads as Linux does: the page by
/// its place below the first instruction, the HWRPB first by way of the tables, and of a cluster the two lowest bits of
/// its usage.

#include <lobos/alpha/console_map.hpp>
#include <lobos/alpha/linux_parameters.hpp>
#include <lobos/alpha/virtual_page_table.hpp>
#include <lobos/plan/image_bytes.hpp>
#include <lobos/plan/told_rules.hpp>

namespace lobos::alpha {

/// `C` is a verifier_context.
template <class C> class linux_rules {
    using memory_type = C::memory_type;
    using reader = hwrpb_reader<memory_type>;

public:
    explicit linux_rules(const C& context) : c_{context} {}

    /// Faults: entry_contract_broken (at: the field, or the first byte, that does not agree; the entry, where that is
    /// no place for a Linux; VPTB, where the root cannot be seen; what the console calls its own, where that is usable
    /// memory), not_mapped, not_writable, not_executable (at: virtual address of the HWRPB or of a piece of the
    /// console), and those of hwrpb_reader.
    result<void> hold() const
    {
        const auto start = from_kseg(c_.plan.entry);
        if (!start || !is_aligned(*start, linux_below_start) || *start < phys_addr{} + linux_below_start)
            return broken(c_.plan.entry.raw());
        result<void> held = sides_are_free(*start);
        if (held)
            held = page_agrees(*start - linux_page_below_start);
        const auto block = held ? find_block() : result<reader>{std::unexpected{held.error()}};
        if (!block)
            return std::unexpected{block.error()};
        held = parts_are_inside(*block);
        if (held)
            held = memory_is_told(*block);
        if (held)
            held = console_is_mapped(*block);
        if (held)
            held = fixup_can_be_called(*block);
        if (held)
            held = root_is_seen(virt_addr::at(block->fixed().vptb));
        // The one that it goes by later, and still when it comes back to these tables in the end.
        if (held)
            held = root_is_seen(virt_addr::at(0x2'0000'0000));
        return held;
    }

private:
    static constexpr std::uint64_t recognition_block_size = 24;

    static std::unexpected<fault> broken(std::uint64_t at)
    {
        return refuse(fault_code::entry_contract_broken, stage::verifying, at);
    }

    /// Linux writes to both of its sides before it knows what memory is whose.
    result<void> sides_are_free(phys_addr start) const
    {
        phys_addr last = start;
        for (const segment& s : c_.plan.image)
            if (s.role == segment_role::kernel && (s.what == content::copy || s.what == content::zero))
                last = std::max(last, s.destination.last());
        const auto end = checked_add(last, byte_count::of(1));
        const auto first_page = end ? checked_align_up(*end, paging_8k::granule) : std::nullopt;
        const auto behind = first_page ? checked_add(*first_page, linux_behind_end) : std::nullopt;
        if (!behind)
            return broken(last.raw());
        const phys_range sides[] = {
            phys_range::of(start - linux_below_start, linux_below_start), phys_range::between(*end, *behind - 1_bytes)};
        for (const phys_range& side : sides) {
            for (const safe_region& r : c_.plan.safe)
                if (const auto common = intersection(r.range, side))
                    return broken(common->first().raw());
            for (const segment& s : c_.plan.image)
                if (const auto common = intersection(s.destination, side); common && s.role == segment_role::initrd)
                    return broken(common->first().raw());
            if (const auto other = c_.map.first_not(region_kind::usable, side))
                return broken(other->raw());
        }
        return {};
    }

    /// The command line ends, and the initrd is where its segment will be.
    result<void> page_agrees(phys_addr page) const
    {
        std::array<std::byte, linux_page::command_line_size> line{};
        if (!rules::image_bytes(c_, page, line) || std::ranges::find(line, std::byte{0}) == line.end())
            return broken(page.raw());
        const phys_addr at = page + byte_count::of(linux_page::initrd_start);
        const auto first = rules::image_field<std::uint64_t>(c_, at);
        const auto size = rules::image_field<std::uint64_t>(c_, page + byte_count::of(linux_page::initrd_size));
        const auto initrd =
            std::ranges::find(c_.plan.image, segment_role::initrd, [](const segment& s) { return s.role; });
        const bool none = initrd == c_.plan.image.end();
        const bool agrees = first && size &&
            (none ? *first == 0
                  : from_kseg(virt_addr::at(*first)) == initrd->destination.first() &&
                        *size == initrd->destination.size().raw());
        if (!agrees)
            return broken(at.raw());
        return {};
    }

    /// Where it is looked for first; from then on Linux goes by its physical address.
    result<reader> find_block() const
    {
        const virt_addr home = virt_addr::at(hwrpb::console_address);
        const auto found = walk<paging_8k>(c_.memory, c_.plan.entry_root, home);
        if (!found)
            return refuse(fault_code::not_mapped, stage::verifying, home);
        if (found->rights != access::read_write) // Linux writes VPTB into it
            return refuse(fault_code::not_writable, stage::verifying, home);
        auto block = reader::open(c_.memory, found->physical);
        if (!block)
            return block;
        const auto all = phys_range::checked(found->physical, byte_count::of(block->fixed().size));
        const bool whole = all && std::ranges::any_of(c_.plan.safe, [&](const safe_region& r) {
            return r.role == safe_role::parameters && r.range.contains(*all);
        });
        if (!whole)
            return broken(found->physical.raw());
        for (virt_addr at = home + paging_8k::granule; at - home < all->size(); at += paging_8k::granule)
            if (const auto mapped = finds(at, found->physical + (at - home)); !mapped)
                return std::unexpected{mapped.error()};
        return block;
    }

    /// `v` is `wanted`, and can be written to.
    result<void> finds(virt_addr v, phys_addr wanted) const
    {
        const auto found = walk<paging_8k>(c_.memory, c_.plan.entry_root, v);
        if (!found || found->physical != wanted)
            return refuse(fault_code::not_mapped, stage::verifying, v);
        if (found->rights != access::read_write)
            return refuse(fault_code::not_writable, stage::verifying, v);
        return {};
    }

    /// What Linux reads of the block lies in what the block says of itself, which is all that is safe. Readers go by
    /// offsets alone, and would find something else there after the copy. (Where the name is that the block to
    /// recognise the machine by goes on to, only the console knows.)
    result<void> parts_are_inside(const reader& block) const
    {
        const hwrpb& fixed = block.fixed();
        const auto clusters = block.cluster_count();
        if (!clusters)
            return std::unexpected{clusters.error()};
        std::uint64_t mappings = 0;
        if (fixed.callback_offset != 0) {
            const auto found =
                block.template part<callback_block>(fixed.callback_offset, offsetof(hwrpb, callback_offset));
            if (!found)
                return std::unexpected{found.error()};
            mappings = found->mappings;
        }
        const struct {
            std::uint64_t offset, head, count, each;
            std::size_t field;
        } parts[] = {
            {fixed.slot_offset, 0, fixed.slot_count, fixed.slot_size, offsetof(hwrpb, slot_offset)},
            {fixed.callback_offset, sizeof(callback_block), mappings, sizeof(console_mapping),
                offsetof(hwrpb, callback_offset)},
            {fixed.memory_offset, sizeof(memory_descriptors), *clusters, sizeof(memory_cluster),
                offsetof(hwrpb, memory_offset)},
            // There are consoles that have a terminal and count none.
            {fixed.terminal_offset, 0, std::max(fixed.terminal_count, std::uint64_t{1}), fixed.terminal_size,
                offsetof(hwrpb, terminal_offset)},
            {fixed.recognition_offset, recognition_block_size, 0, 0, offsetof(hwrpb, recognition_offset)},
        };
        for (const auto& p : parts) {
            if (p.offset == 0 && p.field != offsetof(hwrpb, slot_offset))
                continue; // there is none
            // No more than the reader reaches, so that no product of two parts wraps.
            const std::uint64_t size = std::min(fixed.size, reader::reach.raw());
            const std::uint64_t left = p.offset < size ? size - p.offset : 0;
            if (p.head > left || p.count > left || p.each > left || p.count * p.each > left - p.head)
                return broken((block.address() + byte_count::of(p.field)).raw());
        }
        return {};
    }

    result<void> memory_is_told(const reader& block) const
    {
        constexpr unsigned shift = paging_8k::shift<0>;
        constexpr std::uint64_t of_console = 3;
        const auto count = block.cluster_count();
        if (!count)
            return std::unexpected{count.error()};
        rules::told_map told{c_, paging_8k::granule, paging_8k::physical_reach};
        for (std::uint64_t n = 0; n < *count; ++n) {
            const memory_cluster cluster = block.cluster(n);
            const phys_addr at = block.cluster_address(n);
            constexpr std::uint64_t most = ~std::uint64_t{0} >> shift;
            if (cluster.pages == 0 || cluster.pages > most || cluster.first_page > most)
                return broken(at.raw());
            const auto range =
                phys_range::checked(phys_addr::at(cluster.first_page << shift), byte_count::of(cluster.pages << shift));
            if (!range)
                return broken(at.raw());
            if (const auto held = told.entry(*range, (cluster.usage & of_console) == 0, at); !held)
                return held;
        }
        return told.end(block.address() + byte_count::of(block.fixed().memory_offset));
    }

    /// What the console's code goes by when it is called, and that nobody else has it.
    result<void> console_is_mapped(const reader& block) const
    {
        const virt_range home = console_home(byte_count::of(block.fixed().size));
        return list_console_mappings(block, [&](const mapping& m) -> result<void> {
            for (std::optional<virt_addr> at = m.virtual_range.first(); at && *at <= m.virtual_range.last();
                at = checked_add(*at, paging_8k::granule)) {
                if (home.contains(*at)) // a copy of the block lies over what it lists of itself
                    continue;
                const phys_addr piece = m.physical + (*at - m.virtual_range.first());
                if (const auto mapped = finds(*at, piece); !mapped)
                    return mapped;
                if (c_.map.first_not(region_kind::usable, phys_range::of(piece, paging_8k::granule)) != piece)
                    return broken(at->raw());
            }
            return {};
        });
    }

    /// Linux calls the console's `fixup` before it has tables of its own, unless the console is MILO: by the second
    /// quadword of its procedure descriptor, which is where the code begins.
    result<void> fixup_can_be_called(const reader& block) const
    {
        const hwrpb& fixed = block.fixed();
        constexpr std::array milo{'M', 'I', 'L', 'O'};
        if (std::ranges::equal(std::span{fixed.serial_number}.first<milo.size()>(), milo))
            return {};
        if (fixed.callback_offset == 0)
            return broken((block.address() + byte_count::of(offsetof(hwrpb, callback_offset))).raw());
        const auto callback =
            block.template part<callback_block>(fixed.callback_offset, offsetof(hwrpb, callback_offset));
        if (!callback)
            return std::unexpected{callback.error()};
        const auto named = checked_add(virt_addr::at(callback->fixup), byte_count::of(8));
        if (!named || !is_aligned(*named, byte_count::of(8)))
            return broken(callback->fixup);
        const auto descriptor = of_console(*named, block);
        if (!descriptor)
            return std::unexpected{descriptor.error()};
        const auto code = virt_addr::at(load<std::uint64_t>(c_.memory, descriptor->physical));
        const auto routine = of_console(code, block);
        if (!routine)
            return std::unexpected{routine.error()};
        if (!routine->executable)
            return refuse(fault_code::not_executable, stage::verifying, code);
        return {};
    }

    /// What `v` is, which is to be the console's, or in its block. Faults: not_mapped, entry_contract_broken.
    result<translation<paging_8k>> of_console(virt_addr v, const reader& block) const
    {
        const auto found = walk<paging_8k>(c_.memory, c_.plan.entry_root, v);
        if (!found)
            return refuse(fault_code::not_mapped, stage::verifying, v);
        const region* holder = c_.map.find(found->physical);
        const bool in_block =
            found->physical >= block.address() && (found->physical - block.address()).raw() < block.fixed().size;
        if (holder && holder->kind == region_kind::usable && !in_block)
            return broken(v.raw());
        return found;
    }

    result<void> root_is_seen(virt_addr vptb) const
    {
        const auto table = virtual_page_table::at(vptb);
        const auto found = table ? walk<paging_8k>(c_.memory, c_.plan.entry_root, table->self())
                                 : result<translation<paging_8k>>{std::unexpected{table.error()}};
        if (!found || align_down(found->physical, paging_8k::table_size) != c_.plan.entry_root)
            return broken(vptb.raw());
        return {};
    }

    const C& c_;
};

} // namespace lobos::alpha
