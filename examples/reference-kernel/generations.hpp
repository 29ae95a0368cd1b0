// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// This kernel and those before and after it: what their log says, and the command line of the next one.

#include "options.hpp"
#include "report.hpp"

#include <lobos/machine/exceptions.hpp>

namespace kernel {

inline constexpr std::string_view first_words = "reference kernel, generation ";

/// The log of the kernels before at `region`, or a new one. True when it is theirs.
inline bool take_up_log(const std::optional<lobos::phys_range>& region)
{
    using namespace lobos;
    if (!region) {
        out.show("log: there is no room for one");
        return false;
    }
    auto found = surviving_log<linear_memory>::open(memory, *region);
    const bool survived = found.has_value();
    if (!survived)
        found = surviving_log<linear_memory>::create(memory, *region);
    if (!found) {
        out.show("log: there is no room for one");
        return false;
    }
    out.log = *found;
    if (!survived)
        out.show(text_line{"log: none survives, new ring at "}.add(found->memory_range().first()));
    return survived;
}

/// Says what the last of the kernels before said; and what became of its exec, if that was not this kernel.
inline void read_log()
{
    using namespace lobos;
    std::size_t lines = 0;
    std::size_t last_generation = 0; // the first line of the kernel that was here before
    std::uint32_t generation = 0;
    const auto read = out.log->for_each([&](std::string_view text) {
        if (text.starts_with(first_words)) {
            last_generation = lines;
            std::string_view rest = text_from(text, first_words.size());
            generation = number(take_until(rest, ','));
        }
        ++lines;
    });
    text_line told{"log: "};
    told.add_decimal(lines).add(" lines survive from earlier generations");
    if (!read)
        told.add(", and then it is corrupt");
    out.show(told);
    std::size_t line = 0;
    (void)out.log->for_each([&](std::string_view text) {
        if (line++ >= last_generation)
            out.show(text_line{"survived: "}.add(text));
    });
    const auto crumb = load<breadcrumb>(memory, out.log->trail());
    report_trail(crumb);
    if (ended_early(crumb)) {
        out.say(text_line{"guard: exec of generation "}
                .add_decimal(generation)
                .add(" ")
                .add(guard_record<lobos::machine::exceptions>(crumb).view()));
        store(memory, out.log->trail(), breadcrumb{});
    }
}

/// A number for a whole map.
inline std::uint32_t checksum_of(const lobos::region_map& map)
{
    lobos::crc32c sum;
    for (const lobos::region& r : map.regions()) {
        const std::uint64_t words[] = {r.range.first().raw(), r.range.last().raw(), static_cast<std::uint64_t>(r.kind)};
        sum.update(std::as_bytes(std::span{words}));
    }
    return sum.value();
}

/// A command line in the making. The buffer is larger than the one this kernel's own was read into.
class line_writer {
public:
    explicit line_writer(std::span<char> buffer) : buffer_{buffer} {}
    void put(std::string_view s)
    {
        lobos::expects(s.size() <= buffer_.size() - used_, "a command line has room for what was read");
        used_ += s.copy(buffer_.data() + used_, s.size());
    }
    std::string_view view() const { return {buffer_.data(), used_}; }

private:
    std::span<char> buffer_;
    std::size_t used_ = 0;
};

/// For this kernel's next self: one generation further.
inline std::string_view next_command_line(std::span<char> buffer, const options& own)
{
    line_writer line{buffer};
    line.put("reference-kernel");
    for (std::string_view rest = own.own; !rest.empty();) {
        const std::string_view word = take_until(rest, ' ');
        if (word.starts_with("generation="))
            continue;
        line.put(" ");
        line.put(word);
    }
    line.put(lobos::text_line{" generation="}.add_decimal(own.generation + 1).view());
    line.put(" -- ");
    line.put(own.target);
    return line.view();
}

} // namespace kernel
