// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// Everything that a kernel for Alpha can use of lobos so far, over memory that is only declared (namespace stub), so
// that tests/static/symbols can see what the library itself wants of whoever links it.
#include <lobos/alpha/hwrpb_copy.hpp>
#include <lobos/alpha/linux_parameters.hpp>
#include <lobos/alpha/virtual_page_table.hpp>
#include <lobos/machine/cpu.hpp>
#include <lobos/machine/palcode.hpp>

namespace stub {

using namespace lobos;

struct memory {
    void read(phys_addr at, std::span<std::byte> out);
    void write(phys_addr at, std::span<const std::byte> in);
};
result<phys_addr> frame();
void keep(fault f);

} // namespace stub

namespace {

using namespace lobos;

result<void> all_of_it(stub::memory& memory, phys_addr at, std::span<std::byte> out, alpha::hwpcb& context)
{
    const auto block = alpha::hwrpb_reader<stub::memory>::open(memory, at);
    if (!block)
        return std::unexpected{block.error()};
    region storage[32];
    region_map map{storage};
    if (auto told = alpha::add_memory_clusters(map, *block); !told)
        return told;
    char text[alpha::linux_page::command_line_size];
    const auto parameters = alpha::read_linux_page(memory, at, text);
    if (!parameters)
        return std::unexpected{parameters.error()};
    std::byte page[alpha::linux_page::size];
    if (auto made = alpha::make_linux_page(*parameters, page); !made)
        return made;
    const auto copied = alpha::copy_hwrpb(memory, *block, map, at, out);
    if (!copied)
        return std::unexpected{copied.error()};
    const auto add = [&](auto put) { return alpha::map_console(*block, put); };
    const auto tables = clone_page_tables<alpha::paging_8k>(memory, at, {}, add, stub::frame);
    if (!tables)
        return std::unexpected{tables.error()};
    tables->flush.done_by_loading_the_root();
    const auto table = alpha::virtual_page_table::at(virt_addr::at(block->fixed().vptb));
    if (!table)
        return std::unexpected{table.error()};
    if (auto added = table->add_to(memory, tables->root); !added)
        return added;
    const auto made = alpha::make_hwpcb(virt_addr{}, tables->root, alpha::hwpcb_flag::floating_point);
    if (!made)
        return std::unexpected{made.error()};
    context = *made;
    machine::swap_context(context, at);
    machine::forget_translations();
    machine::instruction_barrier();
    machine::memory_barrier();
    machine::write_global_pointer(machine::read_status() + machine::who_am_i() + machine::read_cycles());
    machine::write_entry(at.raw(), machine::system_entry::memory);
    machine::write_virtual_page_table(table->self());
    machine::drain_aborts();
    machine::swap_ipl(7);
    machine::store_byte(at.raw(), machine::load_byte(at.raw()));
#ifdef __alpha_cix__
    asm volatile("ctpop $31, $31"); // a 21264A's: behind those, the assembler still knows for which processor it works
#endif
    return {};
}

} // namespace

/// The only way in, so that nothing is dropped as unused.
extern "C" void symbols_of_alpha(
    stub::memory& memory, std::uint64_t at, std::span<std::byte> out, alpha::hwpcb& context)
{
    if (const auto done = all_of_it(memory, phys_addr::at(at), out, context); !done)
        stub::keep(done.error());
    machine::halt();
}
