// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

/// \file
/// The reference kernel: a running protected-mode kernel with paging on, whose one purpose is to be replaced. It reads
/// a file into memory, has lobos stage and verify the exec, and goes; when that is refused it is still there, and
/// tries the next name.

#include "../arena.hpp"
#include "../exec.hpp"
#include "../generations.hpp"
#include "../options.hpp"
#include "../report.hpp"
#include "exec_linux.hpp"
#include "exec_multiboot.hpp"
#include "exec_paged.hpp"
#include "features.hpp"
#include "glue.hpp"
#include "interrupts.hpp"
#include "interval_timer.hpp"
#include "machine.hpp"

namespace kernel {
namespace {

using namespace lobos;

constinit machine this_machine; // no start-up code runs constructors here, so all globals are constinit
constinit options boot_options;

template <class Class> bool is_elf_of(const image_bytes& image)
{
    std::uint8_t ident[5];
    return is_elf(image) && read_value(image, 0, ident) && ident[4] == Class::ei_class;
}

/// A way into an image: what `entry=` calls it, whether an image may have it, and the exec.
struct way {
    std::string_view name;
    bool (*may_take)(const image_bytes&);
    text_line (*exec)(const exec_request&);
};

/// All ways there are. Of those that an image may take, `entry=auto` is the first.
constexpr way ways[] = {
    {"linux32", is_bzimage<image_bytes>, exec_linux32},
    {"linux64", is_bzimage<image_bytes>, exec_linux64},
    {"real", is_bzimage<image_bytes>, exec_linux_real},
    {"paged", is_elf<image_bytes>, exec_paged},
    {"linux32", is_elf_of<elf32_class>, exec_vmlinux32},
    {"linux64", is_elf_of<elf64_class>, exec_vmlinux64},
    {"multiboot", is_multiboot<image_bytes>, exec_multiboot},
    {"multiboot2", is_multiboot2<image_bytes>, exec_multiboot2},
    {"pvh", is_pvh<image_bytes>, exec_pvh},
};

/// Goes the way that is asked for. Returns only when that is refused.
text_line exec_by(std::string_view entry, const exec_request& request)
{
    if (request.asked.above_4g && !mapped_above_4g)
        return text_line{"place=above-4g: this kernel does not reach so far"};
    if (request.asked.flat)
        return exec_paged(request); // of itself it does not say what it is
    const image_bytes image = request.image.source();
    for (const way& w : ways)
        if ((entry == "auto" || entry == w.name) && w.may_take(image))
            return w.exec(request);
    if (entry == "auto")
        return in_words({fault_code::unknown_format, stage::loading, 0});
    return text_line{"entry="}.add(entry).add(": this image has no such entry");
}

/// Replaces this kernel by the file `name`. A paged kernel is told `command_line`, Linux what its own boot protocol
/// says it is.
void exec(std::string_view name, std::string_view command_line, std::string_view entry)
{
    sys_lobos(this_machine.files, boot_options, name, [&](const file& f, const file_in_memory& in, stage_times& times) {
        glue g{this_machine.map, boot_options.late, boot_options.above_4g};
        return exec_by(entry, {g, this_machine, boot_options, f, in, command_line, times});
    });
}

/// For a target that is entered paged: like a multiboot loader's, its name and then the target's own.
std::string_view target_command_line(std::span<char> buffer, std::string_view name)
{
    line_writer line{buffer};
    line.put(name);
    line.put(" ");
    line.put(boot_options.target);
    return line.view();
}

void start_processors()
{
    if (processors::someone_ran()) {
        out.show("stopped: a processor of the kernel before ran on");
        stop();
    }
    out.show(text_line{"processors: "}.add_decimal(other_processors.start(boot_options.cpus)).add(" running"));
}

} // namespace

extern "C" [[noreturn]] void kernel_main(std::uint32_t magic, std::uint32_t info)
{
    out.start();
    catch_exceptions();
    timer.set(count_ticks_per_ms());
    if (magic != multiboot_loader_magic && magic != multiboot2_loader_magic) {
        out.show("stopped: not started by a multiboot loader or a kernel exec");
        stop();
    }
    const phys_addr at = phys_addr::at(info);
    const auto started = magic == multiboot_loader_magic ? this_machine.start(told_by_multiboot{at})
                                                         : this_machine.start(told_by_multiboot2{at});
    if (!started) {
        out.show(
            text_line{"stopped: "}.add(to_string(started.error().code)).add(" at ").add_hex(started.error().at, 8));
        stop();
    }
    boot_options = parse(this_machine.command_line);
    out.show(turn_features_on(glue::port::from_long));
    if (take_up_log(this_machine.log_region))
        read_log();
    out.say(text_line{first_words}
            .add_decimal(boot_options.generation)
            .add(", ")
            .add(to_string(x86::mode_of_traits<glue::port::paging>())));
    out.say(text_line{"memory: "}
            .add_decimal(frame_pool.free())
            .add(" pages free, region map CRC ")
            .add_hex(checksum_of(this_machine.map), 8));
    if (const auto& firmware = this_machine.efi.firmware)
        out.say(text_line{"efi: "}
                .add(firmware->is_64_bit ? "64" : "32")
                .add("-bit firmware, system table at ")
                .add(firmware->system_table)
                .add(", ")
                .add_decimal(firmware->memory_map.size().raw() / firmware->descriptor_size)
                .add(" descriptors, ")
                .add(this_machine.efi.kept)
                .add(" bytes of boot services kept"));
    if (boot_options.chain != 0)
        out.show(text_line{"padding: kept through "}.add_decimal(pass_on_padding()).add(" execs"));
    for (const file& f : this_machine.files)
        out.show(text_line{"file "}.add(f.path).add(" ").add(f.size).add(" bytes"));

    if (boot_options.sum_size != 0)
        report_checksum(phys_addr::at(boot_options.sum_at), byte_count::of(boot_options.sum_size));

    if (boot_options.cpus > 1)
        start_processors();

    static std::array<char, 17000> line;
    // Only multiboot 2 has words for EFI firmware.
    if (boot_options.generation < boot_options.chain)
        exec("reference-kernel", next_command_line(line, boot_options),
            this_machine.efi.firmware ? "multiboot2" : "auto");
    for (std::string_view names = boot_options.exec; !names.empty();) {
        const std::string_view name = take_until(names, ',');
        exec(name, target_command_line(line, name), boot_options.entry);
    }
    out.say("nothing left to exec");
    stop();
}

} // namespace kernel
