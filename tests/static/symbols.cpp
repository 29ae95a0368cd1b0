// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// Everything that a 32-bit x86 kernel would use of lobos, over a kernel that is only declared (namespace stub), so that
// tests/static/symbols can see what the library itself wants of whoever links it.
#include <lobos/core/sha256.hpp>
#include <lobos/image/bzimage.hpp>
#include <lobos/image/digest.hpp>
#include <lobos/image/elf.hpp>
#include <lobos/overlay/explain.hpp>
#include <lobos/overlay/explain_json.hpp>
#include <lobos/survive/log.hpp>
#include <lobos/x86/linux32_entry.hpp>
#include <lobos/x86/multiboot2_entry.hpp>
#include <lobos/x86/multiboot_entry.hpp>
#include <lobos/x86/paged_entry.hpp>
#include <lobos/x86/paging_4level.hpp>
#include <lobos/x86/paging_4m.hpp>
#include <lobos/x86/pvh_entry.hpp>

#include "symbols_stub.hpp"

namespace {

using namespace lobos;
using this_kernel = stub::glue<x86::port<x86::paging_4m>>;
static_assert(kernel_glue<this_kernel>);

template <class Contract> fault go(this_kernel& glue, const Contract& contract)
{
    auto staged = prepare(glue, contract);
    if (!staged)
        return staged.error();
    explain(glue.memory(), staged->plan(), stub::line);
    explain_json(glue.memory(), staged->plan(), stub::line);
    return commit(*staged);
}

void say(const fault& f)
{
    stub::line(text_line{to_string(f.in)}.add(": ").add(to_string(f.code)).add(" at ").add_hex(f.at, 8).view());
}

} // namespace

extern "C" {

void kernel_execs_linux(
    this_kernel& glue, std::span<const extent> kernel, std::span<const extent> initrd, const sha256::digest& published)
{
    const linux_request request{.command_line = std::string_view{"quiet", 5}};
    const staged_file file{glue.memory(), kernel};
    if (const auto same = expect_digest<sha256>(file, published); !same)
        return say(same.error());
    const auto alone = load_bzimage(file, request, glue.memory_map());
    const auto image = load_bzimage(file, staged_file{glue.memory(), initrd}, request, glue.memory_map());
    if (!alone || !image)
        return say(alone ? image.error() : alone.error());
    say(go(glue, x86::linux32_entry{*image, {.acpi_rsdp = 0xe0000_pa}}));
}

void kernel_execs_paged(this_kernel& glue, std::span<const extent> kernel, std::span<const multiboot_module> modules)
{
    const auto image = load_elf32(staged_file{glue.memory(), kernel}, x86::elf_machine);
    if (!image)
        return say(image.error());
    const auto contract = x86::paged_entry::make(*image, modules, std::string_view{"again", 5});
    if (!contract)
        return say(contract.error());
    say(go(glue, *contract));
}

void kernel_execs_flat(this_kernel& glue, std::span<const extent> kernel, std::span<const extent> initrd)
{
    const staged_file file{glue.memory(), kernel}, module{glue.memory(), initrd};
    auto image = is_multiboot2(file) ? load_multiboot2(file) : is_pvh(file) ? load_pvh(file) : load_multiboot(file);
    if (!image)
        return say(image.error());
    const auto place = add_module(*image, module, glue.memory_map());
    if (!place)
        return say(place.error());
    const multiboot_module modules[] = {{*place, std::string_view{"initrd", 6}}};
    const auto start = [&](const auto& contract) { say(contract ? go(glue, *contract) : contract.error()); };
    if (is_multiboot2(file))
        start(x86::multiboot2_entry::make(*image, modules, std::string_view{"quiet", 5}));
    else if (is_pvh(file))
        start(x86::pvh_entry::make(*image, modules, std::string_view{"quiet", 5}));
    else
        start(x86::multiboot_entry::make(*image, modules, std::string_view{"quiet", 5}));
}

void kernel_execs_wider(this_kernel& glue, std::span<const extent> kernel)
{
    const staged_file file{glue.memory(), kernel};
    const auto image = is_elf(file) ? load_elf64(file, x86::elf_machine_64)
                                    : load_flat_paged(file, 0x10'0000_pa, 0xffff'8000'0000'0000_va);
    if (!image)
        return say(image.error());
    const auto contract = x86::paged_entry_in<x86::paging_4level>::make(*image, {}, std::string_view{"again", 5});
    if (!contract)
        return say(contract.error());
    say(go(glue, *contract));
}

void kernel_starts(this_kernel& glue, phys_addr info, region_map& map, std::span<char> out)
{
    const multiboot_reader reader{glue.memory(), info};
    if (const auto read = reader.read_memory_map(map); !read)
        return say(read.error());
    for (std::uint32_t i = 0; i < reader.module_count(); ++i)
        if (const auto module = reader.module(i); module)
            if (const auto name = reader.string(module->string, out); name)
                stub::line(*name);
}

void kernel_logs(this_kernel& glue, phys_range region)
{
    using log = surviving_log<stub::memory>;
    auto found = log::find(glue.memory(), glue.memory_map());
    if (!found)
        found = log::create(glue.memory(), region);
    if (!found)
        return say(found.error());
    found->append(std::string_view{"hello", 5});
    if (const auto read = found->for_each(stub::line); !read)
        say(read.error());
}

} // extern "C"
