// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What all ways into an image have in common: where an exec starts from, its last part, and the words for a refusal.
/// Each family of images has a header of its own beside this one, with a function for each of its entries.

#include "arena.hpp"
#include "files.hpp"
#include "frames.hpp"
#include "options.hpp"
#include "report.hpp"
#include <glue.hpp>
#include <machine.hpp>

#include <lobos/kernel_exec.hpp>

namespace kernel {

/// The bytes of a file that was read in.
using image_bytes = lobos::staged_file<linear_memory>;

/// What an exec of an image that was read in starts from.
struct exec_request {
    glue& own;
    const machine& host;
    const options& asked;
    const file& name; ///< the image's, where the loader put it
    const file_in_memory& image;
    std::string_view command_line; ///< as a multiboot loader gives it, with the image's name in front
    stage_times& times;
};

/// Why an exec was refused, in words.
inline lobos::text_line in_words(const lobos::fault& refused)
{
    return lobos::text_line{to_string(refused.code)}
        .add(" at ")
        .add_hex(refused.at, 8)
        .add(" while ")
        .add(to_string(refused.in));
}
inline lobos::text_line in_words(std::string_view name, std::string_view problem)
{
    return lobos::text_line{problem}.add(": ").add(name);
}

/// A file's bytes, as they are to be staged: where the copy finds them. Faults: those of file_in_memory.
inline lobos::result<file_in_memory> read(const file& f, const options& asked)
{
    return asked.in_place ? file_in_memory::in_place(f)
                          : file_in_memory::read(f, asked.unpaged ? lobos::below_4g : mapped_memory);
}

/// What `use` says of the file `name`, read in; or why there is none.
template <class Use> lobos::text_line with_file(const exec_request& request, std::string_view name, const Use& use)
{
    const auto f = find_file(request.host.files, name);
    if (!f)
        return in_words(name, f.error());
    const auto f_in = read(*f, request.asked);
    return f_in ? use(*f_in) : in_words(f_in.error());
}

/// From a loaded image to the new kernel. Returns only when that is refused.
template <class Contract> lobos::text_line go(const exec_request& request, const Contract& contract)
{
    using namespace lobos;
    report_loaded(contract.segments(), request.times);
    exec_options wanted;
    wanted.copy = request.asked.unpaged ? copy_regime::unpaged : copy_regime::paged;
    if (out.log)
        wanted.trail = out.log->trail();
    wanted.after = &stage_times::after;
    wanted.context = &request.times;
    request.times.restart();
    auto staged = prepare(request.own, contract, wanted);
    if (!staged)
        return in_words(staged.error());
    report(staged->plan(), contract.segments(), staged->checksum(), request.host.files, request.times);
    if (out.log) {
        const breadcrumb crumb{.stage = static_cast<std::uint32_t>(overlay_stage::prepared),
            .ticks_per_ms = timer.ticks_per_ms(),
            .steps = 0,
            .began = 0,
            .ended = 0,
            .exception = 0,
            .error = 0,
            .at = 0,
            .touched = 0};
        store(memory, out.log->trail(), crumb);
    }
    const fault refused = commit(*staged);
    if (out.log)
        store(memory, out.log->trail(), breadcrumb{}); // nothing was under way
    return in_words(refused);
}

/// The system call of the paper [lobos/2000 fig. 3], kernel mode only: replaces this kernel by the file `name`, the way
/// that `exec` goes, from the file, what was read in of it, and the times. Returns when that was refused: one line has
/// said why, and everything is as it was.
template <class Exec>
void sys_lobos(const file_table& files, const options& asked, std::string_view name, const Exec& exec)
{
    out.say(lobos::text_line{"exec "}.add(name));
    const lobos::text_line refused = [&] {
        const auto f = find_file(files, name);
        if (!f)
            return in_words(name, f.error());
        stage_times times;
        const auto in = read(*f, asked);
        if (!in)
            return in_words(in.error());
        times.finished(stage_times::read);
        return exec(*f, *in, times);
    }();
    lobos::expects(workspace.used() == 0, "a refused exec leaves no workspace behind");
    out.say(lobos::text_line{"fault: "}.add(refused.view()));
    out.say(lobos::text_line{"still running, "}.add_decimal(frame_pool.free()).add(" pages free"));
}

} // namespace kernel
