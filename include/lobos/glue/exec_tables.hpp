// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The page tables of an exec: those in which the overlay copies, and those that the image is entered on where these
/// are others. Table pages are the caller's, who also owns them when a table cannot be made.

#include <optional>
#include <span>

#include <lobos/handoff/contract.hpp>
#include <lobos/plan/plan.hpp>

namespace lobos {

/// Not for embedders: what prepare() makes tables with. `Port` is the machine that is left.
template <class Port> class exec_tables {
    using paging = Port::paging;
    static constexpr byte_count page_size = Port::page_size;

public:
    /// `plan` has everything placed but the tables, which are noted down in it; `parameters` are the pages that the
    /// image finds beside itself, as `terms` has it.
    exec_tables(exec_plan& plan, Port::route way, const contract_terms& terms, std::span<const phys_addr> parameters,
        std::optional<phys_addr> trail)
        : plan_{plan},
          way_{way},
          one_to_one_{parameters.first(terms.parameters_mapped ? parameters.size() : 0)},
          in_a_row_{parameters.first(terms.parameters_row.pages)},
          row_{terms.parameters_row.first},
          trail_{trail}
    {
    }

    /// A clone of the running tables: the pages of the switch as they are, and what the overlay touches, one to one.
    /// `safe` are the regions that have been taken. `frames` and faults are as for clone_page_tables; and bad_range
    /// (at: first byte of what the running kernel's mode does not reach).
    template <physical_memory M, class Frames>
    result<void> make_for_copy(M& memory, phys_addr running_root, const departure_aliases& aliases,
        std::span<const overlay_step> steps, std::span<const safe_region> safe, Frames&& frames)
    {
        const virt_range kept[] = {virt_range::of(aliases.code, page_size), virt_range::of(aliases.frame, page_size),
            virt_range::of(aliases.stack, page_size)};
        const auto wanted = [&](auto put) -> result<void> {
            result<void> ok;
            const auto identity = [&](phys_range r) {
                if (ok)
                    ok = put_identity<paging>(r, put);
            };
            if (plan_.regime == copy_regime::paged)
                for (const overlay_step& s : steps) {
                    const byte_count size = byte_count::of(s.size);
                    identity(phys_range::of(phys_addr::at(s.destination), size));
                    if (!s.fills())
                        identity(phys_range::of(phys_addr::at(s.source), size));
                }
            for (const safe_region& r : safe)
                if (overlay_touches(r.role))
                    identity(r.range);
            if (trail_)
                identity(phys_range::of(*trail_, byte_count::of(sizeof(breadcrumb))));
            if (ok)
                ok = Port::map_for_copy(way_, plan_, put);
            if (ok && !Port::has_entry_tables(way_))
                ok = put_image<paging>(put);
            return ok;
        };
        const auto tables = clone_page_tables<paging>(memory, running_root, kept, wanted, frames);
        if (!tables)
            return std::unexpected{tables.error()};
        tables->flush.done_by_loading_the_root(); // what the departure does
        plan_.running_root = running_root;
        plan_.new_root = tables->root;
        plan_.entry_root = tables->root;
        plan_.table_pages = tables->tables;
        return {};
    }

    /// Tables of the image's own, where it is entered in another mode of paging, `Entry`, or from a copy without any.
    /// `frames` and faults as above, of that mode.
    template <paging_traits Entry, physical_memory M, class Frames>
    result<void> make_for_entry(M& memory, Frames&& frames)
    {
        if (!plan_.entered_paged || !Port::has_entry_tables(way_))
            return {};
        const auto wanted = [&](auto put) -> result<void> {
            result<void> ok = Port::template map_for_entry<Entry>(way_, plan_, put);
            if (ok && trail_)
                ok = put_identity<Entry>(phys_range::of(*trail_, byte_count::of(sizeof(breadcrumb))), put);
            if (ok)
                ok = put_image<Entry>(put);
            return ok;
        };
        const auto tables = clone_page_tables<Entry>(memory, phys_addr{}, {}, wanted, frames);
        if (!tables)
            return std::unexpected{tables.error()};
        tables->flush.done_by_loading_the_root();
        plan_.entry_root = tables->root;
        plan_.table_pages += tables->tables;
        return {};
    }

private:
    /// Maps `r` in tables of mode `T`, which must reach it, where the overlay will look for it.
    template <class T, class Put> static result<void> put_identity(phys_range r, Put& put)
    {
        if (!overlay_reach<T>().contains(r))
            return refuse(fault_code::bad_range, stage::mapping, r.first());
        if constexpr (has_direct_range<T>)
            return {};
        else
            return put(identity_mapping<T>(r));
    }

    /// What an image finds in the tables of mode `T` that it is entered on.
    template <class T, class Put> result<void> put_image(Put& put) const
    {
        result<void> ok;
        for (const virtual_segment& v : plan_.virtual_layout)
            if (ok)
                ok = put_virtual<T>(v, put);
        for (const phys_addr page : one_to_one_)
            if (ok)
                ok = put_identity<T>(phys_range::of(page, page_size), put);
        virt_addr at = row_;
        for (const phys_addr page : in_a_row_) {
            if (ok)
                ok = put(mapping{virt_range::of(at, page_size), page});
            at += page_size;
        }
        return ok;
    }

    /// Where a paged image expects itself, in whole pages of mode `T`.
    template <class T, class Put> static result<void> put_virtual(const virtual_segment& v, Put& put)
    {
        if constexpr (has_direct_range<T>)
            if (T::direct.virtual_range().overlaps(v.virtual_range))
                return {}; // rule 8 sees whether that is where it is
        const virt_range wide = widen(v.virtual_range, T::granule);
        const byte_count into = v.virtual_range.first() - wide.first();
        if (v.physical.raw() < into.raw() || !is_aligned(v.physical - into, T::granule))
            return refuse(fault_code::misaligned, stage::mapping, v.virtual_range.first());
        return put(mapping{wide, v.physical - into, access::read_write});
    }

    exec_plan& plan_;
    Port::route way_;
    std::span<const phys_addr> one_to_one_;
    std::span<const phys_addr> in_a_row_;
    virt_addr row_;
    std::optional<phys_addr> trail_;
};

} // namespace lobos
