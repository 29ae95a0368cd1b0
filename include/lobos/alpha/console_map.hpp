// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What of the console's memory the console wants to find at which virtual address [alpha/arm III, console callback
/// routine block]. Systems call it there, Linux before it has tables of its own: tables that a kernel is entered with
/// have to have all of it, and the HWRPB where every kernel for Alpha looks for it first. What lies in kseg needs no
/// table. A kernel may have had the console move; the block says where it is now.
///
/// A console may list the HWRPB there too, alone or with its own code. In a copy of the block that mapping still names
/// the original: where the copy is mapped, the copy comes first.

#include <lobos/alpha/hwrpb.hpp>
#include <lobos/alpha/kseg.hpp>
#include <lobos/paging/clone.hpp>

namespace lobos::alpha {

/// What precedes the mappings. The routines are named by their procedure descriptors.
struct callback_block {
    std::uint64_t dispatch, dispatch_physical;
    std::uint64_t fixup, fixup_physical;
    std::uint64_t mappings;
    std::uint64_t pages; ///< of all mappings
};

/// One of the mappings: whole pages.
struct console_mapping {
    std::uint64_t virtual_address, physical_address, pages;
};

/// Where tables have a HWRPB of `size` bytes, which are not 0 and within a reader's reach.
constexpr virt_range console_home(byte_count size)
{
    return widen(virt_range::of(virt_addr::at(hwrpb::console_address), size), paging_8k::granule);
}

/// Calls `put(const mapping&)`, which returns a `result<void>`, for each mapping of the callback block that needs a
/// place in tables, as it stands there. Faults: bad_header (the callback block does not lie behind the fixed part,
/// aligned and within reach, or has more mappings than that; a mapping wraps, is not of whole pages, or lies in kseg's
/// memory elsewhere than at its physical address, or only partly in kseg's memory or I/O; at: the physical address of
/// the field), and whatever `put` returns.
template <physical_memory Memory, class Put>
result<void> list_console_mappings(const hwrpb_reader<Memory>& block, Put&& put)
{
    const std::uint64_t offset = block.fixed().callback_offset;
    if (offset == 0)
        return {};
    const auto found = block.template part<callback_block>(offset, offsetof(hwrpb, callback_offset));
    if (!found)
        return std::unexpected{found.error()};
    for (std::uint64_t n = 0; n < found->mappings; ++n) {
        // Out of reach long before this wraps.
        const std::uint64_t at = offset + sizeof(callback_block) + n * sizeof(console_mapping);
        const auto piece = block.template part<console_mapping>(at, offset + offsetof(callback_block, mappings));
        if (!piece)
            return std::unexpected{piece.error()};
        const auto bad = refuse(fault_code::bad_header, stage::loading, block.address() + byte_count::of(at));
        const auto from = virt_addr::at(piece->virtual_address);
        const auto to = phys_addr::at(piece->physical_address);
        if (piece->pages == 0)
            continue;
        if (piece->pages > ~std::uint64_t{0} >> paging_8k::shift<0>)
            return bad;
        const auto size = byte_count::of(piece->pages << paging_8k::shift<0>);
        const auto range = virt_range::checked(from, size);
        if (!range || !phys_range::checked(to, size) || !is_aligned(from, paging_8k::granule) ||
            !is_aligned(to, paging_8k::granule))
            return bad;
        if (range->overlaps(kseg)) {
            if (!kseg.contains(*range))
                return bad;
            // In the half that is I/O, physical addresses are the processor's business.
            if (const auto memory = from_kseg(from); memory && (memory != to || !from_kseg(range->last())))
                return bad;
            continue;
        }
        if (auto done = put(mapping{*range, to}); !done)
            return done;
    }
    return {};
}

/// Calls `put(const mapping&)`, which returns a `result<void>`, for the HWRPB at its place, as much as it says it is,
/// and for each piece of the console that needs a place in tables, but for pages of the HWRPB itself. Faults:
/// bad_header (the block says that it is nothing, or more than the reader's reach; at: the physical address of the
/// field), those of list_console_mappings, and whatever `put` returns.
template <physical_memory Memory, class Put> result<void> map_console(const hwrpb_reader<Memory>& block, Put&& put)
{
    const auto size = byte_count::of(block.fixed().size);
    if (size == byte_count{} || size > hwrpb_reader<Memory>::reach)
        return refuse(fault_code::bad_header, stage::loading, block.address() + byte_count::of(offsetof(hwrpb, size)));
    const virt_range home = console_home(size);
    if (auto done = put(mapping{home, block.address()}); !done)
        return done;

    // Where the console has the block, which is elsewhere when this one is a copy.
    std::optional<phys_addr> original;
    const auto listed = list_console_mappings(block, [&](const mapping& m) -> result<void> {
        if (!original && m.virtual_range.contains(home.first()))
            original = m.physical + (home.first() - m.virtual_range.first());
        return {};
    });
    if (!listed || !original)
        return listed ? list_console_mappings(block, put) : listed;
    return list_console_mappings(block, [&](const mapping& m) -> result<void> {
        const virt_range& all = m.virtual_range;
        const bool of_block = all.first() <= home.first()
            ? m.physical + (home.first() - all.first()) == *original
            : checked_add(*original, all.first() - home.first()) == m.physical;
        if (!all.overlaps(home) || !of_block)
            return put(m);
        constexpr byte_count one = byte_count::of(1);
        if (all.first() < home.first())
            if (auto done = put(mapping{virt_range::between(all.first(), home.first() - one), m.physical}); !done)
                return done;
        if (all.last() <= home.last())
            return {};
        const virt_range rest = virt_range::between(home.last() + one, all.last());
        return put(mapping{rest, m.physical + (rest.first() - all.first())});
    });
}

// Sanity checks
static_assert(sizeof(callback_block) == 48 && sizeof(console_mapping) == 24);

} // namespace lobos::alpha
