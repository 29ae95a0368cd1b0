// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// This kernel's own tables. kseg needs none, so there is nothing in them but the HWRPB and what the console wants, the
/// virtual page table, and a window in which the pages of a file follow each other.

#include "machine.hpp"

#include <lobos/alpha/console_map.hpp>
#include <lobos/alpha/virtual_page_table.hpp>
#include <lobos/machine/palcode.hpp>
#include <lobos/paging/clone.hpp>

namespace kernel {

/// Where the file is seen.
inline constexpr lobos::virt_addr window = lobos::virt_addr::at(0x4'0000'0000);

using paging = lobos::alpha::paging_8k;

/// A file's pages, far from each other and in no order that could help.
class scattered_pages {
public:
    static constexpr std::size_t distance = 7;

    scattered_pages(lobos::phys_addr first, std::size_t count) : first_{first}, count_{count} {}

    std::size_t count() const { return count_; }
    lobos::phys_addr operator[](std::size_t i) const
    {
        const std::size_t place = (count_ - 1 - i) * distance + (i & 3);
        return first_ + lobos::byte_count::of(place * paging::granule.raw());
    }
    static lobos::byte_count room_for(std::size_t count)
    {
        return lobos::byte_count::of(count * distance * paging::granule.raw());
    }

private:
    lobos::phys_addr first_;
    std::size_t count_;
};

class own_tables {
public:
    /// The running tables, by the console's virtual page table.
    static lobos::result<lobos::phys_addr> running_root(lobos::virt_addr vptb)
    {
        using namespace lobos;
        const auto table = alpha::virtual_page_table::at(vptb);
        if (!table)
            return std::unexpected{table.error()};
        const auto self = static_cast<std::uintptr_t>(table->self().raw());
        return paging::entry<2>{*reinterpret_cast<const volatile std::uint64_t*>(self)}.target();
    }

    /// Builds them in pages from `frames`. Faults: those of clone_page_tables and map_console, and mapping_conflict.
    template <class Frames>
    lobos::result<void> build(const machine& m, lobos::phys_addr running, const scattered_pages& pages, Frames&& frames)
    {
        using namespace lobos;
        const auto add = [&](auto put) -> result<void> {
            for (std::size_t i = 0; i < pages.count(); ++i) {
                const auto at = window + byte_count::of(i * paging::granule.raw());
                if (auto done = put(mapping{virt_range::of(at, paging::granule), pages[i], access::read_only}); !done)
                    return done;
            }
            return alpha::map_console(*m.block, put);
        };
        const auto made = clone_page_tables<paging>(memory, running, {}, add, frames);
        if (!made)
            return std::unexpected{made.error()};
        made->flush.done_by_loading_the_root(); // which `enter` does, and forgets the old one's translations
        root = made->root;
        tables = made->tables;
        const auto table = alpha::virtual_page_table::at(m.virtual_page_table());
        return table ? table->add_to(memory, root) : std::unexpected{table.error()};
    }

    /// Goes on under them. Returns the context that the console had made.
    lobos::result<std::uint64_t> enter()
    {
        using namespace lobos;
        alignas(alpha::hwpcb::alignment.raw()) static constinit alpha::hwpcb context;
        const auto made = alpha::make_hwpcb(virt_addr{}, root, alpha::hwpcb_flag::floating_point);
        if (!made)
            return std::unexpected{made.error()};
        context = *made;
        const auto at = alpha::from_kseg(virt_addr::at(reinterpret_cast<std::uintptr_t>(&context)));
        expects(at.has_value(), "this kernel lies in kseg");
        const std::uint64_t old = lobos::machine::swap_context(context, *at);
        lobos::machine::forget_translations();
        lobos::machine::instruction_barrier();
        return old;
    }

    lobos::phys_addr root;
    std::size_t tables = 0;
};

} // namespace kernel
