// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What a paging mode has to say for itself, so that the walk, the clone and their tests serve it. Levels are counted
/// from the leaf: level 0 holds the smallest pages, the root is level `levels - 1`. The level is part of an entry's
/// type, since the same bit means different things on different levels.

#include <concepts>
#include <cstdint>
#include <optional>
#include <span>

#include <lobos/paging/direct_range.hpp>

namespace lobos {

/// What a mapping permits.
enum class access : std::uint8_t { read_only, read_write };

/// A mode of paging. `example_paging` below is the annotated example.
template <class T>
concept paging_traits = requires(typename T::word bits, phys_addr target, access rights) {
    requires std::unsigned_integral<typename T::word>;
    requires T::levels >= 1;
    { T::table_size } -> std::convertible_to<byte_count>;
    { T::granule } -> std::convertible_to<byte_count>;
    { T::reach } -> std::convertible_to<std::span<const virt_range>>;
    { T::physical_reach } -> std::convertible_to<phys_range>;
    { T::template shift<0> } -> std::convertible_to<unsigned>;
    { T::template index_bits<0> } -> std::convertible_to<unsigned>;
    { T::template may_be_leaf<0> } -> std::convertible_to<bool>;
    { T::largest_new_leaf } -> std::convertible_to<unsigned>;
    { typename T::template entry<0>{bits}.present() } -> std::same_as<bool>;
    { typename T::template entry<0>{bits}.is_leaf() } -> std::same_as<bool>;
    { typename T::template entry<0>{bits}.valid() } -> std::same_as<bool>;
    { typename T::template entry<0>{bits}.target() } -> std::same_as<phys_addr>;
    { typename T::template entry<0>{bits}.rights() } -> std::same_as<access>;
    requires requires {
        { typename T::template entry<0>{bits}.kept(rights) } -> std::same_as<typename T::template entry<0>>;
    } || requires {
        { typename T::template entry<0>{bits}.executable() } -> std::same_as<bool>;
        { typename T::template entry<0>{bits}.kept(rights, true) } -> std::same_as<typename T::template entry<0>>;
    };
    { T::template entry<0>::leaf(target, rights) } -> std::same_as<typename T::template entry<0>>;
};

/// How many bytes one entry of a level spans.
template <class T, unsigned Level>
inline constexpr byte_count span_of = byte_count::of(std::uint64_t{1} << T::template shift<Level>);

/// Whether the mode can translate every address of `r`.
template <class T> constexpr bool reaches(virt_range r)
{
    for (const virt_range& part : T::reach)
        if (part.contains(r))
            return true;
    return false;
}

/// A made-up two-level mode of a 16-bit machine with 256-byte pages: every member that a port must have, and why.
/// It is real enough for the shared tests to run on it.
struct example_paging {
    /// An entry of a table as it lies in memory. All levels use one width.
    using word = std::uint16_t;

    /// Tables from the root to the smallest page.
    static constexpr unsigned levels = 2;

    /// Bytes of one table. The root and all others are of one size and aligned to it.
    static constexpr byte_count table_size = byte_count::of(32);

    /// The smallest page that a clone makes when it is asked to map something new; requests are multiples of it.
    static constexpr byte_count granule = byte_count::of(256);

    /// The level of the largest page that a clone makes. It makes one only where all of it was asked for.
    static constexpr unsigned largest_new_leaf = 1;

    /// Virtual addresses the mode can translate: one range, or several with holes between them.
    static constexpr virt_range reach[] = {virt_range::between(virt_addr::at(0), virt_addr::at(0xffff))};

    /// Physical addresses that an entry can name.
    static constexpr phys_range physical_reach = phys_range::between(phys_addr::at(0), phys_addr::at(0xffff));

    // A mode whose root cannot lie wherever an entry can name a table has one more: `root_reach`. One of a machine that
    // translates some addresses without tables has a `direct` range, which is no part of `reach`.

    /// The lowest bit of a virtual address that indexes a table of this level, and how many bits do.
    template <unsigned Level> static constexpr unsigned shift = Level == 0 ? 8 : 12;
    template <unsigned Level> static constexpr unsigned index_bits = 4;

    /// Whether an entry of this level can map a page rather than name a table. Always true on level 0. Where it is
    /// false, `kept` and `leaf` are not needed.
    template <unsigned Level> static constexpr bool may_be_leaf = true;

    /// An entry. Bit 0 present, bit 1 writable, bit 2 page (level 1 only), bit 3 software's; bits 4 to 7 reserved in a
    /// leaf. A table of 32 bytes needs bits 5 to 15, so a table entry may use them. A mode that can forbid execution
    /// has two members more: `executable()`, on every level, and `kept(rights, executable)` instead of `kept(rights)`.
    template <unsigned Level> struct entry {
        word bits = 0;

        constexpr bool present() const { return (bits & 1) != 0; }
        constexpr bool is_leaf() const { return Level == 0 || (bits & 4) != 0; }

        /// False when a bit is set that the manual reserves: the processor would fault on it.
        constexpr bool valid() const { return is_leaf() ? (bits & 0xf0) == 0 && leaf_aligned() : (bits & 0x10) == 0; }

        /// The page or the table that the entry names.
        constexpr phys_addr target() const { return phys_addr::at(bits & (is_leaf() ? 0xff00u : 0xffe0u)); }
        constexpr access rights() const { return (bits & 2) != 0 ? access::read_write : access::read_only; }

        /// A leaf with all that the hardware needs of it (place, cacheability) and with `rights`, which are those of
        /// all levels together, since a clone's tables permit everything; and with nothing that software or the
        /// processor noted in it.
        constexpr entry kept(access rights) const { return entry{static_cast<word>((bits & ~10u) | writable(rights))}; }

        /// New entries. Precondition: the target is aligned to the page, or to the table.
        static constexpr entry leaf(phys_addr target, access rights)
        {
            return entry{static_cast<word>(target.raw() | 1u | (Level > 0 ? 4u : 0u) | writable(rights))};
        }
        static constexpr entry table(phys_addr target) { return entry{static_cast<word>(target.raw() | 3u)}; }

    private:
        constexpr bool leaf_aligned() const { return Level == 0 || (bits & 0x0f00) == 0; }
        static constexpr unsigned writable(access rights) { return rights == access::read_write ? 2u : 0u; }
    };
};

// Sanity checks
static_assert(paging_traits<example_paging>);
static_assert(span_of<example_paging, 1> == byte_count::of(4096));
static_assert(reaches<example_paging>(virt_range::of(0xff00_va, 256_bytes)));
static_assert(!reaches<example_paging>(virt_range::of(0xff00_va, 257_bytes)));

} // namespace lobos
