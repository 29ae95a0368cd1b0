// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The stages of prepare(), one function each, in the order in which they run. What a stage takes belongs to the
/// `staged_exec` in the making, which gives it back when a later one fails.

#include <new>
#include <utility>

#include <lobos/glue/exec_tables.hpp>
#include <lobos/glue/staged_exec.hpp>
#include <lobos/handoff/contract.hpp>
#include <lobos/plan/skip_cutter.hpp>

namespace lobos {

/// What prepare() is told beside the image.
struct exec_options {
    /// Whether the copy runs with virtual memory on or off.
    copy_regime copy = copy_regime::paged;
    /// Where in a surviving region the overlay leaves its breadcrumb; nothing for none.
    std::optional<phys_addr> trail = {};
    /// Called after each stage, for a kernel that wants to show or time them.
    void (*after)(stage, void*) = nullptr;
    void* context = nullptr;
};

/// Not for embedders: prepare() is the way in.
template <kernel_glue Glue, class Contract, checksum_policy Sum> class preparation {
    using port = Glue::port;
    using paging = port::paging;
    using staged = staged_exec<Glue, Contract, Sum>;

public:
    preparation(Glue& glue, const Contract& contract, const exec_options& options)
        : glue_{glue},
          contract_{contract},
          options_{options},
          out_{glue}
    {
    }
    preparation(const preparation&) = delete;

    /// Runs all stages with room for `runs` runs. no_space asks for another try with more.
    result<staged> run(std::size_t runs)
    {
        expects(contract_.parameter_pages() <= max_parameter_pages, "a contract has few pages of parameters");
        result<void> ok = reserve(runs);
        const auto then = [&](result<void> (preparation::*next)(), stage finished) {
            if (ok)
                ok = (this->*next)();
            if (ok && options_.after)
                options_.after(finished, options_.context);
        };
        if (ok)
            ok = put_in_place();
        then(&preparation::make_steps, stage::planning);
        then(&preparation::place, stage::mapping);
        then(&preparation::write_all, stage::staging);
        then(&preparation::prove, stage::verifying);
        out_.pages_.give_back_rejected();
        if (!ok)
            return std::unexpected{ok.error()};
        return std::move(out_);
    }

private:
    /// Storage, and the safe regions that were there before.
    result<void> reserve(std::size_t runs)
    {
        out_.facts_ = glue_.processor().facts();
        if (const auto accepted = port::accepts(out_.facts_); !accepted)
            return accepted;
        const auto way = port::template route_of<Contract>(options_.copy);
        if (!way)
            return std::unexpected{way.error()};
        way_ = *way;
        out_.generation_ = glue_.memory_generation();

        const auto& map = glue_.memory_map();
        const std::size_t pages = runs / plan_page::capacity + 1;
        const std::size_t regions = map.regions().size();
        const std::size_t safe = pages + max_parameter_pages + 64 + regions;
        const std::size_t segments = contract_.segments().size();
        using sum = staged::sum_value;
        const std::size_t writes = segments + runs + overlay_program::max_skips; // each cuts one step at most
        const std::size_t bytes = writes * sizeof(planner_run) + runs * sizeof(overlay_step) +
            segments * sizeof(segment) + 2 * runs * sizeof(extent) + safe * sizeof(safe_region) +
            max_parameter_pages * sizeof(extent) + (regions + 2 * safe + 1) * sizeof(region) +
            2 * segments * sizeof(sum);
        if (const auto borrowed = out_.workspace_.borrow(bytes); !borrowed)
            return borrowed;
        runs_ = out_.workspace_.template carve<planner_run>(writes);
        steps_ = out_.workspace_.template carve<overlay_step>(runs);
        image_ = out_.workspace_.template carve<segment>(segments);
        extents_ = out_.workspace_.template carve<extent>(runs);
        parameter_extents_ = out_.workspace_.template carve<extent>(contract_.parameter_pages());
        out_.frames_.keep_list_in(out_.workspace_.template carve<extent>(runs));
        out_.sums_.image = out_.workspace_.template carve<sum>(segments);
        out_.sums_again_.image = out_.workspace_.template carve<sum>(segments);
        out_.pages_.keep_list_in(out_.workspace_.template carve<safe_region>(safe));
        handed_storage_ = out_.workspace_.template carve<region>(regions + 2 * safe + 1);
        return {};
    }

    result<phys_addr> take(safe_role role)
    {
        const phys_range reach = port::machinery_reach(way_);
        return out_.pages_.take(
            role, contract_.segments(), role == safe_role::parameters ? parameter_reach(contract_, reach) : reach);
    }

    /// What can lie in place already; and the pages of parameters, for the segments that are made of them. As these are
    /// written last, no such segment is in place early.
    result<void> put_in_place()
    {
        if (const auto done = out_.frames_.stage(contract_.segments(), image_, extents_); !done)
            return done;
        for (std::size_t i = 0; i < parameter_extents_.size(); ++i) {
            const auto page = take(safe_role::parameters);
            if (!page)
                return std::unexpected{page.error()};
            parameters_[i] = *page;
            parameter_extents_[i] = {*page, page_size};
        }
        for (segment& s : image_)
            if (s.what == content::parameters) {
                s.what = content::copy;
                s.file = parameter_extents_;
            }
        return {};
    }

    std::span<const phys_addr> parameter_pages() const
    {
        return std::span{parameters_}.first(contract_.parameter_pages());
    }

    /// The order of the copy for the rest. The bounce page comes first: it is part of the steps.
    result<void> make_steps()
    {
        const auto bounce = take(safe_role::bounce);
        if (!bounce)
            return std::unexpected{bounce.error()};
        plan_.bounce = *bounce;
        const auto cost = make_plan(image_, *bounce, runs_, steps_);
        if (!cost)
            return std::unexpected{cost.error()};
        plan_.cost = *cost;
        steps_ = steps_.first(cost->steps);
        plan_.image = image_;
        return {};
    }

    /// Every page the overlay needs, and the tables in which it sees them.
    result<void> place()
    {
        result<void> ok;
        const auto page = [&](phys_addr& where, safe_role role) {
            const result<phys_addr> got = ok ? take(role) : result<phys_addr>{std::unexpected{ok.error()}};
            if (got)
                where = *got;
            else
                ok = std::unexpected{got.error()};
        };
        page(plan_.code, safe_role::code);
        page(plan_.stack, safe_role::stack);
        page(plan_.frame, safe_role::frame);
        plan_.program = plan_.frame + byte_count::of(port::program_offset);
        plan_.mode_page_count = port::mode_pages(way_);
        for (std::size_t i = 0; i < plan_.mode_page_count; ++i)
            page(plan_.mode_pages[i], safe_role::mode);
        if (ok)
            ok = lay_out_steps();
        if (!ok)
            return ok;

        const auto here = [&](virt_addr& where, phys_addr wanted) {
            const auto at = ok ? glue_.virtual_address(wanted) : std::optional<virt_addr>{};
            if (at)
                where = *at;
            else if (ok)
                ok = refuse(fault_code::not_mapped, stage::mapping, wanted);
        };
        here(aliases_.code, plan_.code);
        here(aliases_.frame, plan_.frame);
        here(aliases_.stack, plan_.stack);
        if (!ok)
            return ok;
        plan_.regime = options_.copy;
        plan_.switch_page = aliases_.code;
        out_.departure_ = port::departure(aliases_);
        out_.frame_ = port::frame_argument(aliases_);
        plan_.entered_paged = is_entered_paged<Contract>;
        plan_.virtual_layout = contract_.virtual_layout();

        exec_tables<port, Contract> tables{plan_, way_, parameter_pages(), options_.trail};
        const auto frames = [&] { return take(safe_role::page_table); };
        if (const auto made = tables.make_for_copy(
                glue_.memory(), out_.facts_.table_root, aliases_, steps_, out_.pages_.regions(), frames);
            !made)
            return made;
        return tables.make_for_entry(glue_.memory(), frames);
    }

    /// Copies the steps, cut around what they may not change, into a chain of plan pages.
    result<void> lay_out_steps()
    {
        const auto skips = make_program(); // what is taken from now on lies where no step goes
        if (!skips)
            return std::unexpected{skips.error()};
        const auto around = std::span{skips->skips}.first(static_cast<std::size_t>(skips->skip_count));
        auto& memory = glue_.memory();
        phys_addr page;
        std::uint64_t in_page = plan_page::capacity;
        std::size_t laid = 0;
        const auto put = [&](const overlay_step& s) -> result<void> {
            if (in_page == plan_page::capacity) {
                const auto next = take(safe_role::plan);
                if (!next)
                    return std::unexpected{next.error()};
                zero(*next, page_size.raw());
                store(memory, *next + byte_count::of(offsetof(plan_page, next)), std::uint64_t{plan_page::no_page});
                if (plan_pages_++ != 0)
                    store(memory, page + byte_count::of(offsetof(plan_page, next)), next->raw());
                else
                    first_page_ = next->raw();
                page = *next;
                in_page = 0;
            }
            store(memory, page + byte_count::of(offsetof(plan_page, steps) + in_page * sizeof(stored_step)),
                stored_step::of(s));
            store(memory, page + byte_count::of(offsetof(plan_page, count)), ++in_page);
            ++laid;
            return {};
        };
        for (const overlay_step& s : steps_)
            if (const auto cut = cut_around(s, around, put); !cut)
                return cut;
        plan_.cost.steps = laid;
        return {};
    }

    /// Fills what was placed. The parameters come first: only they can be refused.
    result<void> write_all()
    {
        auto& memory = glue_.memory();
        const std::span<const phys_addr> pages = parameter_pages();
        region_map handed_over{handed_storage_};
        if (const auto made = hand_over(handed_over); !made)
            return made;
        for (const phys_addr page : pages)
            zero(page, page_size.raw());
        if (const auto written = contract_.write_parameters(memory, handed_over, pages); !written)
            return written;

        zero(plan_.code, page_size.raw());
        zero(plan_.frame, page_size.raw());
        plan_.entry = contract_.entry();
        const auto program = make_program();
        if (!program)
            return std::unexpected{program.error()};
        return port::template write_machinery<Contract>(
            memory, plan_, way_, aliases_, out_.facts_, glue_.processor().code(), contract_.registers(pages), *program);
    }

    /// The memory map of the next kernel: the running one's, with the safe regions in it.
    result<void> hand_over(region_map& map)
    {
        if (const auto copied = map.copy_from(glue_.memory_map()); !copied)
            return copied;
        for (const safe_region& r : out_.pages_.regions())
            if (const auto added = map.add(r.range, region_kind::safe); !added)
                return added;
        return {};
    }

    /// Safe regions that the image's destinations touch are skipped; that the image allows it, the verifier proves.
    result<overlay_program> make_program()
    {
        overlay_program program{};
        program.first_page = first_page_;
        program.trail = options_.trail ? options_.trail->raw() : overlay_program::no_trail;
        result<void> ok;
        const auto skip = [&](phys_range r) {
            const bool touched = std::ranges::any_of(
                plan_.image, [&](const segment& s) { return s.occupies() && s.destination.overlaps(r); });
            if (!touched || !ok)
                return;
            if (program.skip_count == overlay_program::max_skips) {
                ok = refuse(fault_code::no_space, stage::staging, overlay_program::max_skips + 1);
                return;
            }
            program.skips[program.skip_count++] = {r.first().raw(), r.last().raw()};
        };
        for (const safe_region& r : out_.pages_.regions())
            skip(r.range);
        for (const region& r : glue_.memory_map().regions())
            if (r.kind == region_kind::surviving)
                skip(r.range);
        if (!ok)
            return std::unexpected{ok.error()};
        std::ranges::sort(
            std::span{program.skips}.first(static_cast<std::size_t>(program.skip_count)), {}, &skip_range::first);
        return program;
    }

    /// The proof, of what lies in memory now; and the checksums that commit() will compare.
    result<void> prove()
    {
        if (const auto added = out_.pages_.add_surviving(glue_.memory_map()); !added)
            return added;
        plan_.safe = out_.pages_.regions();
        // The planner is through with its runs; the verifier takes their storage.
        static_assert(sizeof(verified_write) == sizeof(planner_run) && alignof(verified_write) == alignof(planner_run));
        auto* writes = reinterpret_cast<verified_write*>(runs_.data());
        for (std::size_t i = 0; i < runs_.size(); ++i)
            new (writes + i) verified_write;
        const auto verified = verify<port, entry_paging<Contract, paging>>(
            plan_, contract_, glue_.memory_map(), glue_.memory(), std::span{writes, runs_.size()}, plan_pages_);
        if (!verified)
            return std::unexpected{verified.error()};
        out_.verified_ = *verified;
        out_.take_checksums(out_.sums_);
        return {};
    }

    void zero(phys_addr at, std::uint64_t size)
    {
        constexpr std::array<std::byte, 256> zeros{};
        for (std::uint64_t done = 0; done < size;) {
            const std::uint64_t here = std::min<std::uint64_t>(zeros.size(), size - done);
            glue_.memory().write(at + byte_count::of(done), std::span{zeros}.first(static_cast<std::size_t>(here)));
            done += here;
        }
    }

    Glue& glue_;
    const Contract& contract_;
    const exec_options& options_;
    staged out_;
    port::route way_ = {};
    port::aliases aliases_ = {};
    exec_plan plan_ = {};
    std::span<planner_run> runs_ = {};
    std::span<overlay_step> steps_ = {};
    std::span<segment> image_ = {};
    std::span<extent> extents_ = {};
    std::span<extent> parameter_extents_ = {};
    std::span<region> handed_storage_ = {};
    std::array<phys_addr, max_parameter_pages> parameters_ = {};
    std::uint64_t first_page_ = plan_page::no_page;
    std::size_t plan_pages_ = 0;
};

} // namespace lobos
