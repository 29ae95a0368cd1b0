// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The pages of an exec's machinery: taken from the glue one by one, none of them where the image will lie, owned until
/// the exec happens or is dropped. With them in one list: the regions of earlier execs that survive.

#include <algorithm>
#include <utility>

#include <lobos/glue/kernel_glue.hpp>
#include <lobos/image/segment.hpp>
#include <lobos/plan/program.hpp>
#include <lobos/plan/safe_region.hpp>

namespace lobos {

template <kernel_glue Glue> class safe_pages {
    static constexpr byte_count page_size = Glue::port::page_size;

public:
    explicit safe_pages(Glue& glue) : glue_{&glue} {}

    safe_pages(safe_pages&& other) noexcept
        : glue_{other.glue_},
          list_{std::exchange(other.list_, safe_region_list{})},
          rejected_{std::exchange(other.rejected_, plan_page::no_page)}
    {
    }
    safe_pages& operator=(safe_pages&&) = delete;
    ~safe_pages()
    {
        give_back_rejected();
        for (const safe_region& r : list_.regions())
            if (r.role != safe_role::log) // which is nobody's page
                for (std::uint64_t at = 0; at < r.range.size().raw(); at += page_size.raw())
                    glue_->free_page(r.range.first() + byte_count::of(at));
    }

    /// Where the list is kept; outlives this. Precondition: nothing has been taken.
    void keep_list_in(std::span<safe_region> storage)
    {
        expects(list_.regions().empty(), "the list of safe pages is empty when it gets its storage");
        list_ = safe_region_list{storage};
    }

    /// A page in `reach` on which `image` has nothing. Any other is put aside, so that the glue does not give it again.
    /// Faults: no_memory, no_space, source_in_safe_region (the glue gives memory away that the image finds its file in;
    /// at: first such byte, and nothing has been written to it).
    result<phys_addr> take(safe_role role, std::span<const segment> image, phys_range reach)
    {
        for (;;) {
            const std::optional<phys_addr> page = glue_->allocate_page(reach);
            if (!page)
                return refuse(fault_code::no_memory, stage::staging, std::uint64_t{0});
            const phys_range range = phys_range::of(*page, page_size);
            for (const segment& s : image)
                if (const auto common = intersection(s.destination, range); common && s.what == content::kept) {
                    glue_->free_page(*page);
                    return refuse(fault_code::source_in_safe_region, stage::staging, common->first());
                }
            const bool wanted = std::ranges::any_of(
                image, [&](const segment& s) { return s.occupies() && s.destination.overlaps(range); });
            if (wanted || !reach.contains(range)) {
                store(glue_->memory(), *page, rejected_);
                rejected_ = page->raw();
                continue;
            }
            if (const auto added = list_.add(range, role); !added) {
                glue_->free_page(*page);
                return std::unexpected{added.error()};
            }
            return *page;
        }
    }

    /// What was put aside is free again. The pages are a list through their own first words.
    void give_back_rejected()
    {
        while (rejected_ != plan_page::no_page) {
            const phys_addr page = phys_addr::at(rejected_);
            rejected_ = load<std::uint64_t>(glue_->memory(), page);
            glue_->free_page(page);
        }
    }

    /// Adds the map's surviving regions, which are not ours to give back, and puts the list in order. Nothing can be
    /// taken after that. Fault: no_space.
    result<void> add_surviving(const region_map& map)
    {
        for (const region& r : map.regions())
            if (r.kind == region_kind::surviving)
                if (const auto added = list_.add(r.range, safe_role::log); !added)
                    return added;
        list_.sort();
        return {};
    }

    std::span<const safe_region> regions() const { return list_.regions(); }

private:
    Glue* glue_;
    safe_region_list list_{};
    std::uint64_t rejected_ = plan_page::no_page;
};

} // namespace lobos
