// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// Everything that a kernel for Alpha would use of lobos, over memory and a kernel that are only declared (namespace
// stub), so that tests/static/symbols can see what the library itself wants of whoever links it.
#include <lobos/alpha/hwrpb_copy.hpp>
#include <lobos/alpha/linux_entry.hpp>
#include <lobos/alpha/linux_parameters.hpp>
#include <lobos/alpha/virtual_page_table.hpp>
#include <lobos/machine/exceptions.hpp>
#include <lobos/machine/palcode.hpp>

#include "symbols_stub.hpp"

namespace {

using namespace lobos;
using this_kernel = stub::glue<alpha::port>;
static_assert(kernel_glue<this_kernel>);

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
    using alpha::pal;
    machine::call_pal<pal::wrkgp>(machine::call_pal<pal::rdps>() + machine::call_pal<pal::whami>());
    machine::call_pal<pal::wrent>(at.raw(), static_cast<std::uint64_t>(alpha::system_entry::memory));
    machine::call_pal<pal::wrvptptr>(table->self().raw());
    machine::call_pal<pal::tbi>(alpha::tbi_all);
    machine::call_pal<pal::imb>();
    machine::call_pal<pal::swpipl>(7);
    return {};
}

} // namespace

/// The ways in, so that nothing is dropped as unused.
extern "C" void alpha_execs_linux(
    this_kernel& glue, std::span<const extent> kernel, std::span<const extent> initrd, phys_addr hwrpb)
{
    const alpha::linux_request request{.command_line = std::string_view{"quiet", 5}};
    const staged_file file{glue.memory(), kernel};
    const auto alone = alpha::load_linux(file, request);
    const auto image = alpha::load_linux(file, staged_file{glue.memory(), initrd}, request, glue.memory_map());
    if (!alone || !image)
        return stub::keep(alone ? image.error() : alone.error());
    const auto contract = alpha::linux_entry::make(glue.memory(), *image, hwrpb);
    if (!contract)
        return stub::keep(contract.error());
    auto staged = prepare(glue, *contract);
    stub::keep(staged ? commit(*staged) : staged.error());
    stub::line(guard_record<machine::exceptions>(load<breadcrumb>(glue.memory(), hwrpb)).view());
}

extern "C" void symbols_of_alpha(
    stub::memory& memory, std::uint64_t at, std::span<std::byte> out, alpha::hwpcb& context)
{
    if (const auto done = all_of_it(memory, phys_addr::at(at), out, context); !done)
        stub::keep(done.error());
    machine::call_pal<alpha::pal::halt>();
}
