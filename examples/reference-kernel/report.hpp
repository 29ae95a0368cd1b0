// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What this kernel says about an exec: a line for each stage, and numbers for whoever draws a picture of it. Lines
/// that begin with `picture:` and `report:` are read by programs, and are not kept in the log.

#include "clock.hpp"
#include "console.hpp"
#include <machine.hpp>

#include <lobos/overlay/explain.hpp>

namespace kernel {

/// How long each stage took.
class stage_times {
public:
    enum part { read, load, plan, stage, verify, parts };
    static constexpr std::array<std::string_view, parts> names = {"read", "load", "plan", "stage", "verify"};

    void restart() { watch_.lap(); }
    void finished(part p) { microseconds_[p] += watch_.lap(); }

    /// For exec_options::after.
    static void after(lobos::stage done, void* times)
    {
        const part p = done == lobos::stage::planning ? plan : done == lobos::stage::verifying ? verify : stage;
        static_cast<stage_times*>(times)->finished(p);
    }

    std::uint64_t microseconds(part p) const { return microseconds_[p]; }

private:
    stopwatch watch_;
    std::array<std::uint64_t, parts> microseconds_{};
};

inline void number_line(std::string_view key, std::uint64_t number, std::string_view unit)
{
    out.show(lobos::text_line{"report: "}.add(key).add(" = ").add_decimal(number).add(" ").add(unit));
}

inline void picture_line(
    std::string_view when, lobos::phys_range r, std::string_view what, std::string_view detail = {})
{
    out.show(
        lobos::text_line{"picture: "}.add(when).add(" ").add(r.first()).add(" ").add(r.last()).add(" ").add(what).add(
            detail));
}

inline void report_loaded(std::span<const lobos::segment> segments, stage_times& times)
{
    times.finished(stage_times::load);
    lobos::text_line line{"loaded:"};
    for (const lobos::segment& s : segments)
        if (s.what == lobos::content::copy)
            line.add(" ").add(to_string(s.role)).add(" at ").add(s.destination.first()).add(",");
    out.say(line.add(" ").add_decimal(segments.size()).add(" segments"));
}

/// `loaded` is the image as it was before any of it was put in place.
inline void draw(const lobos::exec_plan& plan, std::span<const lobos::segment> loaded, const file_table& files)
{
    using namespace lobos;
    picture_line("before", own_image(), "old kernel");
    for (const file& f : files)
        picture_line("before", phys_range::of(f.at, f.size), "file ", f.path);
    std::optional<phys_range> hull;
    std::size_t staged_pages = 0;
    const extent* counted = nullptr; // segments of one file follow each other
    for (const segment& s : loaded) {
        if (s.file.data() == counted)
            continue;
        counted = s.file.data();
        staged_pages += s.file.size();
        for (const extent& e : s.file) {
            const auto r = phys_range::of(e.at, e.size);
            hull = hull ? phys_range::between(std::min(hull->first(), r.first()), std::max(hull->last(), r.last())) : r;
        }
    }
    if (hull)
        picture_line("before", *hull, "staged image, scattered over ",
            text_line{}.add_decimal(staged_pages).add(" pages").view());
    for (const segment& s : plan.image)
        picture_line(
            "after", s.destination, text_line{"new "}.add(to_string(s.role)).add(", ").view(), to_string(s.what));
    for (const safe_region& r : plan.safe) {
        picture_line("before", r.range, "safe: ", to_string(r.role));
        picture_line("after", r.range, "safe: ", to_string(r.role));
    }
}

/// Everything about a verified exec.
inline void report(const lobos::exec_plan& plan, std::span<const lobos::segment> loaded, std::uint32_t checksum,
    const file_table& files, const stage_times& times)
{
    using namespace lobos;
    const overlay_effect effect = try_overlay(memory, plan);
    out.say(text_line{"planned: "}
            .add_decimal(plan.cost.steps)
            .add(" steps, ")
            .add_decimal(plan.cost.cycles)
            .add(" cycles, plan CRC ")
            .add_hex(checksum, 8));
    out.say(text_line{"verified: every rule holds, "}.add_decimal(plan.safe.size()).add(" safe regions"));
    out.say(text_line{"staged: "}
            .add_decimal(plan.table_pages)
            .add(plan.table_pages == 1 ? " page of tables, entry " : " pages of tables, entry ")
            .add(plan.entry)
            .add(plan.entered_paged ? ", paging on" : ", paging off"));
    draw(plan, loaded, files);
    number_line("bytes copied", copied(plan, effect).raw(), "bytes");
    number_line("bytes zeroed", zeroed(effect).raw(), "bytes");
    number_line("bytes skipped", skipped(plan, effect).raw(), "bytes");
    number_line("bytes in place", plan.cost.in_place.raw(), "bytes");
    number_line("bounced bytes", plan.cost.bounced.raw(), "bytes");
    number_line("steps", plan.cost.steps, "steps");
    number_line("page-table bytes", plan.table_pages * page_size.raw(), "bytes");
    number_line("safe regions", plan.safe.size(), "regions");
    for (std::size_t p = 0; p < stage_times::parts; ++p)
        number_line(stage_times::names[p], times.microseconds(static_cast<stage_times::part>(p)), "microseconds");
}

/// Of memory as it is, for a test that knows what it put there.
inline void report_checksum(lobos::phys_addr at, lobos::byte_count size)
{
    lobos::crc32c sum;
    sum.update({pointer_to(at), static_cast<std::size_t>(size.raw())});
    out.show(lobos::text_line{"checksum of "}.add(at).add(", ").add(size).add(" bytes: ").add_hex(sum.value(), 8));
}

/// What the overlay that brought this kernel here has left behind.
inline void report_trail(const lobos::breadcrumb& crumb)
{
    if (crumb.stage != static_cast<std::uint32_t>(lobos::overlay_stage::copied) || crumb.ticks_per_ms == 0)
        return;
    const std::uint64_t took = crumb.copy_ticks() * 1000 / crumb.ticks_per_ms;
    number_line("copy", took, "microseconds");
}

} // namespace kernel
