// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

/// \file
/// The reference kernel on an Alpha: it finds out what machine it is on, goes on under tables of its own, and has
/// itself replaced by the files that `exec=` names, or by itself. A file is read into scattered pages, which these
/// tables map in a row; when an exec is refused this kernel is still there, and tries the next name.
///
/// `fault=` on its command line ends it by an exception when there is nothing left to exec: `read` of what is not
/// mapped, `write` of what is not to be written, `unaligned`, `instruction`.

#include "../generations.hpp"
#include "exceptions.hpp"
#include "exec_linux.hpp"
#include "own_tables.hpp"

namespace kernel {
namespace {

using namespace lobos;

constinit machine this_machine; // no start-up code runs constructors here, so all globals are constinit
constinit options boot_options;
constinit own_tables tables;

[[noreturn]] void stop_for(fault f)
{
    out.show(text_line{"stopped: "}.add(to_string(f.code)).add(" at ").add_hex(f.at, 8));
    stop();
}

void say_what_there_is()
{
    const alpha::hwrpb& b = this_machine.block->fixed();
    out.show(text_line{"console: system "}
            .add_decimal(b.system_type)
            .add(" variation ")
            .add_decimal(b.system_variation >> 10)
            .add(", ")
            .add_decimal(b.slot_count)
            .add(" processors, VPTB ")
            .add_hex(b.vptb, 16));
    for (const region& r : this_machine.map.regions())
        out.show(
            text_line{"region: "}.add(r.range.first()).add(" ").add(r.range.last()).add(" ").add(to_string(r.kind)));
    out.show(text_line{"command line: "}.add(this_machine.command_line));
    for (const file& f : this_machine.files)
        out.show(text_line{"file "}.add(f.path).add(" ").add(f.size).add(" bytes"));
}

std::uint32_t sum_of(const std::byte* at, byte_count size)
{
    crc32c sum;
    sum.update({at, static_cast<std::size_t>(size.raw())});
    return sum.value();
}

/// Looks at the file twice: where the loader put it, and where its scattered pages are mapped. True when it is the
/// same.
bool look_at_file(const file& f, const file_in_memory& in)
{
    const auto entered = tables.enter(this_machine, in.source().extents());
    if (!entered) {
        out.say(text_line{"fault: "}.add(in_words(entered.error()).view()));
        return false;
    }
    const auto* seen = reinterpret_cast<const std::byte*>(static_cast<std::uintptr_t>(window.raw()));
    const std::uint32_t through_tables = sum_of(seen, f.size);
    const bool same = sum_of(pointer_to(f.at), f.size) == through_tables;
    const auto found = walk<paging>(memory, tables.root, window);
    out.say(text_line{"read: "}
            .add(f.size)
            .add(" bytes, first page at ")
            .add(found ? found->physical : phys_addr{})
            .add(", checksum ")
            .add_hex(through_tables, 8)
            .add(same ? ", the same as in the file" : ", another than in the file"));
    return same;
}

/// Replaces this kernel by the file `name`, which is told `command_line` and brings the file `initrd`.
void exec(std::string_view name, std::string_view command_line, std::string_view initrd)
{
    sys_lobos(this_machine.files, boot_options, name, [&](const file& f, const file_in_memory& in, stage_times& times) {
        if (!look_at_file(f, in))
            return text_line{"the file is not what it was"};
        glue g{this_machine.map, this_machine.told(), boot_options.late};
        return exec_linux({g, this_machine, boot_options, f, in, command_line, times}, initrd);
    });
}

/// The word behind `fault=`.
std::string_view wanted_fault()
{
    for (std::string_view rest = boot_options.own; !rest.empty();) {
        std::string_view word = take_until(rest, ' ');
        if (take_until(word, '=') == "fault")
            return word;
    }
    return {};
}

void fault_on_purpose(std::string_view which)
{
    using volatile_quadword = volatile std::uint64_t;
    if (which == "read")
        (void)*reinterpret_cast<volatile_quadword*>(0x5'0000'0000);
    else if (which == "write")
        *reinterpret_cast<volatile_quadword*>(static_cast<std::uintptr_t>(window.raw())) = 0;
    else if (which == "unaligned")
        (void)*reinterpret_cast<volatile_quadword*>(reinterpret_cast<std::uintptr_t>(image_begin) + 1);
    else if (which == "instruction")
        asm volatile(".long 0x07000000"); // an opcode that never was
}

} // namespace

extern "C" [[noreturn]] void kernel_main()
{
    out.start();
    catch_exceptions();
    if (const auto started = this_machine.start(); !started)
        stop_for(started.error());
    if (const auto entered = tables.enter(this_machine, {}); !entered)
        stop_for(entered.error());
    boot_options = parse(this_machine.command_line);
    if (take_up_log(this_machine.log_region))
        read_log();
    out.say(text_line{first_words}.add_decimal(boot_options.generation).add(", Alpha"));
    out.say(text_line{"memory: "}
            .add_decimal(frame_pool.free())
            .add(" pages free, region map CRC ")
            .add_hex(checksum_of(this_machine.map), 8));
    if (boot_options.chain != 0)
        out.show(text_line{"padding: kept through "}.add_decimal(pass_on_padding()).add(" execs"));
    say_what_there_is();

    static std::array<char, 512> line;
    if (boot_options.generation < boot_options.chain)
        exec("reference-kernel", next_command_line(line, boot_options), "initrd");
    for (std::string_view names = boot_options.exec; !names.empty();) {
        const std::string_view name = take_until(names, ',');
        exec(name, boot_options.target, boot_options.initrd);
    }
    fault_on_purpose(wanted_fault());
    out.say("nothing left to exec");
    stop();
}

} // namespace kernel
