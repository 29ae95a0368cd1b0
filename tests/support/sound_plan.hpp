// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A small plan that every rule holds for, laid out in memory as a kernel would: a scattered image with two pages that
/// change places, zeros around a safe region in declared padding, three pages of steps, a clone of the running tables.
/// Tests break one thing at a time.

#include <stdexcept>
#include <vector>

#include <lobos/plan/verifier.hpp>
#include <lobos/x86/page.hpp>
#include <lobos/x86/paging_4m.hpp>

#include <tests/support/byte_memory.hpp>
#include <tests/support/overlay_memory.hpp>
#include <tests/support/sparse_memory.hpp>

namespace lobos::test {

struct sound_plan {
    using paging = x86::paging_4m;
    using context_type = verifier_context<sparse_memory>;

    // Where things lie: the first byte of each, each in a 4 MB page of its own where a test unmaps it.
    static constexpr phys_addr running_root = 0x0010'0000_pa;
    static constexpr phys_addr running_table = 0x0010'1000_pa;
    static constexpr phys_addr kernel = 0x0040'0000_pa; ///< five pages of copy, two of zeros, one of scratch
    static constexpr phys_addr zeros_at = 0x0040'5000_pa;
    static constexpr phys_addr survivor = 0x0040'6000_pa; ///< the log of an earlier kernel, in the zeros
    static constexpr phys_addr scratch = 0x0040'7000_pa;
    static constexpr phys_addr kept = 0x0050'0000_pa;
    static constexpr phys_addr staged = 0x0080'0000_pa; ///< where most of the file was read to
    static constexpr phys_addr code = 0x00c0'0000_pa;
    static constexpr phys_addr stack = 0x00c0'1000_pa;
    static constexpr phys_addr frame = 0x00c0'2000_pa;
    static constexpr phys_addr program_at = 0x00c0'2400_pa;
    static constexpr phys_addr plan_pages = 0x00c0'4000_pa; ///< three
    static constexpr phys_addr tables = 0x00c0'8000_pa;     ///< two
    static constexpr phys_addr parameters = 0x00c0'a000_pa;
    static constexpr phys_addr bounce = 0x0100'0000_pa;
    static constexpr phys_addr log = 0x0140'0000_pa;
    static constexpr phys_addr trail = 0x0140'0100_pa;
    static constexpr virt_addr switch_page = 0xd000'0000_va; ///< a 4 KB page
    static constexpr virt_addr kernel_at = 0xc040'0000_va;   ///< where a paged image finds itself
    static constexpr std::size_t steps_per_page = 2;

    // Indexes into `image` and `safe`.
    enum segment_index : std::uint8_t { copied, zeroed, scratched, was_kept, padded };
    enum safe_index : std::uint8_t {
        s_survivor,
        s_code,
        s_stack,
        s_frame,
        s_plan,
        s_tables,
        s_parameters,
        s_bounce,
        s_log
    };

    sparse_memory memory;
    memory_map firmware{
        {phys_range::of(0_pa, 32_MiB), region_kind::usable}, {page_of(survivor), region_kind::surviving}};
    std::vector<extent> file{{0x0080'8000_pa, 16_bytes}, {0x0040'1000_pa, 4_KiB}, {0x0040'0000_pa, 4_KiB},
        {0x0040'2000_pa, 4_KiB}, {0x0080'0800_pa, 4_KiB}, {0x0080'3000_pa, 6_KiB}, {0_pa, 0_bytes}};
    std::vector<segment> image{
        {.destination = phys_range::of(kernel, 20_KiB), .file = file, .file_offset = 16_bytes},
        {.destination = phys_range::of(zeros_at, 8_KiB), .what = content::zero},
        {.destination = page_of(scratch), .what = content::scratch},
        {.destination = page_of(kept), .what = content::kept, .role = segment_role::module},
        {.destination = page_of(survivor), .what = content::padding},
    };
    std::vector<safe_region> safe{
        {page_of(survivor), safe_role::log},
        {page_of(code), safe_role::code},
        {page_of(stack), safe_role::stack},
        {page_of(frame), safe_role::frame},
        {phys_range::of(plan_pages, 12_KiB), safe_role::plan},
        {phys_range::of(tables, 8_KiB), safe_role::page_table},
        {page_of(parameters), safe_role::parameters},
        {page_of(bounce), safe_role::bounce},
        {page_of(log), safe_role::log},
    };
    std::vector<virtual_segment> layout{{virt_range::of(kernel_at, 20_KiB), kernel, true}};
    std::vector<overlay_step> steps;
    overlay_program program{plan_page::no_page, trail.raw(), 1, {{survivor.raw(), survivor.raw() + 4095}}};
    std::vector<verified_write> writes = std::vector<verified_write>(16);
    std::size_t most_plan_pages = 3;
    exec_plan plan;

    sound_plan()
    {
        plan.code = code;
        plan.page = x86::page_size;
        plan.code_size = 100_bytes;
        plan.stack = stack;
        plan.frame = frame;
        plan.program = program_at;
        plan.bounce = bounce;
        plan.regime = copy_regime::paged;
        plan.running_root = running_root;
        plan.switch_page = switch_page;
        plan.entry = virt_addr::at(kernel.raw() + 0x20);
        for (std::uint32_t i = 0; i < 0x9000; i += 4)
            store(memory, staged + byte_count::of(i), 0x5700'0000 + i);
        for (std::uint32_t i = 0; i < 0x8000; i += 4)
            store(memory, kernel + byte_count::of(i), 0x0a00'0000 + i);
        make_steps();
        make_tables();
        lay_out();
    }
    sound_plan(const sound_plan&) = delete;

    /// Writes program and steps to memory, and lets the plan see the lists.
    void lay_out()
    {
        const std::uint64_t pages[] = {
            plan_pages.raw() + 0x1000, plan_pages.raw(), plan_pages.raw() + 0x2000, plan_pages.raw() + 0x3000};
        program.first_page = put_steps(memory, steps, pages, steps_per_page);
        put_program();
    }
    void put_program()
    {
        store(memory, program_at, program);
        plan.image = image;
        plan.safe = safe;
        plan.virtual_layout =
            plan.entered_paged ? std::span<const virtual_segment>{layout} : std::span<const virtual_segment>{};
    }

    /// Where it belongs in the list.
    void add_safe(const safe_region& r)
    {
        const auto behind =
            std::ranges::find_if(safe, [&](const safe_region& other) { return other.range.first() > r.range.first(); });
        safe.insert(behind, r);
    }

    void enter_paged()
    {
        plan.entered_paged = true;
        plan.entry = kernel_at + 0x20_bytes;
        put_program();
    }

    context_type context() { return {plan, firmware.map, memory, writes, most_plan_pages}; }

    /// A directory entry of the tables at `root`, for `v`.
    std::uint32_t directory_entry(phys_addr root, virt_addr v)
    {
        return load<std::uint32_t>(memory, entry_at(root, v));
    }
    void set_directory_entry(phys_addr root, virt_addr v, std::uint32_t bits)
    {
        store(memory, entry_at(root, v), bits);
    }

    static constexpr phys_range page_of(phys_addr a) { return phys_range::of(a, x86::page_size); }

private:
    static phys_addr entry_at(phys_addr root, virt_addr v) { return root + byte_count::of((v.raw() >> 22) * 4); }

    void make_steps()
    {
        // By hand: what the rules are tested with is not what the planner makes of it. Tests name them by their index.
        steps = {{0x0040'3000, 0x0080'0800, 0x1000}, {0x0040'4000, 0x0080'3000, 0x1000},
            overlay_step::fill(0x0040'5000, 0x2000), {bounce.raw(), 0x0040'0000, 0x1000},
            {0x0040'0000, 0x0040'1000, 0x1000}, {0x0040'1000, bounce.raw(), 0x1000}};
        plan.cost = {
            .steps = steps.size(), .copied = 16_KiB, .zeroed = 8_KiB, .in_place = 4_KiB, .bounced = 4_KiB, .cycles = 1};
    }

    void make_tables()
    {
        for (std::uint64_t i = 0; i < 8; ++i) {
            const auto leaf = paging::entry<1>::leaf(phys_addr::at(i << 22), access::read_write).bits;
            set_directory_entry(running_root, virt_addr::at(i << 22), leaf);
            set_directory_entry(running_root, virt_addr::at(0xc000'0000 + (i << 22)), leaf);
        }
        set_directory_entry(running_root, switch_page, paging::entry<1>::table(running_table).bits);
        store(memory, running_table, paging::entry<0>::leaf(code, access::read_write).bits);
        const auto wanted = [&](auto put) -> result<void> {
            for (const phys_addr a : {kernel, staged, code, bounce, log})
                if (const auto done = put(identity_mapping<paging>(page_of(a))); !done)
                    return done;
            return put(mapping{virt_range::of(kernel_at, 4_MiB), kernel, access::read_write});
        };
        const virt_range keep[] = {virt_range::of(switch_page, x86::page_size)};
        phys_addr next = tables;
        const auto frames = [&]() -> result<phys_addr> {
            const phys_addr page = next;
            next += x86::page_size;
            return page;
        };
        const auto made = clone_page_tables<paging>(memory, running_root, keep, wanted, frames);
        if (!made || made->tables != 2)
            throw std::logic_error{"sound_plan: no tables"};
        made->flush.done_by_loading_the_root();
        plan.new_root = made->root;
        plan.entry_root = made->root;
        plan.table_pages = made->tables;
    }
};

/// A port whose departure is always sound, and whose one register is the first word of the frame.
struct easy_port {
    using paging = x86::paging_4m;
    using registers = std::uint32_t;
    template <class Entry, class Context> static result<void> departure_is_sound(const Context&) { return {}; }
    template <class Context> static registers registers_found(const Context& c)
    {
        return load<std::uint32_t>(c.memory, c.plan.frame);
    }
};

/// A contract of a word in the parameters, that is met when it is the register's.
struct word_contract {
    template <class Context> result<void> is_met(const Context& c, std::uint32_t found) const
    {
        if (load<std::uint32_t>(c.memory, sound_plan::parameters) != found)
            return refuse(fault_code::entry_contract_broken, stage::verifying, sound_plan::parameters);
        return {};
    }
};

inline fault refused(fault_code code, std::uint64_t at)
{
    return {code, stage::verifying, at};
}
inline fault refused(fault_code code, phys_addr at)
{
    return refused(code, at.raw());
}

} // namespace lobos::test
