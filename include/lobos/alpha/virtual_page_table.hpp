// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The virtual page table: all last-level entries in a row, as an array of virtual memory at VPTB [alpha/arm II-B]. It
/// costs one entry, by which the root names itself as a table. A processor's PALcode may look for entries there first,
/// and walks the tables by their physical addresses only when that fails; so tables without this entry work in QEMU,
/// which always walks, and nowhere else. Whoever knows VPTB finds the running root by it: nothing else tells.
///
///      63       43 42      33 32                    0
///     +-----------+----------+-----------------------+
///     | as bit 42 |   self   |  page number, times 8 |    where the entry of a page is
///     +-----------+----------+-----------------------+

#include <lobos/alpha/paging_8k.hpp>
#include <lobos/core/fault.hpp>
#include <lobos/core/physical_memory.hpp>

namespace lobos::alpha {

class virtual_page_table {
public:
    /// The one at `vptb`. Faults: misaligned (at: `vptb`, which is no multiple of 8 GB), bad_range (at: `vptb`, which
    /// no tables reach).
    static constexpr result<virtual_page_table> at(virt_addr vptb)
    {
        if (!is_aligned(vptb, span_of<paging_8k, 2>))
            return refuse(fault_code::misaligned, stage::mapping, vptb);
        if (!reaches<paging_8k>(virt_range::of(vptb, span_of<paging_8k, 2>)))
            return refuse(fault_code::bad_range, stage::mapping, vptb);
        return virtual_page_table{vptb};
    }

    /// Which of the root's entries names it.
    constexpr std::uint64_t root_index() const { return vptb_.raw() >> paging_8k::shift<2> & index_mask; }

    /// Where the last-level entry for `v` is. Precondition: tables reach `v`.
    constexpr virt_addr entry_for(virt_addr v) const
    {
        expects(reaches<paging_8k>(virt_range::between(v, v)), "kseg has no entries");
        constexpr std::uint64_t pages = (std::uint64_t{1} << 30) - 1;
        return vptb_ + byte_count::of((v.raw() >> paging_8k::shift<0> & pages) * sizeof(paging_8k::word));
    }

    /// Where the entry is by which the root names itself. What it names is the root's physical address.
    constexpr virt_addr self() const { return entry_for(entry_for(entry_for(vptb_))); }

    /// Makes the root at `root` name itself. Fault: mapping_conflict (at: VPTB, when the entry is another's).
    template <physical_memory Memory> result<void> add_to(Memory& memory, phys_addr root) const
    {
        const phys_addr place = root + byte_count::of(root_index() * sizeof(paging_8k::word));
        const auto wanted = paging_8k::entry<2>::table(root).bits | page_bit::kernel_writes;
        const auto old = load<paging_8k::word>(memory, place);
        if (paging_8k::entry<2>{old}.present() && old != wanted)
            return refuse(fault_code::mapping_conflict, stage::mapping, vptb_);
        store(memory, place, wanted);
        return {};
    }

private:
    static constexpr std::uint64_t index_mask = 0x3ff;
    constexpr explicit virtual_page_table(virt_addr vptb) : vptb_{vptb} {}
    virt_addr vptb_;
};

// Sanity checks
static_assert(virtual_page_table::at(virt_addr::at(0xffff'fffe'0000'0000))->root_index() == 1023);
static_assert(virtual_page_table::at(virt_addr::at(0x2'0000'0000))->self() == virt_addr::at(0x2'0080'2008));
static_assert(
    virtual_page_table::at(virt_addr::at(0x2'0000'0000))->entry_for(0x1000'0000_va) == virt_addr::at(0x2'0004'0000));
static_assert(!virtual_page_table::at(virt_addr::at(0xffff'fc00'0000'0000)), "in kseg");

} // namespace lobos::alpha
