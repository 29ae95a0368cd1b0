// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A running kernel on the simulated 32-bit x86: 4 MB pages, physical memory linearly mapped at 0xC0000000. It has been
/// running for a while, and is as hard to leave as a real one: its TLB is full of global translations of the very
/// addresses that the overlay will use one to one, to elsewhere, its descriptor table is not the one that the segment
/// registers were loaded from, and it has a breakpoint set.

#include <lobos/sim/kernel.hpp>
#include <lobos/sim/x86_processor.hpp>
#include <lobos/x86/paging_4m.hpp>
#include <lobos/x86/port.hpp>

namespace lobos::sim {

class x86_machine {
public:
    using port = x86::port<x86::paging_4m>;

    static constexpr std::uint32_t linear_base = 0xc000'0000;
    static constexpr phys_range own_memory = phys_range::of(phys_addr::at(0x10'0000), byte_count::of(0x4'0000));
    static constexpr phys_range directory = phys_range::of(phys_addr::at(0x10'1000), page_size);
    static constexpr phys_range descriptors = phys_range::of(phys_addr::at(0x10'2000), byte_count::of(32));
    static constexpr phys_range gates = phys_range::of(phys_addr::at(0x10'3000), byte_count::of(2048)); ///< empty
    static constexpr std::uint16_t code_selector = 0x08;
    static constexpr std::uint16_t data_selector = 0x10;

    explicit x86_machine(memory& memory) : memory_{memory}, cpu_{memory} {}

    void boot(byte_count ram)
    {
        store(memory_, own_memory.first(), std::uint64_t{0x6b65'726e'656c}); // something of the kernel's own
        load_segments();
        map_memory();

        // Everything was used by somebody: 16384 pages are more than any TLB holds.
        const std::uint64_t pages = std::min<std::uint64_t>(ram.raw() / page_size.raw(), 16384);
        for (std::uint32_t page = 0; page < pages; ++page) {
            (void)cpu_.mmu.translate(page << 12, x86_mmu::intent::read);
            (void)cpu_.mmu.translate(linear_base + (page << 12), x86_mmu::intent::read);
        }
        cpu_.record.clear();
    }

    std::optional<virt_addr> virtual_address(phys_addr page) const
    {
        if (page.raw() > 0xffff'ffff - linear_base)
            return std::nullopt;
        return virt_addr::at(linear_base + page.raw());
    }
    x86_processor& processor() { return cpu_; }
    void add_to(state_hash& hash) const { cpu_.add_to(hash); }

private:
    /// The registers are loaded, and then the table is written anew, as a constant that knows no accessed bits: that
    /// does not matter to the registers, but to the next load.
    void load_segments()
    {
        constexpr std::uint64_t table[] = {0, 0x00cf'9a00'0000'ffff, 0x00cf'9200'0000'ffff, 0x0000'8900'0000'0067};
        static_assert(sizeof table == descriptors.size().raw());
        memory_.write(descriptors.first(), std::as_bytes(std::span{table}));
        cpu_.gdtr_base = static_cast<std::uint32_t>(descriptors.first().raw());
        cpu_.gdtr_limit = sizeof table - 1;
        using enum x86_segments::name;
        cpu_.load_segment(cs, code_selector);
        for (const auto name : {ds, es, fs, gs, ss})
            cpu_.load_segment(name, data_selector);
        memory_.write(descriptors.first(), std::as_bytes(std::span{table}));
        cpu_.gdtr_base += linear_base;
        cpu_.idtr_base = linear_base + static_cast<std::uint32_t>(gates.first().raw());
        cpu_.idtr_limit = static_cast<std::uint32_t>(gates.size().raw() - 1);
        cpu_.dr7 = 0x402; // G0
    }

    /// From 3 GiB on the kernel's linear map; below it somebody whose pages lie crosswise.
    void map_memory()
    {
        constexpr std::uint32_t first_linear = linear_base >> 22;
        for (std::uint32_t i = 0; i < 1024; ++i) {
            // Present, writable, accessed, dirty, 4 MB, global, and a bit of software's own.
            const std::uint32_t entry =
                i >= first_linear ? ((i - first_linear) << 22) | 0x3e3 : ((i ^ 1) << 22) | 0x3e7;
            store(memory_, directory.first() + byte_count::of(std::uint64_t{4} * i), entry);
        }
        cpu_.mmu.load_cr4(x86::cr4::large_pages | x86::cr4::global_pages);
        cpu_.mmu.load_cr3(static_cast<std::uint32_t>(directory.first().raw()));
        cpu_.mmu.load_cr0(x86::cr0::paging | x86::cr0::protection | x86::cr0::write_protect);
    }

    memory& memory_;
    x86_processor cpu_;
};

/// The kernel, with what is the machine's in reach.
class x86_kernel : public kernel<x86_machine> {
public:
    using kernel::kernel;
    static constexpr std::uint32_t linear_base = x86_machine::linear_base;
    static constexpr std::uint16_t code_selector = x86_machine::code_selector;
    static constexpr std::uint16_t data_selector = x86_machine::data_selector;
};

static_assert(kernel_glue<x86_kernel>);

} // namespace lobos::sim
