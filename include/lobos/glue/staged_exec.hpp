// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// An exec on which everything has been done that can be done before the point of no return: pages taken, steps and
/// tables in safe memory, all of it verified and summed up. It waits for commit(), or is dropped and was never there.

#include <array>
#include <optional>

#include <lobos/core/crc32c.hpp>
#include <lobos/glue/safe_pages.hpp>
#include <lobos/glue/workspace.hpp>
#include <lobos/plan/verifier.hpp>

namespace lobos {

/// An exec that waits for its commit. Owns its safe pages and gives them back when it is dropped.
template <kernel_glue Glue, class Contract> class staged_exec {
public:
    using port = Glue::port;

    const exec_plan& plan() const { return verified_->plan(); }

    /// A number for code, frame, steps and tables, all of it: two execs with one number do the same. What the new
    /// kernel is told (its parameters) is not in it.
    std::uint32_t checksum() const { return sums_.machinery; }

private:
    template <kernel_glue G, class C> friend class preparation;
    template <kernel_glue G, class C> friend fault commit(staged_exec<G, C>&);

    explicit staged_exec(Glue& glue) : glue_{&glue}, workspace_{glue}, pages_{glue} {}

    struct checksums {
        std::array<std::uint32_t, max_segments> image = {}; ///< segments one by one, so that a change has a name
        std::uint32_t machinery = 0;                        ///< code, frame, steps, tables
        std::uint32_t parameters = 0;
        friend bool operator==(const checksums&, const checksums&) = default;
    };

    checksums take_checksums()
    {
        checksums sums;
        const auto segments = plan().image;
        for (std::size_t i = 0; i < segments.size(); ++i) {
            crc32c sum;
            if (segments[i].what == content::kept)
                add(sum, segments[i].destination);
            if (segments[i].what == content::copy) {
                std::uint64_t left = segments[i].destination.size().raw();
                for (rules::source_cursor c{segments[i]}; left != 0;) {
                    const std::uint64_t here = std::min(c.left(), left);
                    add(sum, phys_range::of(phys_addr::at(c.source()), byte_count::of(here)));
                    c.advance(here);
                    left -= here;
                }
            }
            sums.image[i] = sum.value();
        }
        crc32c fixed;
        crc32c told;
        for (const safe_region& r : pages_.regions()) {
            if (r.role == safe_role::parameters)
                add(told, r.range);
            else if (overlay_touches(r.role) ? r.role != safe_role::stack && r.role != safe_role::bounce
                                             : r.role == safe_role::page_table)
                add(fixed, r.range);
        }
        sums.machinery = fixed.value();
        sums.parameters = told.value();
        return sums;
    }

    void add(crc32c& sum, phys_range r)
    {
        std::array<std::byte, 512> buffer;
        for (std::uint64_t done = 0; done < r.size().raw();) {
            const std::uint64_t here = std::min<std::uint64_t>(buffer.size(), r.size().raw() - done);
            const auto part = std::span{buffer}.first(static_cast<std::size_t>(here));
            glue_->memory().read(r.first() + byte_count::of(done), part);
            sum.update(part);
            done += here;
        }
    }

    Glue* glue_;
    workspace<Glue> workspace_; // holds the list of the pages, so it goes last
    safe_pages<Glue> pages_;
    std::optional<verified_plan> verified_ = {};
    port::facts facts_ = {};
    std::uint64_t generation_ = 0;
    virt_addr departure_ = {}; ///< the running kernel's addresses of the code's first instruction and of the frame
    virt_addr frame_ = {};
    checksums sums_ = {};
};

} // namespace lobos
