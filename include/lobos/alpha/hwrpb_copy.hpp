// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A HWRPB for the next kernel: the console's, with a memory map of ours. Memory is told in no other way, and the
/// console's own block stays as it is, for whoever stays if the exec is refused. The copy tells its own address, and
/// all offsets in it go on from there; so it is contiguous, as the original is. What names the console's code and data
/// by addresses goes on naming the console's.
///
/// The HWRPB is also a mailbox, and a copy of it is none: the console goes on looking into its own block. What a kernel
/// writes for the console to find is lost in a copy (messages to other processors, by receive_ready and their slots,
/// the routine they start at, the flags of a slot that say what a halt is to lead to), and what the console answers
/// never gets there. So a kernel with a copy starts no other processor, and cannot say whether a halt is to boot again.
/// See arch/alpha/PORT.md for what there is instead.

#include <lobos/alpha/console_map.hpp>
#include <lobos/alpha/memory_clusters.hpp>

namespace lobos::alpha {

namespace detail {

/// Offsets in a block.
struct block_extent {
    std::uint64_t table; ///< where descriptors of memory can go: nothing else that is known lies there or behind it
    std::uint64_t end;   ///< of all that is known
};

/// A procedure descriptor, as far as it is called by.
inline constexpr std::uint64_t procedure_descriptor_size = 16;

/// What a block says of itself, and the parts whose size is known. Others that begin behind all of these are lost in a
/// copy, which says that it has none. Fault: bad_header (a part is out of reach; at: the physical address of the field
/// that names it).
template <physical_memory Memory> result<block_extent> extent_of(const hwrpb_reader<Memory>& block)
{
    const hwrpb& fixed = block.fixed();
    constexpr std::uint64_t reach = hwrpb_reader<Memory>::reach.raw();
    callback_block callback{}; // of nothing, where there is none
    if (fixed.callback_offset != 0) {
        const auto found = block.template part<callback_block>(fixed.callback_offset, offsetof(hwrpb, callback_offset));
        if (!found)
            return std::unexpected{found.error()};
        callback = *found;
    }
    // Descriptors of routines that the console keeps in the block are named by where it has the block.
    const auto in_block = [](std::uint64_t named) {
        const bool here = named >= hwrpb::console_address && named - hwrpb::console_address < reach;
        return here ? named - hwrpb::console_address : 0;
    };
    const struct {
        std::uint64_t offset, count, size;
        std::size_t field;
    } parts[] = {
        {fixed.slot_offset, fixed.slot_count, fixed.slot_size, offsetof(hwrpb, slot_offset)},
        // There are consoles that have one and count none.
        {fixed.terminal_offset, std::max(fixed.terminal_count, std::uint64_t{1}), fixed.terminal_size,
            offsetof(hwrpb, terminal_offset)},
        {fixed.callback_offset, 1, sizeof(callback_block), offsetof(hwrpb, callback_offset)},
        {fixed.callback_offset + sizeof(callback_block), callback.mappings, sizeof(console_mapping),
            offsetof(hwrpb, callback_offset)},
        {in_block(callback.dispatch), 1, procedure_descriptor_size, offsetof(hwrpb, callback_offset)},
        {in_block(callback.fixup), 1, procedure_descriptor_size, offsetof(hwrpb, callback_offset)},
    };
    if (fixed.size > reach)
        return refuse(fault_code::bad_header, stage::staging, block.address() + byte_count::of(offsetof(hwrpb, size)));
    std::uint64_t end = sizeof(hwrpb); // of everything but the descriptors
    for (const auto& p : parts) {
        if (p.count == 0 || p.offset == 0)
            continue;
        // No product of two of these wraps.
        if (p.offset > reach || p.count > reach || p.size > reach || p.count * p.size > reach - p.offset)
            return refuse(fault_code::bad_header, stage::staging, block.address() + byte_count::of(p.field));
        end = std::max(end, p.offset + p.count * p.size);
    }
    // Descriptors that are the last part are replaced in their place, so that copies of copies do not grow.
    const std::uint64_t all = std::max(end, fixed.size);
    const auto clusters = block.cluster_count();
    if (!clusters)
        return block_extent{all, all};
    const std::uint64_t table = fixed.memory_offset;
    const std::uint64_t table_end = table + sizeof(memory_descriptors) + *clusters * sizeof(memory_cluster);
    const bool last = end <= table && fixed.size <= table_end;
    return block_extent{last ? table : all, std::max(all, table_end)};
}

/// Whether a block of `old_size` bytes may become one of `new_size` where the console has it: pages that it has not had
/// could be the console's, which would go without them. Faults: mapping_conflict (at: the first such page), and those
/// of list_console_mappings.
template <physical_memory Memory>
result<void> check_growth(const hwrpb_reader<Memory>& block, byte_count old_size, byte_count new_size)
{
    const virt_range before = console_home(old_size), after = console_home(new_size);
    if (after.last() <= before.last())
        return {};
    const auto more = virt_range::between(before.last() + byte_count::of(1), after.last());
    return list_console_mappings(block, [&](const mapping& m) -> result<void> {
        if (const auto shared = intersection(m.virtual_range, more))
            return refuse(fault_code::mapping_conflict, stage::staging, shared->first());
        return {};
    });
}

} // namespace detail

/// Writes a copy of `block` that will lie at `at` into `out`, with `map` as its memory. Returns the bytes used. Faults:
/// misaligned (at: `at`, no multiple of 8 KB), bad_header (a part of `block` is out of reach; at: the physical address
/// of the field that names it; or from list_console_mappings), no_space (at: bytes needed), mapping_conflict (the copy
/// takes more pages than the block, and the console has something where they would be; at: the virtual address). After
/// a fault the contents of `out` mean nothing.
template <physical_memory Memory>
result<std::size_t> copy_hwrpb(
    Memory& memory, const hwrpb_reader<Memory>& block, const region_map& map, phys_addr at, std::span<std::byte> out)
{
    if (!is_aligned(at, paging_8k::granule))
        return refuse(fault_code::misaligned, stage::staging, at);
    const auto extent = detail::extent_of(block);
    if (!extent)
        return std::unexpected{extent.error()};
    const auto offset = static_cast<std::size_t>((extent->table + 7) & ~std::uint64_t{7});
    const auto rest = out.subspan(std::min(offset, out.size()));
    const auto described = make_memory_descriptors(map, rest);
    if (!described && described.error().code == fault_code::no_space)
        return refuse(fault_code::no_space, stage::staging, offset + described.error().at);
    if (!described)
        return described;
    const std::size_t size = offset + *described;
    if (auto free = detail::check_growth(block, byte_count::of(extent->end), byte_count::of(size)); !free)
        return std::unexpected{free.error()};
    memory.read(block.address(), out.first(offset));

    hwrpb fixed = block.fixed();
    fixed.physical_address = at.raw();
    fixed.memory_offset = offset;
    fixed.size = size;
    for (std::uint64_t* part :
        {&fixed.hint_block_offset, &fixed.configuration_offset, &fixed.fru_offset, &fixed.recognition_offset})
        if (*part >= offset)
            *part = 0; // it is not in the copy
    fixed.checksum = detail::quadword_sum(bytes_of(fixed).first(offsetof(hwrpb, checksum)));
    std::ranges::copy(bytes_of(fixed), out.begin());
    return size;
}

} // namespace lobos::alpha
