// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What a virtual address means under given tables: the processor's walk, in software, for any paging mode.

#include <lobos/core/fault.hpp>
#include <lobos/core/physical_memory.hpp>
#include <lobos/paging/traits.hpp>

namespace lobos {

/// A translation, and the page it came from.
template <paging_traits T> struct translation {
    phys_addr physical;    ///< of the address asked for
    access rights;         ///< what all levels together permit
    virt_range page;       ///< the page that holds the address, or the direct range
    unsigned level;        ///< of the leaf; `T::levels` where no table was asked
    typename T::word leaf; ///< the leaf's bits, to be kept by a clone
    bool executable;       ///< whether all levels let instructions be fetched; always, in modes that cannot forbid it
};

namespace detail {

template <class Entry> constexpr bool is_executable(Entry e)
{
    if constexpr (requires { e.executable(); })
        return e.executable();
    else
        return true;
}

template <unsigned Level, paging_traits T, physical_memory M>
result<translation<T>> walk_from(M& memory, phys_addr table, virt_addr v, access so_far, bool executable_so_far)
{
    using word = T::word;
    const std::uint64_t index =
        (v.raw() >> T::template shift<Level>)&((std::uint64_t{1} << T::template index_bits<Level>)-1);
    const phys_addr at = table + byte_count::of(index * sizeof(word));
    const typename T::template entry<Level> e{load<word>(memory, at)};
    if (!e.present())
        return refuse(fault_code::not_mapped, stage::mapping, v);
    if (!e.valid())
        return refuse(fault_code::bad_page_table, stage::mapping, at);
    const access rights = e.rights() == access::read_only ? access::read_only : so_far;
    const bool executable = executable_so_far && is_executable(e);
    if (e.is_leaf()) {
        const byte_count size = span_of<T, Level>;
        const virt_addr first = align_down(v, size);
        return translation<T>{e.target() + (v - first), rights, virt_range::of(first, size), Level, e.bits, executable};
    }
    if constexpr (Level > 0)
        return walk_from<Level - 1, T>(memory, e.target(), v, rights, executable);
    else
        return refuse(fault_code::bad_page_table, stage::mapping, at);
}

} // namespace detail

/// Translates `v` under the tables at `root`. `memory` must be able to read the tables.
/// Faults: not_mapped (at: v), bad_page_table (at: the entry's physical address).
template <paging_traits T, physical_memory M>
result<translation<T>> walk(M& memory, phys_addr root, virt_addr v)
{
    if constexpr (has_direct_range<T>)
        if (const auto at = T::direct.physical_of(v))
            return translation<T>{*at, access::read_write, T::direct.virtual_range(), T::levels, {}, true};
    if (!reaches<T>(virt_range::between(v, v)))
        return refuse(fault_code::not_mapped, stage::mapping, v);
    return detail::walk_from<T::levels - 1, T>(memory, root, v, access::read_write, true);
}

} // namespace lobos
