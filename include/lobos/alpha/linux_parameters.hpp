// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What Linux/Alpha is told by whoever loads it [linux/alpha-setup.h]: a command line, and where an initrd lies. It
/// finds them in the page that is its empty_zero_page later, 24 KB below its first instruction, and knows everything
/// else from the HWRPB. No register is looked at.
///
///     start - 0x10000  swapper_pg_dir, its level-1 table
///     start - 0x0e000  a stack, for boot loaders
///     start - 0x0c000  tables and a page for bad accesses
///     start - 0x06000  the page described here
///     start            its text, and its entry point
///     ...
///     end of its bss   two pages of tables for its vmalloc area, rounded up to a page
///
/// It writes to both of its sides before it has looked at what is reserved: no safe region and no table that it still
/// runs under can lie there, and no initrd. Afterwards all of it counts as the kernel.

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include <lobos/alpha/kseg.hpp>
#include <lobos/core/fault.hpp>
#include <lobos/core/physical_memory.hpp>
#include <lobos/core/text.hpp>

namespace lobos::alpha {

/// Offsets in the page. The rest of it means nothing.
namespace linux_page {
inline constexpr std::size_t command_line = 0;
inline constexpr std::size_t command_line_size = 256; ///< with a terminator
inline constexpr std::size_t initrd_start = 0x100;    ///< 8, an address in kseg; 0 for none
inline constexpr std::size_t initrd_size = 0x108;     ///< 8
inline constexpr std::size_t size = 0x110;            ///< of what is told
inline constexpr std::size_t longest_command_line = command_line_size - 1;
} // namespace linux_page

/// What Linux wants below its start for itself, and where in it the page of parameters lies.
inline constexpr byte_count linux_below_start = 64_KiB;
inline constexpr byte_count linux_page_below_start = 24_KiB;

/// What it wants behind its end, rounded up to a page of 8 KB. A console with more than 8 MB to remap costs a page more
/// for each 8 MB.
inline constexpr byte_count linux_behind_end = 16_KiB;

/// The page of parameters of a kernel that starts at `start`, and all that it takes for its own below. Faults:
/// misaligned (at: `start`, when it is no multiple of 64 KiB), bad_range (at: `start`, when it has no room below).
struct linux_low_pages {
    phys_range all;
    phys_addr parameters;
};
constexpr result<linux_low_pages> linux_pages_below(phys_addr start)
{
    if (!is_aligned(start, linux_below_start))
        return refuse(fault_code::misaligned, stage::loading, start);
    if (start < phys_addr{} + linux_below_start)
        return refuse(fault_code::bad_range, stage::loading, start);
    return linux_low_pages{
        phys_range::of(start - linux_below_start, linux_below_start), start - linux_page_below_start};
}

/// What is told.
struct linux_parameters {
    std::string_view command_line = {};
    std::optional<phys_range> initrd = {};
};

/// Fills `out`, the beginning of the page. Faults: command_line_too_long (more than 255 characters, or a NUL among
/// them), bad_range (the initrd is not where kseg reaches; at: its first address). After a fault `out` is as it was.
constexpr result<void> make_linux_page(const linux_parameters& told, std::span<std::byte, linux_page::size> out)
{
    using namespace linux_page;
    if (told.command_line.size() > longest_command_line || has_terminator(told.command_line))
        return refuse(fault_code::command_line_too_long, stage::staging, told.command_line.size());
    const auto start = told.initrd ? to_kseg(told.initrd->first()) : std::nullopt;
    if (told.initrd && (!start || !kseg_memory.contains(*told.initrd)))
        return refuse(fault_code::bad_range, stage::staging, told.initrd->first());
    const auto put = [out](std::size_t at, std::uint64_t value) {
        for (std::size_t i = 0; i < 8; ++i)
            out[at + i] = static_cast<std::byte>(value >> 8 * i & 0xff);
    };
    std::fill(out.begin(), out.end(), std::byte{0});
    for (std::size_t i = 0; i < told.command_line.size(); ++i)
        out[command_line + i] = static_cast<std::byte>(told.command_line[i]);
    if (told.initrd && start) {
        put(initrd_start, start->raw());
        put(initrd_size, told.initrd->size().raw());
    }
    return {};
}

/// Reads the page at `at` back, as a kernel does that was loaded like Linux. The command line lies in `text` then.
/// Faults: command_line_too_long (no terminator; at: the bytes looked at), bad_range (the initrd is empty, wraps or is
/// not in kseg; at: the physical address of the field that says so).
template <physical_memory Memory>
result<linux_parameters> read_linux_page(
    Memory& memory, phys_addr at, std::span<char, linux_page::command_line_size> text)
{
    linux_parameters told;
    memory.read(at, std::as_writable_bytes(text));
    const auto end = std::find(text.begin(), text.end(), '\0');
    if (end == text.end())
        return refuse(fault_code::command_line_too_long, stage::loading, text.size());
    told.command_line = {text.data(), static_cast<std::size_t>(end - text.begin())};

    const phys_addr start_field = at + byte_count::of(linux_page::initrd_start);
    const phys_addr size_field = at + byte_count::of(linux_page::initrd_size);
    const auto start = load<std::uint64_t>(memory, start_field);
    if (start == 0)
        return told;
    const auto first = from_kseg(virt_addr::at(start));
    if (!first)
        return refuse(fault_code::bad_range, stage::loading, start_field);
    told.initrd = phys_range::checked(*first, byte_count::of(load<std::uint64_t>(memory, size_field)));
    if (!told.initrd || !kseg_memory.contains(*told.initrd))
        return refuse(fault_code::bad_range, stage::loading, size_field);
    return told;
}

// Sanity checks
static_assert(linux_pages_below(0x101'0000_pa)->parameters == 0x100'a000_pa);
static_assert(linux_pages_below(0x101'0000_pa)->all.first() == 0x100'0000_pa);
static_assert(!linux_pages_below(0_pa) && !linux_pages_below(0x101'2000_pa));

} // namespace lobos::alpha
