// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// This kernel's own tables. kseg needs none, so there is nothing in them but the HWRPB and what the console wants, the
/// virtual page table, and a window in which the pages of a file follow each other. They lie in this kernel's image,
/// and there are two sets: the one that is made while the other is in force.

#include "machine.hpp"

#include <lobos/alpha/console_map.hpp>
#include <lobos/alpha/virtual_page_table.hpp>
#include <lobos/machine/palcode.hpp>
#include <lobos/paging/clone.hpp>

namespace kernel {

/// Where the file is seen.
inline constexpr lobos::virt_addr window = lobos::virt_addr::at(0x4'0000'0000);

using paging = lobos::alpha::paging_8k;

class own_tables {
public:
    lobos::phys_addr root;  ///< of those in force
    std::size_t tables = 0; ///< pages of them

    /// Makes tables with `file` in the window, and goes on under them. Faults: no_memory (a file of more than 90 MB),
    /// those of clone_page_tables and map_console, and mapping_conflict.
    lobos::result<void> enter(const machine& m, std::span<const lobos::extent> file)
    {
        using namespace lobos;
        const auto add = [&](auto put) -> result<void> {
            virt_addr at = window;
            for (const extent& e : file) {
                if (auto done = put(mapping{virt_range::of(at, page_size), e.at, access::read_only}); !done)
                    return done;
                at += page_size;
            }
            return alpha::map_console(*m.block, put);
        };
        const std::size_t next = 1 - in_force_; // the other is not written to while it is in force
        std::size_t used = 0;
        const auto frames = [&]() -> result<phys_addr> {
            if (used == pages_of_a_set)
                return refuse(fault_code::no_memory, stage::mapping, 0);
            const std::byte* const page = pages_[next][used++];
            return physical(page, page + 1).first();
        };
        const auto made = clone_page_tables<paging>(memory, root, {}, add, frames);
        if (!made)
            return std::unexpected{made.error()};
        const auto table = alpha::virtual_page_table::at(virt_addr::at(m.block->fixed().vptb));
        if (!table)
            return std::unexpected{table.error()};
        if (const auto seen = table->add_to(memory, made->root); !seen)
            return seen;
        const auto context = alpha::make_hwpcb(virt_addr{}, made->root, alpha::hwpcb_flag::floating_point);
        if (!context)
            return std::unexpected{context.error()};
        contexts_[next] = *context;
        const auto* const at = reinterpret_cast<const std::byte*>(&contexts_[next]);
        swap_context(contexts_[next], physical(at, at + 1).first());
        lobos::machine::call_pal<alpha::pal::tbi>(alpha::tbi_all);
        lobos::machine::call_pal<alpha::pal::imb>();
        made->flush.done_by_loading_the_root();
        root = made->root;
        tables = made->tables;
        in_force_ = next;
        return {};
    }

private:
    static constexpr std::size_t pages_of_a_set = 16;
    alignas(8192) std::byte pages_[2][pages_of_a_set][8192]{};
    alignas(lobos::alpha::hwpcb::alignment.raw()) lobos::alpha::hwpcb contexts_[2]{};
    std::size_t in_force_ = 0;
};

} // namespace kernel
