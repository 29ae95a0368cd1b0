// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

/// \file
/// The reference kernel on an Alpha, as far as it goes: it finds out what machine it is on, reads the file that `exec=`
/// names into scattered pages, goes on under tables of its own, and looks at the file through them. It cannot be
/// replaced yet.
///
/// `fault=` on its command line ends it by an exception: `read` of what is not mapped, `write` of what is not to be
/// written, `unaligned`, `instruction`.

#include "../console.hpp"
#include "../options.hpp"
#include "exceptions.hpp"
#include "own_tables.hpp"

#include <lobos/core/crc32c.hpp>
#include <lobos/core/fixed_list.hpp>

namespace kernel {
namespace {

using namespace lobos;

constinit machine this_machine; // no start-up code runs constructors here, so all globals are constinit

[[noreturn]] void stop_for(fault f)
{
    out.show(text_line{"stopped: "}.add(to_string(f.code)).add(" at ").add_hex(f.at, 8));
    stop();
}

std::uint32_t sum_of(const std::byte* at, byte_count size)
{
    crc32c sum;
    sum.update({at, static_cast<std::size_t>(size.raw())});
    return sum.value();
}

/// A hole of whole pages, clear of this kernel, the initrd and what was taken before.
class page_source {
public:
    std::optional<phys_addr> take(byte_count size)
    {
        if (taken_.empty()) {
            (void)taken_.push_back(own_image());
            if (this_machine.initrd)
                (void)taken_.push_back(*this_machine.initrd);
        }
        const auto hole = this_machine.map.lowest_hole(size, paging::granule, mapped_memory, taken_);
        if (!hole || !taken_.push_back(*hole))
            return std::nullopt;
        return hole->first();
    }

private:
    fixed_list<phys_range, 32> taken_;
};

/// Copies the file, page by page.
void scatter(phys_range whole, const scattered_pages& pages)
{
    for (std::size_t i = 0; i < pages.count(); ++i) {
        const byte_count done = byte_count::of(i * paging::granule.raw());
        const byte_count here = std::min(paging::granule, whole.size() - done);
        memory.write(pages[i], {pointer_to(whole.first() + done), static_cast<std::size_t>(here.raw())});
    }
}

void say_what_there_is()
{
    const alpha::hwrpb& b = this_machine.block->fixed();
    out.say(text_line{"console: HWRPB at "}
            .add(this_machine.block->address())
            .add(", system ")
            .add_decimal(b.system_type)
            .add(" variation ")
            .add_decimal(b.system_variation >> 10)
            .add(", ")
            .add_decimal(b.slot_count)
            .add(" processors, VPTB ")
            .add_hex(b.vptb, 16));
    for (const region& r : this_machine.map.regions())
        out.say(
            text_line{"memory: "}.add(r.range.first()).add(" ").add(r.range.last()).add(" ").add(to_string(r.kind)));
    out.say(text_line{"command line: "}.add(this_machine.command_line));
    for (const file& f : this_machine.files)
        out.show(text_line{"file "}.add(f.path).add(" ").add(f.size).add(" bytes"));
}

/// Looks at the file twice, through kseg and through the tables. True when it is the same.
bool look_at_file(phys_range whole, const own_tables& tables)
{
    const auto* seen = reinterpret_cast<const std::byte*>(static_cast<std::uintptr_t>(window.raw()));
    const std::uint32_t through_kseg = sum_of(pointer_to(whole.first()), whole.size());
    const std::uint32_t through_tables = sum_of(seen, whole.size());
    const auto found = walk<paging>(memory, tables.root, window);
    out.say(text_line{"read: "}
            .add(whole.size())
            .add(" bytes, first page at ")
            .add(found ? found->physical : phys_addr{})
            .add(", checksum ")
            .add_hex(through_tables, 8)
            .add(through_kseg == through_tables ? ", the same as in kseg" : ", another than in kseg"));
    return through_kseg == through_tables;
}

/// The word behind `fault=`.
std::string_view wanted_fault()
{
    for (std::string_view rest = this_machine.command_line; !rest.empty();) {
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
    out.say("reference kernel, generation 0, Alpha");
    say_what_there_is();

    page_source frames;
    const auto named = find_file(this_machine.files, parse(this_machine.command_line).exec);
    if (!named) {
        out.say(text_line{"fault: "}.add(named.error()));
        stop();
    }
    const phys_range whole = phys_range::of(named->at, named->size);
    const auto count = static_cast<std::size_t>((whole.size().raw() + paging::granule.raw() - 1) >> paging::shift<0>);
    const auto room = frames.take(scattered_pages::room_for(count));
    if (!room)
        stop_for({fault_code::no_memory, stage::loading, whole.size().raw()});
    const scattered_pages pages{*room, count};
    scatter(whole, pages);

    const auto running = own_tables::running_root(this_machine.virtual_page_table());
    if (!running)
        stop_for(running.error());
    own_tables tables;
    const auto built = tables.build(this_machine, *running, pages, [&frames]() -> result<phys_addr> {
        if (const auto page = frames.take(paging::granule))
            return *page;
        return refuse(fault_code::no_memory, stage::mapping, 0);
    });
    if (!built)
        stop_for(built.error());
    const auto old = tables.enter();
    if (!old)
        stop_for(old.error());
    const auto now = own_tables::running_root(this_machine.virtual_page_table());
    out.say(text_line{"tables: root "}
            .add(*running)
            .add(" left for ")
            .add(now ? *now : phys_addr{})
            .add(", ")
            .add_decimal(tables.tables)
            .add(" pages, old context at ")
            .add_hex(*old, 8));
    if (!look_at_file(whole, tables))
        stop();
    fault_on_purpose(wanted_fault());
    out.say("nothing left to exec");
    stop();
}

} // namespace kernel

/// The library's hook: one of its preconditions did not hold.
[[noreturn]] void lobos::contract_violated(const char* what)
{
    kernel::out.show(text_line{"stopped: contract violated: "}.add(what));
    kernel::stop();
}
