// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Alpha's paging with pages of 8 KB, as the PALcode for Unix walks it [alpha/arm II-B]: three levels of tables with
/// 1,024 entries of 64 bits, for virtual addresses of 43 bits, sign-extended.
///
///      63       43 42      33 32      23 22      13 12          0
///     +-----------+----------+----------+----------+-------------+
///     | as bit 42 |  level 1 |  level 2 |  level 3 |   offset    |
///     +-----------+----------+----------+----------+-------------+
///
/// Of the four quarters of these addresses one is not translated by tables: kseg, where physical memory lies one to one
/// for the kernel. seg0, from 0 on, is the lower half, and seg1 the last quarter. The manual counts its levels from the
/// root; here as everywhere in lobos they are counted from the leaf, so its level 3 is level 0.
///
/// Only the last entry has rights. Those above it have to be valid and readable for the kernel, and no more is looked
/// at. An entry maps one page; granularity hints say that neighbours are alike, and a processor may ignore them.

#include <lobos/alpha/kseg.hpp>
#include <lobos/paging/traits.hpp>

namespace lobos::alpha {

/// Bits of an entry [alpha/arm II-B]. "Fault on" means that the kernel wants to be told before it happens.
namespace page_bit {
inline constexpr std::uint64_t valid = 1u << 0;                          ///< V: the entry maps something
inline constexpr std::uint64_t fault_on_read = 1u << 1;                  ///< FOR
inline constexpr std::uint64_t fault_on_write = 1u << 2;                 ///< FOW
inline constexpr std::uint64_t fault_on_execute = 1u << 3;               ///< FOE
inline constexpr std::uint64_t every_space = 1u << 4;                    ///< ASM: for whatever address space number
inline constexpr std::uint64_t granularity = 3u << 5;                    ///< GH: 8^GH neighbours are alike
inline constexpr std::uint64_t kernel_reads = 1u << 8;                   ///< KRE
inline constexpr std::uint64_t user_reads = 1u << 9;                     ///< URE
inline constexpr std::uint64_t kernel_writes = 1u << 12;                 ///< KWE
inline constexpr std::uint64_t user_writes = 1u << 13;                   ///< UWE
inline constexpr std::uint64_t software = 0xffffu << 16;                 ///< ignored by the PALcode
inline constexpr std::uint64_t frame = std::uint64_t{0xffff'ffff} << 32; ///< PFN: the physical address, in pages
} // namespace page_bit

/// On a level: 0 maps pages, the others name tables.
template <unsigned Level> struct page_entry {
    using word = std::uint64_t;

    word bits = 0;

    /// What the kernel may not read is not there for it.
    constexpr bool present() const { return (bits & there) == there; }
    constexpr bool is_leaf() const { return Level == 0; }
    constexpr bool valid() const { return true; } // none is reserved: the PALcode ignores what it does not know
    constexpr phys_addr target() const { return phys_addr::at(bits >> frame_shift << page_shift); }

    /// A fault on write is the kernel's business while it runs. The copy could not tell it.
    constexpr access rights() const
    {
        const word write_bits = bits & (page_bit::kernel_writes | page_bit::fault_on_write);
        return Level > 0 || write_bits == page_bit::kernel_writes ? access::read_write : access::read_only;
    }
    constexpr bool executable() const { return Level > 0 || (bits & page_bit::fault_on_execute) == 0; }

    /// A page that faults on reads is one that the kernel has not touched for a while: it is there all the same.
    /// Granularity is dropped, since the neighbours may be missing; so is what makes an entry outlive its tables.
    constexpr page_entry kept(access rights, bool executable) const
        requires(Level == 0)
    {
        return {(bits & page_bit::frame) | there | writes(rights) | (executable ? 0 : page_bit::fault_on_execute)};
    }
    static constexpr page_entry leaf(phys_addr target, access rights)
        requires(Level == 0)
    {
        return {frame_of(target) | there | writes(rights)};
    }
    static constexpr page_entry table(phys_addr target)
        requires(Level > 0)
    {
        return {frame_of(target) | there};
    }

private:
    static constexpr unsigned page_shift = 13;
    static constexpr unsigned frame_shift = 32;
    static constexpr word there = page_bit::valid | page_bit::kernel_reads;
    static constexpr word frame_of(phys_addr at) { return at.raw() >> page_shift << frame_shift; }
    static constexpr word writes(access rights) { return rights == access::read_write ? page_bit::kernel_writes : 0; }
};

/// The mode of every Alpha that was built.
struct paging_8k {
    using word = std::uint64_t;
    static constexpr unsigned levels = 3;
    static constexpr byte_count table_size = byte_count::of(8192);
    static constexpr byte_count granule = byte_count::of(8192);
    static constexpr unsigned largest_new_leaf = 0;
    static constexpr virt_range reach[] = {
        virt_range::between(virt_addr::at(0), virt_addr::at(0x3ff'ffff'ffff)),
        virt_range::between(virt_addr::at(0xffff'fe00'0000'0000), virt_addr::at(0xffff'ffff'ffff'ffff)),
    };
    static constexpr direct_range direct = kseg_direct;
    static constexpr phys_range physical_reach = phys_range::between(phys_addr::at(0), phys_addr::at(0x1fff'ffff'ffff));

    template <unsigned Level> static constexpr unsigned shift = 13 + 10 * Level;
    template <unsigned Level> static constexpr unsigned index_bits = 10;
    template <unsigned Level> static constexpr bool may_be_leaf = Level == 0;

    template <unsigned Level> using entry = page_entry<Level>;
};

// Sanity checks
static_assert(paging_traits<paging_8k>);
static_assert(span_of<paging_8k, 2> == byte_count::of(std::uint64_t{1} << 33));
static_assert(page_entry<0>::leaf(0x4000_pa, access::read_write).bits == 0x2'0000'1101);
static_assert(page_entry<1>::table(0x2000_pa).bits == 0x1'0000'0101);
static_assert(page_entry<0>{0x3'abcd'f37f}.kept(access::read_only, false).bits == 0x3'0000'0109);
static_assert(!reaches<paging_8k>(virt_range::of(virt_addr::at(0xffff'fc00'0000'0000), 1_bytes)));

} // namespace lobos::alpha
