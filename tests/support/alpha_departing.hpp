// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A kernel about to leave an Alpha, for the tests of its port: the pages of the departure, a root for the copy, and
/// pieces of code that are told by their sizes.

#include <vector>

#include <lobos/alpha/port.hpp>

#include <tests/support/alpha_tables.hpp>
#include <tests/support/byte_memory.hpp>
#include <tests/support/sparse_memory.hpp>

namespace lobos::test {

struct alpha_departing {
    static constexpr std::uint64_t code = 0x1'0000, stack = 0x1'2000, frame = 0x1'4000, root = 0x2'2000;
    static constexpr std::uint64_t program_at = frame + 0x100, untold = program_at + 280;
    static constexpr std::uint64_t vptb = 0xffff'fffe'0000'0000, linux_vptb = 0x2'0000'0000;
    static constexpr std::uint64_t vptb_entry = root + 1023 * 8, linux_vptb_entry = root + 8;
    static constexpr std::uint64_t halt = 0x1'81c0;               ///< the flags of the first slot in QEMU's block
    static constexpr std::uint64_t reset = 0xffff'fd01'fc00'0064; ///< the keyboard controller of a PC's kind
    static constexpr std::uint64_t code_size = 144;               ///< head and pieces

    sparse_memory memory;
    alpha::machine_facts running{.table_root = 0x2'0000_pa,
        .vptb = virt_addr::at(vptb),
        .status = 0,
        .primary = true,
        .halt = {phys_addr::at(halt)},
        .reset = {virt_addr::at(reset), 0xfe}};
    std::vector<safe_region> safe{{page_at(code), safe_role::code}, {page_at(stack), safe_role::stack},
        {page_at(frame), safe_role::frame}, {page_at(root), safe_role::page_table}};
    exec_plan plan{};
    alpha::entry_registers values{.a0 = 0x1234'5678'9abc'def0};
    overlay_program program{
        .first_page = 0x1'6000, .trail = overlay_program::no_trail, .skip_count = 1, .skips = {{0x1'a000, 0x1'bfff}}};
    /// At 16, 48, 64 and 80 of the code page.
    std::vector<bytes> parts{
        bytes(20, std::byte{0x11}), bytes(16, std::byte{0x22}), bytes(4, std::byte{0x33}), bytes(60, std::byte{0x44})};

    alpha_departing()
    {
        plan.page = 8_KiB;
        plan.code = phys_addr::at(code);
        plan.stack = phys_addr::at(stack);
        plan.frame = phys_addr::at(frame);
        plan.program = phys_addr::at(program_at);
        plan.running_root = running.table_root;
        plan.new_root = phys_addr::at(root);
        plan.entry_root = plan.new_root;
        plan.regime = copy_regime::paged;
        plan.entry = virt_addr::at(alpha_kseg + 0x101'0000);
        plan.entered_paged = true;
    }

    static phys_range page_at(std::uint64_t a) { return phys_range::of(phys_addr::at(a), 8_KiB); }

    result<void> write()
    {
        alpha::overlay_code pieces{};
        for (std::size_t i = 0; i < alpha::pieces; ++i)
            pieces.parts[i] = parts[i];
        return alpha::port::write_machinery(memory, plan, {}, {}, running, pieces, values, program);
    }
    result<void> sound()
    {
        plan.safe = safe;
        const memory_map known{{phys_range::of(phys_addr{}, 256_MiB), region_kind::usable}};
        const verifier_context<sparse_memory> context{plan, known.map, memory, {}, 1};
        return alpha::port::departure_is_sound<alpha::paging_8k>(context);
    }

    std::uint64_t at(std::uint64_t address, unsigned width = 8)
    {
        bytes out(width);
        memory.read(phys_addr::at(address), out);
        return peek(out, 0, width);
    }
    void poke(std::uint64_t address, std::uint64_t value, unsigned width = 8)
    {
        bytes out(width);
        patch(out, 0, width, value);
        memory.write(phys_addr::at(address), out);
    }
};

} // namespace lobos::test
