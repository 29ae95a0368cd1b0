// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A kernel of any port in a small memory, all of it written and none of it alike, and an exec of it with everything
/// compared that is to be true afterwards. Places are given in pages, from the first that is not the kernel's own.

#include <algorithm>
#include <random>

#include <lobos/survive/log.hpp>

#include <tests/conformance/description.hpp>
#include <tests/support/byte_memory.hpp>
#include <tests/support/exec_checks.hpp>
#include <tests/support/state_difference.hpp>

namespace lobos::conformance {

using namespace lobos::test;

template <described_port D> class world {
public:
    using kernel = kernel_of<D>;
    using port = kernel::port;
    using image = D::image;
    static constexpr byte_count page_size = port::page_size;
    static constexpr std::size_t page_bytes = static_cast<std::size_t>(page_size.raw());
    static constexpr phys_range own_memory = kernel::own_memory;

    explicit world(std::uint32_t seed, std::size_t free_pages = 96)
        : ram{(at(free_pages) - phys_addr{})},
          machine{ram, seed}
    {
        INFO(D::name);
        bytes page(page_bytes);
        for (std::size_t n = 0; n < free_pages; ++n) {
            for (std::size_t i = 0; i < page_bytes; ++i)
                page[i] = static_cast<std::byte>((i * 5 + (i >> 8) + n * 11 + seed) & 0xff);
            machine.memory().write(at(n), page);
        }
    }

    /// Byte `offset` of the `n`-th page behind the kernel's own memory.
    static constexpr phys_addr at(std::size_t n, std::uint64_t offset = 0)
    {
        const phys_addr first = align_down(own_memory.last(), page_size) + page_size;
        return first + byte_count::of(n * page_size.raw() + offset);
    }
    static constexpr phys_range pages(std::size_t n, std::size_t count)
    {
        return phys_range::of(at(n), byte_count::of(count * page_size.raw()));
    }

    /// From now on these pages are somebody's.
    void claim(std::size_t n, std::size_t count)
    {
        for (std::size_t i = 0; i < count; ++i)
            REQUIRE(machine.allocate_page_at(at(n + i)));
    }
    /// The bytes of a file, another for each `number`.
    static bytes contents(std::size_t size, std::size_t number)
    {
        bytes file(size);
        for (std::size_t i = 0; i < size; ++i)
            file[i] = pattern(i * (2 * number + 3) + number);
        return file;
    }
    /// A file of whole pages in claimed ones, `n` and behind, in an order that is shuffled.
    std::vector<extent> shuffled(std::size_t n, std::size_t count, std::uint32_t seed)
    {
        std::vector<extent> extents;
        for (std::size_t i = 0; i < count; ++i)
            extents.push_back({at(n + i), page_size});
        std::mt19937 random{seed};
        std::ranges::shuffle(extents, random);
        return extents;
    }
    /// A new log in pages that are claimed already, `n` and behind. Where the overlay is to leave its breadcrumb.
    phys_addr start_log(std::size_t n, std::size_t count)
    {
        REQUIRE(machine.map().add(pages(n, count), region_kind::surviving));
        const auto log = surviving_log<sim::memory>::create(machine.memory(), pages(n, count));
        REQUIRE(log);
        return log->trail();
    }
    /// Whether what can be put in place before the point of no return is put there.
    void early(bool allowed) { machine.injected.fail_every(sim::glue_call::allocate_page_at, !allowed); }

    byte_count ram;
    kernel machine;
};

/// What the image finds is what it was promised.
template <described_port D>
void check_arrival(world<D>& w, const typename D::image& image, const exec_plan& plan, const arrival& a)
{
    CHECK(a.at == image.entry());
    CHECK(a.physical == image.first_instruction);
    CHECK(a.table_root == plan.entry_root);
    CHECK_FALSE(a.interrupts);
    std::vector<region> told = made_up_image::told(w.machine.memory(), a.parameters);
    CHECK_FALSE(told.empty());
    const auto kind_at = [&](phys_addr at) {
        const auto found = std::ranges::find_if(told, [&](const region& r) { return r.range.contains(at); });
        return found == told.end() ? region_kind::usable : found->kind;
    };
    for (const safe_region& r : plan.safe) {
        const region_kind wanted = r.role == safe_role::log ? region_kind::surviving : region_kind::safe;
        CHECK((kind_at(r.range.first()) == wanted && kind_at(r.range.last()) == wanted));
    }
}

/// Goes, and compares all of memory, every access, the breadcrumb and what the image finds.
template <described_port D>
void check_commit(world<D>& w, const typename D::image& image, staged_of<D>& staged, std::optional<phys_addr> trail)
{
    const exec_plan plan = staged.plan();
    const snapshot before{w.machine.memory(), w.ram};
    const machine_habits habits{.store = D::store,
        .own = D::processor_writes(w.machine),
        .entered = phys_range::of(image.first_instruction, byte_count::of(16))};
    const outcome how = D::commit(w.machine, staged);
    INFO(to_string(how));
    REQUIRE(std::holds_alternative<arrival>(how));
    check_memory(plan, before, snapshot{w.machine.memory(), w.ram}, trail, habits);
    check_accesses(plan, w.machine.processor().record, trail, habits);
    const auto crumb = load<breadcrumb>(w.machine.memory(), notes_of(plan, trail).first());
    CHECK(crumb.stage == static_cast<std::uint32_t>(overlay_stage::copied));
    CHECK(crumb.steps == plan.cost.steps);
    CHECK(crumb.exception == 0);
    check_arrival(w, image, plan, std::get<arrival>(how));
    CHECK(w.machine.gone);
    CHECK(w.machine.memory().unwritten_reads() == 0);
}

/// What its plan costs.
template <described_port D>
plan_cost check_exec(world<D>& w, const typename D::image& image, const exec_options& options = {})
{
    auto staged = prepare(w.machine, image, options);
    INFO((staged ? std::string{} : Catch::StringMaker<fault>::convert(staged.error())));
    REQUIRE(staged);
    const plan_cost cost = staged->plan().cost;
    check_commit(w, image, *staged, options.trail);
    return cost;
}

/// A few pages of everything: an exec that is over soon.
template <described_port D> struct small_world : world<D> {
    using base = world<D>;

    explicit small_world(std::uint32_t seed) : base{seed, 40}
    {
        base::claim(4, 2);
        base::claim(12, 2);
        trail = base::start_log(12, 2);
        circle = {{base::at(5), base::page_size}, {base::at(4), base::page_size}};
        file = base::machine.stage(base::contents(base::page_bytes + 0x123, 1));
        base::early(seed % 2 == 0);
    }
    typename D::image image() const
    {
        const phys_range module = phys_range::of(base::at(8, 5), byte_count::of(base::page_bytes + 0x123));
        return D::image_of({{.destination = base::pages(4, 2), .file = circle},
                               {.destination = module, .role = segment_role::module, .file = file.extents},
                               {.destination = phys_range::of(module.last() + byte_count::of(1), byte_count::of(0x7d)),
                                   .what = content::zero}},
            base::at(4, 0x20));
    }

    phys_addr trail;
    std::vector<extent> circle;
    sim::staged_bytes file;
};

} // namespace lobos::conformance
