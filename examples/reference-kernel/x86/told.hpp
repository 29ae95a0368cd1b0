// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What a loader, or the kernel before, told this one, in one shape for both multiboots: memory map, command line,
/// files, and of EFI firmware what only the second one has words for.

#include "../linear_memory.hpp"

#include <lobos/x86/multiboot2_reader.hpp>

namespace kernel {

/// A file: a module, whose string has been copied out.
struct told_file {
    lobos::phys_addr start;
    lobos::byte_count size;
    std::string_view string;
};

class told_by_multiboot {
public:
    explicit told_by_multiboot(lobos::phys_addr info) : reader_{memory, info} {}

    lobos::result<void> read_memory_map(lobos::region_map& map) const { return reader_.read_memory_map(map); }
    lobos::result<std::string_view> command_line(std::span<char> to) const
    {
        return string(reader_.command_line().value_or(lobos::phys_addr{}), to);
    }
    lobos::result<std::uint32_t> file_count() const { return reader_.module_count(); }
    lobos::result<told_file> file(std::uint32_t i, std::span<char> to) const
    {
        const auto module = reader_.module(i);
        if (!module)
            return std::unexpected{module.error()};
        const auto text = string(module->string, to);
        if (!text)
            return std::unexpected{text.error()};
        return told_file{module->start, module->size, *text};
    }
    lobos::result<std::optional<lobos::efi_firmware>> efi() const { return std::nullopt; }

private:
    lobos::result<std::string_view> string(lobos::phys_addr at, std::span<char> to) const
    {
        return at == lobos::phys_addr{} ? std::string_view{} : reader_.string(at, to);
    }

    lobos::multiboot_reader<linear_memory> reader_;
};

class told_by_multiboot2 {
public:
    explicit told_by_multiboot2(lobos::phys_addr info) : reader_{memory, info} {}

    lobos::result<void> read_memory_map(lobos::region_map& map) const { return reader_.read_memory_map(map); }
    lobos::result<std::string_view> command_line(std::span<char> to) const
    {
        const auto line = reader_.command_line();
        if (!line)
            return std::unexpected{line.error()};
        return *line ? reader_.string(**line, to) : std::string_view{};
    }
    lobos::result<std::uint32_t> file_count() const { return reader_.module_count(); }
    lobos::result<told_file> file(std::uint32_t i, std::span<char> to) const
    {
        const auto module = reader_.module(i);
        if (!module)
            return std::unexpected{module.error()};
        lobos::expects(module->has_value(), "a module that was counted is there");
        const auto text = reader_.string((*module)->string, to);
        if (!text)
            return std::unexpected{text.error()};
        return told_file{(*module)->start, (*module)->size, *text};
    }
    lobos::result<std::optional<lobos::efi_firmware>> efi() const { return reader_.efi(); }

private:
    lobos::multiboot2_reader<linear_memory> reader_;
};

} // namespace kernel
