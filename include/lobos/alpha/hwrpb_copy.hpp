// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A HWRPB for the next kernel: the console's, with a memory map of ours. Memory is told in no other way, and the
/// console's own block stays as it is, for whoever stays if the exec is refused. The copy tells its own address, and
/// all offsets in it go on from there; so it is contiguous, as the original is. What names the console's code and data
/// by addresses goes on naming the console's.

#include <lobos/alpha/console_map.hpp>
#include <lobos/alpha/memory_clusters.hpp>

namespace lobos::alpha {

namespace detail {

/// Where a block ends: all that it says of itself, and the parts whose size is known. Fault: bad_header (a part is out
/// of reach; at: the physical address of the field that names it).
template <physical_memory Memory> result<std::uint64_t> end_of_block(const hwrpb_reader<Memory>& block)
{
    const hwrpb& fixed = block.fixed();
    struct {
        std::uint64_t offset, count, size;
        std::size_t field;
    } parts[] = {
        {0, 1, fixed.size, offsetof(hwrpb, size)},
        {fixed.slot_offset, fixed.slot_count, fixed.slot_size, offsetof(hwrpb, slot_offset)},
        // There are consoles that have one and count none.
        {fixed.terminal_offset, std::max(fixed.terminal_count, std::uint64_t{1}), fixed.terminal_size,
            offsetof(hwrpb, terminal_offset)},
        {fixed.callback_offset, 1, sizeof(callback_block), offsetof(hwrpb, callback_offset)},
        {0, 0, sizeof(console_mapping), offsetof(hwrpb, callback_offset)},
    };
    if (fixed.callback_offset != 0) {
        const auto found = block.template part<callback_block>(fixed.callback_offset, offsetof(hwrpb, callback_offset));
        if (!found)
            return std::unexpected{found.error()};
        parts[4].offset = fixed.callback_offset + sizeof(callback_block);
        parts[4].count = found->mappings;
    } else {
        parts[3].count = 0;
    }
    constexpr std::uint64_t reach = hwrpb_reader<Memory>::reach.raw();
    std::uint64_t end = sizeof(hwrpb);
    for (const auto& p : parts) {
        if (p.count == 0 || (p.offset == 0 && p.field != offsetof(hwrpb, size)))
            continue;
        // No product of two of these wraps.
        if (p.offset > reach || p.count > reach || p.size > reach || p.count * p.size > reach - p.offset)
            return refuse(fault_code::bad_header, stage::staging, block.address() + byte_count::of(p.field));
        end = std::max(end, p.offset + p.count * p.size);
    }
    return end;
}

} // namespace detail

/// Writes a copy of `block` that will lie at `at` into `out`, with `map` as its memory. Returns the bytes used. Faults:
/// misaligned (at: `at`, no multiple of 8 KB), bad_header (a part of `block` is out of reach; at: the physical address
/// of the field that names it), no_space (at: bytes needed). After a fault the contents of `out` mean nothing.
template <physical_memory Memory>
result<std::size_t> copy_hwrpb(
    Memory& memory, const hwrpb_reader<Memory>& block, const region_map& map, phys_addr at, std::span<std::byte> out)
{
    if (!is_aligned(at, paging_8k::granule))
        return refuse(fault_code::misaligned, stage::staging, at);
    const auto end = detail::end_of_block(block);
    if (!end)
        return std::unexpected{end.error()};
    const auto offset = static_cast<std::size_t>((*end + 7) & ~std::uint64_t{7});
    const auto rest = out.subspan(std::min(offset, out.size()));
    const auto described = make_memory_descriptors(map, rest);
    if (!described && described.error().code == fault_code::no_space)
        return refuse(fault_code::no_space, stage::staging, offset + described.error().at);
    if (!described)
        return described;
    memory.read(block.address(), out.first(offset));

    hwrpb fixed = block.fixed();
    fixed.physical_address = at.raw();
    fixed.memory_offset = offset;
    fixed.size = offset + *described;
    fixed.checksum = 0;
    std::array<std::uint64_t, offsetof(hwrpb, checksum) / 8> summed{};
    std::ranges::copy(bytes_of(fixed).first(sizeof summed), std::as_writable_bytes(std::span{summed}).begin());
    for (const std::uint64_t word : summed)
        fixed.checksum += word;
    std::ranges::copy(bytes_of(fixed), out.begin());
    return offset + *described;
}

} // namespace lobos::alpha
