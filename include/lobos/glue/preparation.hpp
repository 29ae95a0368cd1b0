// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The stages of prepare(), one function each, in the order in which they run. What a stage takes belongs to the
/// `staged_exec` in the making, which gives it back when a later one fails.

#include <algorithm>
#include <new>
#include <utility>

#include <lobos/glue/exec_tables.hpp>
#include <lobos/glue/staged_exec.hpp>
#include <lobos/handoff/contract.hpp>
#include <lobos/plan/place_rules.hpp>
#include <lobos/plan/skip_cutter.hpp>
#include <lobos/plan/step_chain.hpp>

namespace lobos {

/// What prepare() is told beside the image.
struct exec_options {
    /// Whether the copy runs with virtual memory on or off.
    copy_regime copy = copy_regime::paged;
    /// Where in a surviving region the overlay leaves its breadcrumb; nothing for none.
    std::optional<phys_addr> trail = {};
    /// Called after each stage, for a kernel that wants to show or time them; when more room turns out to be needed the
    /// stages begin again.
    void (*after)(stage, void*) = nullptr;
    void* context = nullptr;
};

/// How much an attempt at a preparation has room for. What it takes shows only on the way: runs may have to be cut, and
/// how many tables map them, and how many of those are neighbours, depends on the pages that the glue gives.
struct preparation_room {
    std::size_t runs = 64;       ///< of bytes that are copied in one go
    std::size_t safe_pages = 64; ///< beside those of steps and parameters; neighbours of one role count as one
};

/// Not for embedders: prepare() is the way in. A kernel may know a dozen contracts, so what there is of them here is
/// the templates that run() goes through, and the rest is compiled once.
template <kernel_glue Glue, checksum_policy Sum> class preparation {
    using port = Glue::port;
    using paging = port::paging;
    using staged = staged_exec<Glue, Sum>;
    static constexpr byte_count page_size = port::page_size;

public:
    preparation(Glue& glue, const contract_terms& terms, const exec_options& options)
        : glue_{glue},
          terms_{terms},
          options_{options},
          out_{glue}
    {
    }
    preparation(const preparation&) = delete;

    /// Runs all stages with that much room; the terms are `contract`'s. Precondition: nothing has been run.
    template <class Contract> result<staged> run(const Contract& contract, const preparation_room& room)
    {
        using entry = entry_paging<Contract, paging>;
        result<void> ok = look_at_machine();
        if (ok)
            ok = take_way(port::template route_of<Contract>(options_.copy));
        if (ok)
            ok = look_at_destinations();
        if (ok)
            ok = reserve(room);
        if (ok)
            ok = put_in_place();
        if (ok)
            ok = after(stage::planning, make_steps());
        if (ok)
            ok = place();
        if (ok)
            ok = after(stage::mapping, make_entry_tables<entry>());
        if (ok)
            ok = write_parameters(contract);
        if (ok)
            ok = after(stage::staging, write_machinery(contract.registers(parameter_pages())));
        if (ok)
            ok = after(stage::verifying, prove<entry>(contract));
        out_.pages_.give_back_rejected();
        if (!ok)
            return std::unexpected{ok.error()};
        return std::move(out_);
    }

    /// The room for another try, when it was room that was missing.
    std::optional<preparation_room> wanted() const { return wanted_; }

private:
    /// `stage` has ended in this way.
    result<void> after(stage finished, result<void> how) const
    {
        if (how && options_.after)
            options_.after(finished, options_.context);
        return how;
    }

    result<void> look_at_machine()
    {
        out_.facts_ = glue_.processor().facts();
        out_.generation_ = glue_.memory_generation();
        plan_.page = page_size;
        return port::accepts(out_.facts_);
    }

    result<void> take_way(const result<typename port::route>& way)
    {
        if (!way)
            return std::unexpected{way.error()};
        way_ = *way;
        return {};
    }

    /// Rule 1 will ask it again. But what an image says of its size can be any number, and nothing here had better go
    /// through memory that is not there, frame by frame.
    result<void> look_at_destinations() const
    {
        if (const auto at = rules::first_not_usable(terms_.segments, glue_.memory_map()))
            return refuse(fault_code::destination_not_usable, stage::planning, *at);
        return {};
    }

    /// Storage for all lists.
    result<void> reserve(const preparation_room& room)
    {
        expects(terms_.parameter_pages <= max_parameter_pages, "a contract has few pages of parameters");
        room_ = room;
        const std::size_t runs = room.runs;
        const auto& map = glue_.memory_map();
        constexpr std::size_t at_least = 128; // steps in a page: a power of two, for not every machine can divide
        static_assert(plan_page::capacity >= at_least);
        const std::size_t pages = runs / at_least + 1;
        const std::size_t regions = map.regions().size();
        const std::size_t safe = pages + max_parameter_pages + room.safe_pages + regions;
        const std::size_t segments = terms_.segments.size();
        using sum = staged::sum_value;
        static_assert(alignof(sum) <= alignof(region), "what a checksum comes to lies behind the lists, without a gap");
        const std::size_t writes = segments + runs + overlay_program::max_skips; // each cuts one step at most
        const std::size_t bytes = writes * sizeof(planner_run) + runs * sizeof(overlay_step) +
            segments * sizeof(segment) + 2 * runs * sizeof(extent) + safe * sizeof(safe_region) +
            max_parameter_pages * sizeof(extent) + (regions + 2 * safe + 1) * sizeof(region) +
            2 * segments * sizeof(sum) + page_size.raw();
        if (const auto borrowed = out_.workspace_.borrow(bytes); !borrowed)
            return borrowed;
        runs_ = out_.workspace_.template carve<planner_run>(writes);
        steps_ = out_.workspace_.template carve<overlay_step>(runs);
        image_ = out_.workspace_.template carve<segment>(segments);
        extents_ = out_.workspace_.template carve<extent>(runs);
        parameter_extents_ = out_.workspace_.template carve<extent>(terms_.parameter_pages);
        out_.frames_.keep_list_in(out_.workspace_.template carve<extent>(runs));
        out_.pages_.keep_list_in(out_.workspace_.template carve<safe_region>(safe));
        handed_storage_ = out_.workspace_.template carve<region>(regions + 2 * safe + 1);
        out_.sums_.image = out_.workspace_.template carve<sum>(segments); // of any size, so they come last
        out_.sums_again_.image = out_.workspace_.template carve<sum>(segments);
        scratch_ = out_.workspace_.template carve<std::byte>(page_size.raw());
        return {};
    }

    result<phys_addr> take(safe_role role)
    {
        const phys_range reach = port::machinery_reach(way_);
        return in_list(out_.pages_.take(
            role, terms_.segments, role == safe_role::parameters ? terms_.parameters_in(reach) : reach));
    }

    /// `done`; if it is refused because the list of safe pages is full, a longer one is wanted.
    template <class Result> Result in_list(Result done)
    {
        if (!done && done.error().code == fault_code::no_space)
            wanted_ = {room_.runs, 4 * room_.safe_pages};
        return done;
    }

    /// `done`; if it is refused for want of room, that is what is wanted. Its `at` is a number of runs then.
    template <class Result> Result in_room(Result done)
    {
        if (!done && done.error().code == fault_code::no_space)
            wanted_ = {std::max(static_cast<std::size_t>(done.error().at), 2 * room_.runs), room_.safe_pages};
        return done;
    }

    /// What can lie in place already; and the pages of parameters, for the segments that are made of them. As these are
    /// written last, no such segment is in place early.
    result<void> put_in_place()
    {
        if (const auto done = in_room(out_.frames_.stage(terms_.segments, image_, extents_)); !done)
            return done;
        for (std::size_t i = 0; i < parameter_extents_.size(); ++i) {
            const auto page = take(safe_role::parameters);
            if (!page)
                return std::unexpected{page.error()};
            parameters_[i] = *page;
            parameter_extents_[i] = {*page, page_size};
        }
        out_.told_ = parameter_extents_;
        for (segment& s : image_)
            if (s.what == content::parameters) {
                s.what = content::copy;
                s.file = parameter_extents_;
            }
        return {};
    }

    std::span<const phys_addr> parameter_pages() const { return std::span{parameters_}.first(terms_.parameter_pages); }

    /// The order of the copy for the rest. The bounce page comes first: it is part of the steps.
    result<void> make_steps()
    {
        const auto bounce = take(safe_role::bounce);
        if (!bounce)
            return std::unexpected{bounce.error()};
        plan_.bounce = *bounce;
        const auto cost = in_room(make_plan(image_, phys_range::of(*bounce, page_size), runs_, steps_));
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
        plan_.entered_paged = terms_.entered_paged;
        plan_.virtual_layout = terms_.virtual_layout;
        plan_.entry = terms_.entry;
        return tables().make_for_copy(glue_.memory(), out_.facts_.table_root, aliases_, steps_, out_.pages_.regions(),
            [&] { return take(safe_role::page_table); });
    }

    template <paging_traits Entry> result<void> make_entry_tables()
    {
        return tables().template make_for_entry<Entry>(glue_.memory(), [&] { return take(safe_role::page_table); });
    }

    exec_tables<port> tables() { return {plan_, way_, terms_, parameter_pages(), options_.trail}; }

    /// Copies the steps, cut around what they may not change, into a chain of plan pages.
    result<void> lay_out_steps()
    {
        const auto skips = make_program(); // what is taken from now on lies where no step goes
        if (!skips)
            return std::unexpected{skips.error()};
        const auto around = std::span{skips->skips}.first(static_cast<std::size_t>(skips->skip_count));
        const auto put = [&](const overlay_step& s) {
            return chain_.add(glue_.memory(), s, [&] { return take(safe_role::plan); });
        };
        for (const overlay_step& s : steps_)
            if (const auto cut = cut_around(s, around, put); !cut)
                return cut;
        plan_.cost.steps = chain_.steps();
        return {};
    }

    /// Of all that is filled, the parameters come first: only they can be refused.
    template <class Contract> result<void> write_parameters(const Contract& contract)
    {
        const std::span<const phys_addr> pages = parameter_pages();
        region_map handed_over{handed_storage_};
        if (const auto made = hand_over(handed_over); !made)
            return made;
        for (const phys_addr page : pages)
            store_zeros(glue_.memory(), page, page_size);
        return contract.write_parameters(glue_.memory(), handed_over, pages, scratch_);
    }

    result<void> write_machinery(const port::registers& values)
    {
        store_zeros(glue_.memory(), plan_.code, page_size);
        store_zeros(glue_.memory(), plan_.frame, page_size);
        const auto program = make_program();
        if (!program)
            return std::unexpected{program.error()};
        return port::write_machinery(
            glue_.memory(), plan_, way_, aliases_, out_.facts_, glue_.processor().code(), values, *program);
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
        program.first_page = chain_.first();
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
        const auto skips = std::span{program.skips}.first(static_cast<std::size_t>(program.skip_count));
        const auto by_address = [](const skip_range& a, const skip_range& b) { return a.first < b.first; };
        std::make_heap(skips.begin(), skips.end(), by_address); // a heap sort neither recurses nor allocates
        std::sort_heap(skips.begin(), skips.end(), by_address);
        return program;
    }

    /// The proof, of what lies in memory now; and the checksums that commit() will compare.
    template <paging_traits Entry, class Contract> result<void> prove(const Contract& contract)
    {
        if (const auto added = in_list(out_.pages_.add_surviving(glue_.memory_map())); !added)
            return added;
        plan_.safe = out_.pages_.regions();
        // The planner is through with its runs; the verifier takes their storage.
        static_assert(sizeof(verified_write) == sizeof(planner_run) && alignof(verified_write) == alignof(planner_run));
        auto* writes = reinterpret_cast<verified_write*>(runs_.data());
        for (std::size_t i = 0; i < runs_.size(); ++i)
            new (writes + i) verified_write;
        const auto verified = verify<port, Entry>(
            plan_, contract, glue_.memory_map(), glue_.memory(), std::span{writes, runs_.size()}, chain_.pages());
        if (!verified)
            return std::unexpected{verified.error()};
        out_.verified_ = *verified;
        out_.take_checksums(out_.sums_);
        return {};
    }

    Glue& glue_;
    const contract_terms& terms_;
    const exec_options& options_;
    staged out_;
    preparation_room room_ = {};
    std::optional<preparation_room> wanted_ = {};
    port::route way_ = {};
    departure_aliases aliases_ = {};
    exec_plan plan_ = {};
    std::span<planner_run> runs_ = {};
    std::span<overlay_step> steps_ = {};
    std::span<segment> image_ = {};
    std::span<extent> extents_ = {};
    std::span<extent> parameter_extents_ = {};
    std::span<region> handed_storage_ = {};
    std::span<std::byte> scratch_ = {};
    std::array<phys_addr, max_parameter_pages> parameters_ = {};
    step_chain chain_{page_size};
};

} // namespace lobos
