// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// New tables beside the running ones, for the time in which the running ones are overwritten [lobos/2000 §3.2.4]. The
/// paper copies the whole directory; a clone keeps only the mappings that the overlay needs, with nothing in them that
/// software or the processor noted, and adds those that were asked for. It maps nothing else. Table pages come from
/// the caller, who owns them and gives them back when the clone fails; the running tables are only read.
///
/// A page that is kept is kept whole. What is added is mapped in the largest pages that hold nothing else.

#include <span>

#include <lobos/paging/walk.hpp>

namespace lobos {

/// New tables are not live until the root is loaded. Whoever loads it also discards what the processor remembers of
/// the old ones, global entries included, and says so here.
class [[nodiscard]] pending_flush {
public:
    constexpr pending_flush() = default;
    /// The processor will forget every translation when it loads the new root.
    constexpr void done_by_loading_the_root() const {}
};

/// A mapping to add: `virtual_range` to as many bytes from `physical`. All are multiples of the mode's granule.
struct mapping {
    virt_range virtual_range;
    phys_addr physical;
    access rights = access::read_write;
};

template <paging_traits T> struct cloned_tables {
    phys_addr root;
    std::size_t tables; ///< pages of tables, the root included
    pending_flush flush;
};

/// The mapping of a physical range to itself, widened to the mode's granule. Precondition: the mode reaches it.
template <paging_traits T> constexpr mapping identity_mapping(phys_range r, access rights = access::read_write)
{
    const phys_range wide = widen(r, T::granule);
    return {
        virt_range::between(virt_addr::at(wide.first().raw()), virt_addr::at(wide.last().raw())), wide.first(), rights};
}

namespace detail {

template <paging_traits T, physical_memory M, class Frames> class table_writer {
public:
    table_writer(M& memory, Frames& frames) : memory_{memory}, frames_{frames} {}

    result<phys_addr> new_table()
    {
        const result<phys_addr> page = frames_();
        if (!page)
            return page;
        if (!T::physical_reach.contains(phys_range::of(*page, T::table_size)))
            return refuse(fault_code::bad_range, stage::mapping, *page);
        store_zeros(memory_, *page, T::table_size);
        ++count_;
        return page;
    }

    /// Puts a leaf for the page at `v` on `Target` level. The same leaf twice is no conflict, and neither is a larger
    /// page that says the same of these bytes.
    template <unsigned Target, unsigned Level = T::levels - 1>
    result<void> put(phys_addr table, virt_addr v, typename T::template entry<Target> leaf)
    {
        const phys_addr at = entry_at<Level>(table, v);
        const typename T::template entry<Level> old{load<word>(memory_, at)};
        const auto conflict = refuse(fault_code::mapping_conflict, stage::mapping, v);
        if constexpr (Level == Target) {
            if (old.present() && old.bits != leaf.bits)
                return conflict;
            store(memory_, at, leaf.bits);
            return {};
        } else {
            phys_addr next = old.target();
            if (!old.present()) {
                const result<phys_addr> page = new_table();
                if (!page)
                    return std::unexpected{page.error()};
                next = *page;
                store(memory_, at, T::template entry<Level>::table(next).bits);
            } else if (old.is_leaf()) {
                if constexpr (T::template may_be_leaf<Level>)
                    if (is_new_leaf<Level>(old) && is_new_leaf<Target>(leaf) && old.rights() == leaf.rights() &&
                        old.target() + (v - align_down(v, span_of<T, Level>)) == leaf.target())
                        return {};
                return conflict;
            }
            return put<Target, Level - 1>(next, v, leaf);
        }
    }

    /// Puts the leaf of a translation found in other tables, on the level it was found on.
    template <unsigned Level = 0> result<void> put_found(phys_addr root, const translation<T>& found)
    {
        if constexpr (Level == T::levels) {
            return refuse(fault_code::bad_page_table, stage::mapping, found.page.first());
        } else if constexpr (!T::template may_be_leaf<Level>) {
            return put_found<Level + 1>(root, found);
        } else {
            if (found.level != Level)
                return put_found<Level + 1>(root, found);
            const typename T::template entry<Level> leaf{found.leaf};
            if constexpr (requires { leaf.kept(found.rights, found.executable); })
                return put<Level>(root, found.page.first(), leaf.kept(found.rights, found.executable));
            else
                return put<Level>(root, found.page.first(), leaf.kept(found.rights));
        }
    }

    result<void> put_mapping(phys_addr root, const mapping& m)
    {
        const virt_range& v = m.virtual_range;
        if (!is_aligned(v.first(), T::granule) || !is_aligned(m.physical, T::granule) || widen(v, T::granule) != v)
            return refuse(fault_code::misaligned, stage::mapping, v.first());
        const auto bad_range = refuse(fault_code::bad_range, stage::mapping, v.first());
        if (!reaches<T>(v))
            return bad_range;
        const auto physical = phys_range::checked(m.physical, v.size());
        if (!physical || !T::physical_reach.contains(*physical))
            return bad_range;
        for (byte_count done; done < v.size();) {
            const result<byte_count> put_it =
                put_largest(root, v.first() + done, m.physical + done, v.size() - done, m.rights);
            if (!put_it)
                return std::unexpected{put_it.error()};
            done += *put_it;
        }
        return {};
    }

    std::size_t count() const { return count_; }

private:
    using word = T::word;

    template <unsigned Level> static phys_addr entry_at(phys_addr table, virt_addr v)
    {
        const std::uint64_t index =
            (v.raw() >> T::template shift<Level>)&((std::uint64_t{1} << T::template index_bits<Level>)-1);
        return table + byte_count::of(index * sizeof(word));
    }

    /// Whether a leaf is as a clone makes them, with no memory type or restriction of its own.
    template <unsigned Level> static bool is_new_leaf(typename T::template entry<Level> e)
    {
        return e.bits == T::template entry<Level>::leaf(e.target(), e.rights()).bits;
    }

    /// Whether the entry of `Level` for `v` names a table already.
    template <unsigned Level, unsigned At = T::levels - 1> bool has_table(phys_addr table, virt_addr v)
    {
        const typename T::template entry<At> e{load<word>(memory_, entry_at<At>(table, v))};
        if (!e.present() || e.is_leaf())
            return false;
        if constexpr (At == Level)
            return true;
        else
            return has_table<Level, At - 1>(e.target(), v);
    }

    /// Puts the largest page that maps no more than the `left` bytes from `v` on; how many bytes that is.
    template <unsigned Level = T::largest_new_leaf>
    result<byte_count> put_largest(phys_addr root, virt_addr v, phys_addr to, byte_count left, access rights)
    {
        constexpr byte_count size = span_of<T, Level>;
        if constexpr (size > T::granule) {
            const bool fits =
                T::template may_be_leaf<Level> && size <= left && is_aligned(v, size) && is_aligned(to, size);
            // Below a table that is there, its gaps are filled with smaller pages.
            if (!fits || has_table<Level>(root, v))
                return put_largest<Level - 1>(root, v, to, left, rights);
        }
        if (const auto put_it = put<Level>(root, v, T::template entry<Level>::leaf(to, rights)); !put_it)
            return std::unexpected{put_it.error()};
        return size;
    }

    M& memory_;
    Frames& frames_;
    std::size_t count_ = 0;
};

} // namespace detail

/// Builds tables that hold, of the running ones at `running_root`, the pages of `keep` (but for what needs no tables),
/// and the mappings that `add` names: it is called once with a function `put(const mapping&)` that returns a
/// `result<void>`, and passes the first fault on. `frames()` gives a `result<phys_addr>`: a page for a table, aligned
/// to the table size, the caller's to give back.
///
/// Faults: not_mapped (at: an address of `keep`), bad_page_table (at: the running entry), mapping_conflict (at: virtual
/// address that is wanted twice), misaligned and bad_range (at: the mapping's first virtual address, or a page from
/// `frames` that no entry can name, or no root register), and whatever `add` and `frames` return.
template <paging_traits T, physical_memory M, class Add, class Frames>
result<cloned_tables<T>> clone_page_tables(
    M& memory, phys_addr running_root, std::span<const virt_range> keep, Add&& add, Frames&& frames)
{
    detail::table_writer<T, M, Frames> writer{memory, frames};
    const result<phys_addr> root = writer.new_table();
    if (!root)
        return std::unexpected{root.error()};
    if constexpr (requires { T::root_reach; })
        if (!T::root_reach.contains(phys_range::of(*root, T::table_size)))
            return refuse(fault_code::bad_range, stage::mapping, *root);
    for (const virt_range& wanted : keep) {
        std::optional<virt_addr> v = wanted.first();
        while (v && *v <= wanted.last()) {
            const auto found = walk<T>(memory, running_root, *v);
            if (!found)
                return std::unexpected{found.error()};
            const bool in_tables = found->level != T::levels;
            if (const auto put = in_tables ? writer.put_found(*root, *found) : result<void>{}; !put)
                return std::unexpected{put.error()};
            v = checked_add(found->page.last(), byte_count::of(1));
        }
    }
    const result<void> added = add([&](const mapping& m) { return writer.put_mapping(*root, m); });
    if (!added)
        return std::unexpected{added.error()};
    return cloned_tables<T>{*root, writer.count(), pending_flush{}};
}

} // namespace lobos
