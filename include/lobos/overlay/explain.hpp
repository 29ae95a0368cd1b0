// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The paper's `testonly` [lobos/2000 fig. 6]: the overlay's own loop over the overlay's own program, without a write.
/// What it counts is therefore what would happen, not what was meant to.

#include <lobos/core/text.hpp>
#include <lobos/overlay/copy_loop.hpp>
#include <lobos/plan/plan.hpp>

namespace lobos {

/// What a run of the overlay would do.
struct overlay_effect {
    std::uint64_t read = 0;       ///< bytes of the staged image, those saved to the bounce page twice
    std::uint64_t written = 0;    ///< bytes, bounce page included
    std::uint64_t lowest = ~0ull; ///< first and last byte written
    std::uint64_t highest = 0;
};

namespace detail {

/// Reads the program, but no clock; notes what it would read of the image, and write, instead of doing it.
template <physical_memory M> struct dry_memory {
    using address = std::uint64_t;
    using word = std::uint64_t;
    M& memory;
    overlay_effect& effect;

    std::uint64_t load_u64(address at) const { return load<std::uint64_t>(memory, phys_addr::at(at)); }
    word load_word(address)
    {
        effect.read += sizeof(word);
        return 0;
    }
    std::uint8_t load_byte(address)
    {
        ++effect.read;
        return 0;
    }
    void store_word(address at, word) { note(at, sizeof(word)); }
    void store_byte(address at, std::uint8_t) { note(at, 1); }
    void store_u32(address, std::uint32_t) {} // the trail, which is not the image's
    void store_u64(address, std::uint64_t) {}
    std::uint64_t clock() const { return 0; }

private:
    void note(address at, std::uint64_t size)
    {
        effect.written += size;
        effect.lowest = std::min(effect.lowest, at);
        effect.highest = std::max(effect.highest, at + (size - 1));
    }
};

} // namespace detail

/// Runs the program of `plan` without its writes. `plan` must have been verified.
template <physical_memory M> overlay_effect try_overlay(M& memory, const exec_plan& plan)
{
    overlay_effect effect;
    detail::dry_memory<M> dry{memory, effect};
    overlay::run(dry, plan.program.raw());
    return effect;
}

/// Bytes that the overlay would copy into the image's destinations, and fill with zeros there.
inline byte_count copied(const exec_plan& plan, const overlay_effect& effect)
{
    return byte_count::of(effect.read) - plan.cost.bounced;
}
inline byte_count zeroed(const overlay_effect& effect)
{
    return byte_count::of(effect.written - effect.read);
}

/// Bytes that the overlay leaves out because a safe region lies there.
inline byte_count skipped(const exec_plan& plan, const overlay_effect& effect)
{
    return plan.cost.copied + plan.cost.zeroed + plan.cost.bounced - byte_count::of(effect.written);
}

/// Tells `line(std::string_view)` what the plan would do, one line at a time. Nothing is written but the lines.
template <physical_memory M, class Line> void explain(M& memory, const exec_plan& plan, Line line)
{
    const auto range = [](text_line& out, phys_range r) -> text_line& {
        return out.add(r.first()).add(" - ").add(r.last());
    };
    for (const segment& s : plan.image) {
        text_line out;
        range(out.add("segment "), s.destination).add("  ").add(to_string(s.role)).add(", ").add(to_string(s.what));
        line(out.view());
    }
    for (const safe_region& r : plan.safe) {
        text_line out;
        range(out.add("safe    "), r.range).add("  ").add(to_string(r.role));
        line(out.view());
    }
    const overlay_effect effect = try_overlay(memory, plan);
    line(text_line{"steps "}
            .add_decimal(plan.cost.steps)
            .add(", cycles ")
            .add_decimal(plan.cost.cycles)
            .add(", bytes copied ")
            .add(copied(plan, effect))
            .add(", zeroed ")
            .add(zeroed(effect))
            .add(", bounced ")
            .add(plan.cost.bounced)
            .add(", skipped ")
            .add(skipped(plan, effect))
            .add(", in place ")
            .add(plan.cost.in_place)
            .view());
    line(text_line{"tables at "}.add(plan.new_root).add(", ").add_decimal(plan.table_pages).add(" pages").view());
    line(text_line{"entry "}.add(plan.entry).add(plan.entered_paged ? ", paging on" : ", paging off").view());
}

} // namespace lobos
