// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// An exec as rule 11 sees it, for the tests of contracts: an image in memory, a frame, a page of parameters that the
/// contract has written, and the map that both kernels have. A test breaks one thing in memory and asks again.

#include <lobos/x86/multiboot_info.hpp>
#include <lobos/x86/paging_4m.hpp>
#include <lobos/x86/port.hpp>

#include <tests/support/elf_builder.hpp>
#include <tests/support/scratch_page.hpp>

namespace lobos::test {

/// The file lies in one piece of memory, where rule 11 reads it again.
struct told_exec {
    static constexpr std::uint64_t frame = 0x1'2000, page = 0x1'3000, file_at = 0x2'0000, module_at = 0x30'0000;
    using port = x86::port<x86::paging_4m>;

    byte_memory memory{0x8'0000};
    extent piece;
    staged_file<byte_memory> file{memory, {&piece, 1}};
    memory_map running{{phys_range::between(0_pa, 0x9'ffff_pa), region_kind::usable},
        {phys_range::between(0xf'0000_pa, 0xf'ffff_pa), region_kind::reserved},
        {phys_range::between(0x10'0000_pa, 0xfff'ffff_pa), region_kind::usable},
        {phys_range::between(0x1'0000'0000_pa, 0x1'0fff'ffff_pa), region_kind::usable}};
    memory_map handed{};
    std::vector<safe_region> safe{{phys_range::of(0x1'1000_pa, x86::page_size), safe_role::stack},
        {phys_range::of(phys_addr::at(frame), x86::page_size), safe_role::frame},
        {phys_range::of(phys_addr::at(page), x86::page_size), safe_role::parameters},
        {phys_range::of(0x600'0000_pa, x86::page_size), safe_role::plan}};
    exec_plan plan{};
    std::vector<segment> image;
    x86::entry_registers found{};
    std::vector<multiboot_module> modules{{phys_range::of(phys_addr::at(module_at), 0x1234_bytes), "first one"},
        {phys_range::of(0x40'0000_pa, 1_bytes), ""}};

    explicit told_exec(const bytes& content)
        : piece{phys_addr::at(file_at), byte_count::of(content.size())},
          file{memory, {&piece, 1}}
    {
        memory.write(piece.at, content);
        if (!handed.map.copy_from(running.map))
            throw std::length_error{"told_exec: map"};
        for (const safe_region& s : safe)
            if (!handed.map.add(s.range, region_kind::safe))
                throw std::length_error{"told_exec: map"};
    }

    /// Has `contract` write its parameters.
    template <class Contract> fault write(const Contract& contract)
    {
        image.assign(contract.segments().begin(), contract.segments().end());
        plan.image = image;
        plan.safe = safe;
        plan.frame = phys_addr::at(frame);
        plan.entry = contract.entry();
        plan.entered_paged = is_entered_paged<Contract>;
        std::vector<phys_addr> pages;
        for (std::uint64_t i = 0; i < contract.parameter_pages(); ++i)
            pages.push_back(phys_addr::at(page + i * x86::page_size.raw()));
        const phys_range parameters = phys_range::of(pages[0], byte_count::of(pages.size() * x86::page_size.raw()));
        safe[2].range = parameters;
        if (!handed.map.add(parameters, region_kind::safe))
            throw std::length_error{"told_exec: map"};
        x86::departure_frame fields{};
        const x86::entry_registers values = contract.registers(pages);
        fields.ax = values.ax;
        fields.bx = values.bx;
        fields.si = values.si;
        fields.entry = plan.entry.raw();
        store(memory, plan.frame, fields);
        found = port::registers_found(verifier_context<byte_memory>{plan, running.map, memory, {}, 1});
        return fault_of(contract.write_parameters(memory, handed.map, pages, scratch_page()));
    }

    template <class Contract> fault asked(const Contract& contract)
    {
        const verifier_context<byte_memory> context{plan, running.map, memory, {}, 1};
        return fault_of(contract.is_met(context, found));
    }

    /// The answer with `width` bytes at `at` changed to `value`; afterwards they are as they were.
    template <class Contract>
    fault with(const Contract& contract, std::uint64_t at, unsigned width, std::uint64_t value)
    {
        bytes old(width), now(width);
        memory.read(phys_addr::at(at), old);
        patch(now, 0, width, value);
        memory.write(phys_addr::at(at), now);
        const fault answer = asked(contract);
        memory.write(phys_addr::at(at), old);
        return answer;
    }

    std::uint64_t at(std::uint64_t address, unsigned width)
    {
        bytes out(width);
        memory.read(phys_addr::at(address), out);
        return peek(out, 0, width);
    }
};

inline fault broken(std::uint64_t at)
{
    return {fault_code::entry_contract_broken, stage::verifying, at};
}
inline fault outside(std::uint64_t at)
{
    return {fault_code::outside_safe_region, stage::verifying, at};
}

} // namespace lobos::test
