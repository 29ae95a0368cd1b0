// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A kernel that is only declared, for tests/static/symbols: whatever else is undefined the library wants of whoever
/// links it.

#include <lobos/kernel_exec.hpp>
#include <lobos/machine/processor.hpp>

namespace stub {

using namespace lobos;

struct memory {
    void read(phys_addr at, std::span<std::byte> out);
    void write(phys_addr at, std::span<const std::byte> in);
};

template <class Port> struct glue {
    using port = Port;

    const region_map& memory_map();
    std::uint64_t memory_generation();
    stub::memory& memory();
    std::optional<phys_addr> allocate_page(phys_range reach);
    bool allocate_page_at(phys_addr page);
    void free_page(phys_addr page) noexcept;
    std::optional<virt_addr> virtual_address(phys_addr page);
    std::span<std::byte> allocate_workspace(std::size_t bytes);
    void free_workspace(std::span<std::byte> space) noexcept;
    machine::processor& processor();
    void before_point_of_no_return() noexcept;
};

result<phys_addr> frame();
void keep(fault f);
void line(std::string_view text);

} // namespace stub
