// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// An exec on which everything has been done that can be done before the point of no return: pages taken, steps and
/// tables in safe memory, all of it verified and summed up. It waits for commit(), or is dropped and was never there.

#include <array>
#include <optional>

#include <lobos/core/checksum.hpp>
#include <lobos/glue/claimed_frames.hpp>
#include <lobos/glue/safe_pages.hpp>
#include <lobos/glue/workspace.hpp>
#include <lobos/plan/verifier.hpp>

namespace lobos {

/// An exec that waits for its commit. Owns its safe pages and the frames it put the image into, and gives them back
/// when it is dropped. `Sum` is what tells whether a staged byte has changed since it was verified.
template <kernel_glue Glue, checksum_policy Sum> class staged_exec {
public:
    using port = Glue::port;

    const exec_plan& plan() const { return verified_->plan(); }

    /// A number for the image, code, frame, steps and tables, all of it: two execs with one number do the same. What
    /// the new kernel is told (its parameters) is not in it.
    checksum_value<Sum> checksum() const { return sums_.machinery; }

    /// The frames whose content is in place before the point of no return.
    std::span<const extent> claimed() const { return frames_.frames(); }

private:
    template <kernel_glue G, checksum_policy S> friend class preparation;
    template <kernel_glue G, checksum_policy S> friend fault commit(staged_exec<G, S>&);

    explicit staged_exec(Glue& glue) : glue_{&glue}, workspace_{glue}, frames_{glue}, pages_{glue} {}

    using sum_value = checksum_value<Sum>;
    struct checksums {
        std::span<sum_value> image = {}; ///< segments one by one, so that a change has a name
        sum_value machinery = {};        ///< code, frame, steps, tables; and the image, for whoever wants one number
        sum_value parameters = {};
    };

    void take_checksums(checksums& sums)
    {
        const auto segments = plan().image;
        for (std::size_t i = 0; i < segments.size(); ++i) {
            Sum image;
            if (segments[i].what == content::kept)
                add(image, segments[i].destination);
            for (content_cursor c{segments[i]}; c.left().raw() != 0;) {
                const extent piece = c.take(c.left());
                if (!piece.is_zeros())
                    add(image, phys_range::of(piece.at, piece.size));
            }
            sums.image[i] = image.value();
        }
        Sum fixed;
        Sum told;
        for (std::size_t i = 0; i < segments.size(); ++i) {
            const std::uint64_t ends[] = {segments[i].destination.first().raw(), segments[i].destination.last().raw()};
            fixed.update(std::as_bytes(std::span{ends}));
            const bool of_parameters = !told_.empty() && segments[i].file.data() == told_.data();
            (of_parameters ? told : fixed).update(std::as_bytes(std::span{&sums.image[i], 1}));
        }
        for (const safe_region& r : pages_.regions()) {
            if (r.role == safe_role::parameters)
                add(told, r.range);
            else if (stays_as_staged(r.role))
                add(fixed, r.range);
        }
        sums.machinery = fixed.value();
        sums.parameters = told.value();
    }

    void add(Sum& sum, phys_range r)
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
    workspace<Glue> workspace_; // holds the lists of the pages, so it goes last
    claimed_frames<Glue> frames_;
    safe_pages<Glue> pages_;
    std::optional<verified_plan> verified_ = {};
    std::span<const extent> told_ = {}; ///< the pages of parameters, as segments that are made of them have them
    port::facts facts_ = {};
    std::uint64_t generation_ = 0;
    virt_addr departure_ = {}; ///< the running kernel's addresses of the code's first instruction and of the frame
    virt_addr frame_ = {};
    checksums sums_ = {};
    checksums sums_again_ = {}; ///< room for what commit() finds
};

} // namespace lobos
