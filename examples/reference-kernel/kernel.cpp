// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

/// \file
/// The reference kernel: a running protected-mode kernel with paging on, whose one purpose is to be replaced. It reads
/// a file into memory, has lobos stage and verify the exec, and goes; when that is refused it is still there, and
/// tries the next name.

#include "arena.hpp"
#include "clock.hpp"
#include "glue.hpp"
#include "machine.hpp"
#include "options.hpp"
#include "report.hpp"
#include "rsdp.hpp"

#include <lobos/image/bzimage.hpp>
#include <lobos/image/elf.hpp>
#include <lobos/kernel_exec.hpp>
#include <lobos/machine/legacy_devices.hpp>
#include <lobos/x86/linux16_entry.hpp>
#include <lobos/x86/linux32_entry.hpp>
#include <lobos/x86/paged_entry.hpp>

namespace kernel {
namespace {

using namespace lobos;

constinit machine this_machine; // no start-up code runs constructors here, so all globals are constinit
constinit options boot_options;

/// Why an exec was refused, in words.
text_line in_words(const fault& refused)
{
    return text_line{to_string(refused.code)}
        .add(" at ")
        .add_hex(refused.at, 8)
        .add(" while ")
        .add(to_string(refused.in));
}
text_line in_words(std::string_view name, std::string_view problem)
{
    return text_line{problem}.add(": ").add(name);
}

/// From a verified exec to the new kernel. Returns only when that is refused.
template <class Contract> text_line go(glue& g, const Contract& contract, stage_times& times)
{
    exec_options wanted;
    wanted.copy = boot_options.unpaged ? copy_regime::unpaged : copy_regime::paged;
    if (out.log)
        wanted.trail = out.log->trail();
    wanted.after = &stage_times::after;
    wanted.context = &times;
    times.restart();
    auto staged = prepare(g, contract, wanted);
    if (!staged)
        return in_words(staged.error());
    report(staged->plan(), contract.segments(), staged->checksum(), this_machine.files, times);
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
    return in_words(commit(*staged));
}

/// A file's bytes, as they are to be staged.
result<file_in_memory> read(const file& f)
{
    return boot_options.in_place ? file_in_memory::in_place(f) : file_in_memory::read(f);
}

/// A Linux kernel, by its 32-bit entry.
text_line exec_linux(glue& g, const file_in_memory& in, stage_times& times)
{
    const linux_request request{.command_line = boot_options.target};
    const auto loaded_and_gone = [&](const result<linux_image>& image) {
        if (!image)
            return in_words(image.error());
        report_loaded(image->segments, times);
        const x86::linux32_entry contract{*image, {.acpi_rsdp = find_rsdp()}};
        return go(g, contract, times);
    };
    if (boot_options.initrd.empty())
        return loaded_and_gone(load_bzimage(in.source(), request, this_machine.map));
    const auto initrd = find_file(this_machine.files, boot_options.initrd);
    if (!initrd)
        return in_words(boot_options.initrd, initrd.error());
    const auto initrd_in = read(*initrd);
    if (!initrd_in)
        return in_words(initrd_in.error());
    return loaded_and_gone(load_bzimage(in.source(), initrd_in->source(), request, this_machine.map));
}

/// A Linux kernel, by its 16-bit entry: its setup code asks the BIOS.
text_line exec_linux_real(glue& g, const file_in_memory& in, stage_times& times)
{
    const linux_request request{.command_line = boot_options.target};
    const auto kernel = in.source();
    const auto loaded_and_gone = [&](const result<linux16_image>& image) {
        if (!image)
            return in_words(image.error());
        const x86::linux16_entry contract{kernel, *image};
        report_loaded(contract.segments(), times);
        // This kernel never took an interrupt, so the masks are still the BIOS's own.
        lobos::machine::restore_bios_devices(lobos::machine::read_interrupt_masks());
        return go(g, contract, times);
    };
    if (boot_options.initrd.empty())
        return loaded_and_gone(load_linux16(kernel, request, this_machine.map));
    const auto initrd = find_file(this_machine.files, boot_options.initrd);
    if (!initrd)
        return in_words(boot_options.initrd, initrd.error());
    const auto initrd_in = read(*initrd);
    if (!initrd_in)
        return in_words(initrd_in.error());
    return loaded_and_gone(load_linux16(kernel, initrd_in->source(), request, this_machine.map));
}

/// A kernel that is entered with paging on, as the paper did. It finds the same files where they lie, but its own when
/// that is taken from there.
text_line exec_paged(
    glue& g, const file& own, const file_in_memory& in, std::string_view command_line, stage_times& times)
{
    const auto image = glue::port::from_long ? load_elf64(in.source(), x86::elf_machine_64)
                                             : load_elf32(in.source(), x86::elf_machine);
    if (!image)
        return in_words(image.error());
    fixed_list<multiboot_module, file_table::capacity()> modules;
    for (const file& f : this_machine.files)
        if (!boot_options.in_place || f.at != own.at)
            (void)modules.push_back({phys_range::of(f.at, f.size), f.path}); // of the same capacity
    const auto contract = x86::paged_entry::make(*image, modules, command_line);
    if (!contract)
        return in_words(contract.error());
    report_loaded(contract->segments(), times);
    return go(g, *contract, times);
}

/// The system call of the paper [lobos/2000 fig. 3], kernel mode only: replaces this kernel by the file `name`. A
/// paged kernel is told `command_line`, Linux what its own boot protocol says it is. Returns when that was refused: one
/// line has said why, and everything is as it was.
void sys_lobos(std::string_view name, std::string_view command_line)
{
    out.say(text_line{"exec "}.add(name));
    const text_line refused = [&] {
        const auto f = find_file(this_machine.files, name);
        if (!f)
            return in_words(name, f.error());
        stage_times times;
        const auto in = read(*f);
        if (!in)
            return in_words(in.error());
        times.finished(stage_times::read);
        glue g{this_machine.map, boot_options.late};
        if (is_bzimage(in->source()))
            return boot_options.entry == "real" ? exec_linux_real(g, *in, times) : exec_linux(g, *in, times);
        if (is_elf(in->source()))
            return exec_paged(g, *f, *in, command_line, times);
        return in_words({fault_code::unknown_format, stage::loading, 0});
    }();
    expects(workspace.used() == 0, "a refused exec leaves no workspace behind");
    out.say(text_line{"fault: "}.add(refused.view()));
    out.say(text_line{"still running, "}.add_decimal(frame_pool.free()).add(" pages free"));
}

/// A command line in the making. The buffer is larger than the one this kernel's own was read into.
class line_writer {
public:
    explicit line_writer(std::span<char> buffer) : buffer_{buffer} {}
    void put(std::string_view s)
    {
        expects(s.size() <= buffer_.size() - used_, "a command line has room for what was read");
        used_ += s.copy(buffer_.data() + used_, s.size());
    }
    std::string_view view() const { return {buffer_.data(), used_}; }

private:
    std::span<char> buffer_;
    std::size_t used_ = 0;
};

/// For a target that is entered paged: like a multiboot loader's, its name and then the target's own.
std::string_view target_command_line(std::span<char> buffer, std::string_view name)
{
    line_writer line{buffer};
    line.put(name);
    line.put(" ");
    line.put(boot_options.target);
    return line.view();
}

/// For this kernel's next self: one generation further.
std::string_view next_command_line(std::span<char> buffer)
{
    line_writer line{buffer};
    line.put("reference-kernel");
    for (std::string_view rest = boot_options.own; !rest.empty();) {
        const std::string_view word = take_until(rest, ' ');
        if (word.starts_with("generation="))
            continue;
        line.put(" ");
        line.put(word);
    }
    line.put(text_line{" generation="}.add_decimal(boot_options.generation + 1).view());
    line.put(" -- ");
    line.put(boot_options.target);
    return line.view();
}

/// Takes up the log of the kernels before, and says what the last of them said; or begins a new one.
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
    std::size_t last_generation = 0; // the first line of the kernel that was here before
    const auto read = found->for_each([&](std::string_view text) {
        if (text.starts_with("reference kernel, "))
            last_generation = lines;
        ++lines;
    });
    text_line told{"log: "};
    told.add_decimal(lines).add(" lines survive from earlier generations");
    if (!read)
        told.add(", and then it is corrupt");
    out.show(told);
    std::size_t line = 0;
    (void)found->for_each([&](std::string_view text) {
        if (line++ >= last_generation)
            out.show(text_line{"survived: "}.add(text));
    });
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
        out.show(
            text_line{"stopped: "}.add(to_string(started.error().code)).add(" at ").add_hex(started.error().at, 8));
        stop();
    }
    boot_options = parse(this_machine.command_line);
    find_log();
    out.say(text_line{"reference kernel, generation "}
            .add_decimal(boot_options.generation)
            .add(", ")
            .add(to_string(x86::mode_of_traits<glue::port::paging>())));
    out.say(text_line{"memory: "}
            .add_decimal(frame_pool.free())
            .add(" pages free, region map CRC ")
            .add_hex(this_machine.map_checksum(), 8));
    for (const file& f : this_machine.files)
        out.show(text_line{"file "}.add(f.path).add(" ").add(f.size).add(" bytes"));

    if (boot_options.sum_size != 0)
        report_checksum(phys_addr::at(boot_options.sum_at), byte_count::of(boot_options.sum_size));

    static std::array<char, 17000> line;
    if (boot_options.generation < boot_options.chain)
        sys_lobos("reference-kernel", next_command_line(line));
    for (std::string_view names = boot_options.exec; !names.empty();) {
        const std::string_view name = take_until(names, ',');
        sys_lobos(name, target_command_line(line, name));
    }
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
