// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

/// \file
/// The reference kernel: a running protected-mode kernel with paging on, whose one purpose is to be replaced. It reads
/// a file into memory, has lobos stage and verify the exec, and goes; when that is refused it is still there, and
/// tries the next name.

#include "clock.hpp"
#include "glue.hpp"
#include "machine.hpp"
#include "options.hpp"
#include "report.hpp"
#include "rsdp.hpp"

#include <lobos/image/bzimage.hpp>
#include <lobos/image/elf.hpp>
#include <lobos/kernel_exec.hpp>
#include <lobos/x86/linux32_entry.hpp>
#include <lobos/x86/paged_entry.hpp>

namespace kernel {
namespace {

using namespace lobos;

machine this_machine;
options boot_options;

/// From a verified exec to the new kernel. Returns only with a fault.
template <class Contract> fault go(glue& g, const Contract& contract, const file_in_memory& in, stage_times& times)
{
    exec_options wanted;
    if (out.log)
        wanted.trail = out.log->trail();
    wanted.after = &stage_times::after;
    wanted.context = &times;
    times.restart();
    auto staged = prepare(g, contract, wanted);
    if (!staged)
        return staged.error();
    report(staged->plan(), staged->checksum(), this_machine.files, in.pages(), times);
    if (out.log) {
        const breadcrumb crumb{.stage = static_cast<std::uint32_t>(overlay_stage::prepared),
            .ticks_per_ms = timer.ticks_per_ms(), .steps = 0, .began = 0, .ended = 0};
        store(memory, out.log->trail(), crumb);
    }
    return commit(*staged);
}

/// A Linux kernel, by its 32-bit entry.
fault exec_linux(glue& g, const file_in_memory& in, stage_times& times)
{
    const linux_request request{.command_line = boot_options.target};
    if (boot_options.initrd.empty()) {
        const auto image = load_bzimage(in.source(), request, this_machine.map);
        if (!image)
            return image.error();
        report_loaded(image->segments, times);
        return go(g, x86::linux32_entry{*image, find_rsdp()}, in, times);
    }
    const auto initrd = find_file(this_machine.files, boot_options.initrd);
    if (!initrd) {
        out.say(text_line{"initrd "}.add(boot_options.initrd).add(": ").add(initrd.error()));
        return {fault_code::empty_image, stage::loading, 0};
    }
    const auto initrd_in = file_in_memory::read(*initrd);
    if (!initrd_in)
        return initrd_in.error();
    const auto image = load_bzimage(in.source(), initrd_in->source(), request, this_machine.map);
    if (!image)
        return image.error();
    report_loaded(image->segments, times);
    return go(g, x86::linux32_entry{*image, find_rsdp()}, in, times);
}

/// Another kernel like this one, entered with paging on. It finds the same files where they lie.
fault exec_paged(glue& g, const file_in_memory& in, std::string_view command_line, stage_times& times)
{
    const auto image = load_elf32(in.source(), x86::elf_machine);
    if (!image)
        return image.error();
    fixed_list<multiboot_module, file_table::capacity()> modules;
    for (const file& f : this_machine.files)
        (void)modules.push_back({phys_range::of(f.at, f.size), f.path}); // of the same capacity
    const auto contract = x86::paged_entry::make(*image, modules, command_line);
    if (!contract)
        return contract.error();
    report_loaded(contract->segments(), times);
    return go(g, *contract, in, times);
}

/// The system call of the paper [lobos/2000 fig. 3], kernel mode only: replaces this kernel by the file `name`.
/// Returns when that was refused; one line has been said, and everything is as it was.
void sys_lobos(std::string_view name, std::string_view command_line)
{
    out.say(text_line{"exec "}.add(name));
    glue g{this_machine.map};
    const fault refused = [&]() -> fault {
        const auto f = find_file(this_machine.files, name);
        if (!f) {
            out.say(text_line{"kernel "}.add(name).add(": ").add(f.error()));
            return {fault_code::empty_image, stage::loading, 0};
        }
        stage_times times;
        const auto in = file_in_memory::read(*f);
        if (!in)
            return in.error();
        times.finished(stage_times::read);
        if (is_bzimage(in->source()))
            return exec_linux(g, *in, times);
        if (is_elf(in->source()))
            return exec_paged(g, *in, command_line, times);
        return {fault_code::unknown_format, stage::loading, 0};
    }();
    out.say(text_line{"fault: "}
                .add(to_string(refused.code))
                .add(" at ")
                .add_hex(refused.at, 8)
                .add(" while ")
                .add(to_string(refused.in)));
    out.say(text_line{"still running, "}.add_decimal(frame_pool.free()).add(" pages free"));
}

/// The command line for this kernel's next self: one generation further.
std::string_view next_command_line(std::span<char> buffer)
{
    std::size_t used = 0;
    const auto put = [&](std::string_view s) {
        expects(s.size() <= buffer.size() - used, "the command line has room for itself");
        used += s.copy(buffer.data() + used, s.size());
    };
    put("reference-kernel");
    for (std::string_view rest = boot_options.own; !rest.empty();) {
        const std::string_view word = take_until(rest, ' ');
        if (word.starts_with("generation="))
            continue;
        put(" ");
        put(word);
    }
    put(text_line{" generation="}.add_decimal(boot_options.generation + 1).view());
    put(" -- ");
    put(boot_options.target);
    return {buffer.data(), used};
}

void find_log()
{
    auto found = surviving_log<linear_memory>::find(memory, this_machine.map);
    const bool survived = found.has_value();
    if (!survived)
        found = surviving_log<linear_memory>::create(memory, log_region());
    if (!found) {
        out.show("log: there is no room for one");
        return;
    }
    out.log = *found;
    if (!survived) {
        out.show(text_line{"log: none survives, new ring at "}.add(found->memory_range().first()));
        return;
    }
    std::size_t lines = 0;
    const auto read = found->for_each([&](std::string_view) { ++lines; });
    text_line told{"log: "};
    told.add_decimal(lines).add(" lines survive from earlier generations");
    if (!read)
        told.add(", and then it is corrupt");
    out.show(told);
    report_trail(load<breadcrumb>(memory, found->trail()));
}

} // namespace

extern "C" [[noreturn]] void kernel_main(std::uint32_t magic, std::uint32_t info)
{
    out.start();
    timer.calibrate();
    if (magic != multiboot_loader_magic) {
        out.show("stopped: not started by a multiboot loader or a kernel exec");
        stop();
    }
    if (const auto started = this_machine.start(phys_addr::at(info)); !started) {
        out.show(text_line{"stopped: "}.add(to_string(started.error().code)).add(" at ").add_hex(started.error().at, 8));
        stop();
    }
    boot_options = parse(this_machine.command_line);
    find_log();
    out.say(text_line{"reference kernel, generation "}
                .add_decimal(boot_options.generation)
                .add(", 4 MB pages, paging on"));
    out.say(text_line{"memory: "}
                .add_decimal(frame_pool.free())
                .add(" pages free, region map CRC ")
                .add_hex(this_machine.map_checksum(), 8));
    for (const file& f : this_machine.files)
        out.show(text_line{"file "}.add(f.path).add(" ").add(f.size).add(" bytes"));

    static std::array<char, 17000> next;
    if (boot_options.generation < boot_options.chain)
        sys_lobos("reference-kernel", next_command_line(next));
    for (std::string_view names = boot_options.exec; !names.empty();)
        sys_lobos(take_until(names, ','), next_command_line(next));
    out.say("nothing left to exec");
    stop();
}

} // namespace kernel

/// The library's hook: one of its preconditions did not hold.
[[noreturn]] void lobos::contract_violated(const char* what)
{
    text_line line{"stopped: contract violated: "};
    for (; *what != '\0'; ++what)
        line.add({what, 1});
    kernel::out.say(line);
    kernel::stop();
}
