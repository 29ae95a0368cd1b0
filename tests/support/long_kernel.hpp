// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A running 64-bit kernel as far as prepare() sees it: tables of four or five levels that map memory from
/// 0xffff800000000000 on, descriptors, facts. Its processor has all pieces and leaves by no instruction of theirs: it
/// says that it was told to.

#include <lobos/sim/kernel.hpp>
#include <lobos/x86/port.hpp>

#include <tests/support/paging_modes.hpp>

namespace lobos::test {

struct departed {
    virt_addr code, frame;
};

struct told_processor {
    x86::machine_facts now{};

    x86::machine_facts facts() const { return now; }
    static x86::overlay_code code()
    {
        static const bytes one(0x80, std::byte{0x90}), guard(0xb0, std::byte{0xcc});
        x86::overlay_code all{};
        for (std::size_t i = 0; i < x86::pieces; ++i)
            all.parts[i] = i >= static_cast<std::size_t>(x86::piece::guard_32) ? guard : one;
        return all;
    }
    void interrupts_off() noexcept {}
    void depart(virt_addr code, virt_addr frame) { throw departed{code, frame}; }
};
static_assert(x86::processor<told_processor>);

template <paging_traits Paging> class long_machine {
public:
    using port = x86::port<Paging>;
    static constexpr std::uint64_t linear_base = 0xffff'8000'0000'0000;
    static constexpr phys_range own_memory = phys_range::of(phys_addr::at(0x10'0000), byte_count::of(0x1'0000));

    explicit long_machine(sim::memory& memory) : memory_{memory} {}

    void boot(byte_count ram)
    {
        constexpr phys_addr descriptors = own_memory.first(), root = descriptors + page_size;
        constexpr std::uint64_t words[] = {0, 0x00af'9a00'0000'ffff, 0x00cf'9200'0000'ffff};
        memory_.write(descriptors, std::as_bytes(std::span{words}));
        phys_addr table = root;
        for (unsigned level = Paging::levels - 1; level > 2; --level) {
            clear(table);
            const std::size_t slot = linear_base >> (12 + 9 * level) & 0x1ff;
            store(memory_, table + byte_count::of(8 * slot), (table + page_size).raw() | 3);
            table += page_size;
        }
        clear(table);
        for (std::uint64_t at = 0, slot = 0; at < ram.raw(); at += 1u << 30, ++slot) // in pages of 1 GiB
            store(memory_, table + byte_count::of(8 * slot), at | 0x83);
        cpu_.now = {.table_root = root,
            .descriptors = {virt_addr::at(linear_base + descriptors.raw()), sizeof words - 1},
            .cr0 = 0x8001'0033,
            .cr4 = Paging::levels == 5 ? 0x10a0u : 0xa0u,
            .efer = 0xd01,
            .code_selector = 0x08,
            .data_selector = 0x10};
    }
    std::optional<virt_addr> virtual_address(phys_addr page) const { return virt_addr::at(linear_base + page.raw()); }
    told_processor& processor() { return cpu_; }
    void add_to(sim::state_hash& hash) const { hash.add(cpu_.now.table_root.raw()); }

private:
    void clear(phys_addr table)
    {
        for (std::uint64_t i = 0; i < 512; ++i)
            store(memory_, table + byte_count::of(8 * i), std::uint64_t{0});
    }

    sim::memory& memory_;
    told_processor cpu_;
};

template <class Paging> using long_kernel = sim::kernel<long_machine<Paging>>;
static_assert(kernel_glue<long_kernel<x86::paging_4level>>);

} // namespace lobos::test
