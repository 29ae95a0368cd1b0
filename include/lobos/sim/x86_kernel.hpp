// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Running kernels on the simulated x86, one for each mode of paging, with physical memory linearly mapped in the upper
/// half of their address space. Each has been running for a while, and is as hard to leave as a real one: its TLB is
/// full of global translations of the very addresses that the overlay will use one to one, to elsewhere; its descriptor
/// table is not the one that the segment registers were loaded from; it has a breakpoint set; and what its mode lets a
/// kernel turn on for its own protection is on.

#include <lobos/sim/kernel.hpp>
#include <lobos/sim/x86_processor.hpp>
#include <lobos/sim/x86_table_writer.hpp>
#include <lobos/x86/paging_4m.hpp>
#include <lobos/x86/port.hpp>

namespace lobos::sim {

/// What a kernel has, mode by mode.
struct x86_kernel_shape {
    x86::paging_mode mode;
    std::uint64_t linear_base; ///< where physical memory is mapped
    byte_count most;           ///< of it
    unsigned page_level;       ///< of the pages that map it
    std::uint64_t protections; ///< of CR4, beside what makes the mode
    std::uint64_t efer;

    static constexpr x86_kernel_shape of(x86::paging_mode mode)
    {
        using enum x86::paging_mode;
        using c = x86_control;
        constexpr std::uint64_t guarded = c::pge | c::smep_bit | c::smap_bit;
        constexpr byte_count gigabyte = byte_count::of(1u << 30);
        switch (mode) {
        case bits_32: return {mode, 0xc000'0000, byte_count::of(96u << 20), 0, guarded, 0};
        case pae: return {mode, 0xc000'0000, gigabyte, 1, guarded, c::nxe};
        case four_level:
            return {mode, 0xffff'8880'0000'0000, byte_count::of(8 * gigabyte.raw()), 1, guarded | c::pcide | c::cet,
                c::lme | c::nxe | c::sce};
        case five_level:
            return {mode, 0xff11'0000'0000'0000, byte_count::of(8 * gigabyte.raw()), 1, guarded | c::pcide | c::cet,
                c::lme | c::nxe | c::sce};
        default: return {mode, 0xc000'0000, gigabyte, 1, c::pge, 0};
        }
    }
    constexpr bool is_wide() const { return mode >= x86::paging_mode::pae; }
    constexpr bool is_long() const { return mode >= x86::paging_mode::four_level; }
    /// What makes the mode, of CR4.
    constexpr std::uint64_t cr4() const
    {
        return (mode == x86::paging_mode::bits_32 ? 0 : x86_control::pse) | (is_wide() ? x86_control::pae : 0) |
            (mode == x86::paging_mode::five_level ? x86_control::la57 : 0);
    }
};

/// `Paging` are the traits of the mode: x86::paging_4k, paging_4m, paging_pae, paging_4level or paging_5level.
template <paging_traits Paging> class basic_x86_machine {
public:
    using port = x86::port<Paging>;
    static constexpr x86_kernel_shape shape = x86_kernel_shape::of(x86::mode_of_traits<Paging>());

    static constexpr std::uint64_t linear_base = shape.linear_base;
    static constexpr phys_range own_memory = phys_range::of(phys_addr::at(0x10'0000), byte_count::of(0x4'0000));
    static constexpr phys_range descriptors = phys_range::of(phys_addr::at(0x10'2000), byte_count::of(48));
    static constexpr phys_range gates = phys_range::of(phys_addr::at(0x10'3000), x86::page_size); ///< empty
    static constexpr phys_range tables = phys_range::between(phys_addr::at(0x10'4000), own_memory.last());
    /// The four pointers of PAE paging need not begin a page.
    static constexpr phys_addr root = tables.first() + byte_count::of(shape.mode == x86::paging_mode::pae ? 0x7e0 : 0);
    static constexpr std::uint16_t code_selector = 0x08;
    static constexpr std::uint16_t data_selector = 0x10;

    explicit basic_x86_machine(memory& memory) : memory_{memory}, cpu_{memory} {}

    void boot(byte_count ram)
    {
        store(memory_, own_memory.first(), std::uint64_t{0x6b65'726e'656c}); // something of the kernel's own
        constexpr std::uint64_t in_pages = 2 * page_size_of(shape.page_level);
        mapped_ = std::min(byte_count::of((ram.raw() + in_pages - 1) / in_pages * in_pages), shape.most);
        if (shape.mode == x86::paging_mode::bits_32_pse)
            mapped_ = shape.most; // a directory has room for all of it
        map_memory();
        turn_on();
        load_segments();

        // Everything was used by somebody: 16384 pages are more than any TLB holds.
        const std::uint64_t pages = std::min<std::uint64_t>(ram.raw() / x86::page_size.raw(), 16384);
        for (std::uint64_t at = 0; at < std::min(pages << 12, mapped_.raw()); at += x86::page_size.raw()) {
            (void)cpu_.mmu.translate(at, x86_mmu::intent::read, x86_mmu::privilege::user);
            (void)cpu_.mmu.translate(linear_base + at, x86_mmu::intent::read);
        }
        cpu_.record.clear();
    }

    std::optional<virt_addr> virtual_address(phys_addr page) const
    {
        if (page.raw() >= mapped_.raw())
            return std::nullopt;
        return virt_addr::at(linear_base + page.raw());
    }
    x86_processor& processor() { return cpu_; }
    void add_to(state_hash& hash) const { cpu_.add_to(hash); }

private:
    using format = x86_table_format;

    static constexpr std::uint64_t page_size_of(unsigned level)
    {
        return std::uint64_t{4096} << level * (shape.is_wide() ? 9 : 10);
    }

    /// From `linear_base` on the kernel's map; from 0 on somebody's whose pages lie crosswise, and hold no code.
    void map_memory()
    {
        x86_table_writer writer{memory_, shape.mode, root, tables};
        for (std::uint64_t i = 0; i < x86::page_size.raw(); i += 8)
            store(memory_, tables.first() + byte_count::of(i), std::uint64_t{0});
        constexpr unsigned level = shape.page_level;
        constexpr std::uint64_t size = page_size_of(level);
        constexpr std::uint64_t software = 1u << 9;
        constexpr std::uint64_t kernels =
            format::present | format::writable | format::accessed | format::dirty | format::global | software;
        constexpr std::uint64_t large = level > 0 ? format::large : 0;
        constexpr std::uint64_t users = kernels | format::user | (shape.is_wide() ? format::no_execute : 0);
        for (std::uint64_t at = 0; at < mapped_.raw(); at += size) {
            writer.map(at, at ^ size, level, users | large);
            // The kernel has its own memory in small pages, where it can.
            const bool own = own_memory.first().raw() - at < size && shape.is_wide();
            for (std::uint64_t page = at; own && page < at + size; page += x86::page_size.raw())
                writer.map(linear_base + page, page, 0, kernels);
            if (!own)
                writer.map(linear_base + at, at, level, kernels | large);
        }
        if (shape.mode == x86::paging_mode::bits_32_pse)
            for (std::uint64_t at = mapped_.raw(); at < linear_base; at += size)
                writer.map(at, at ^ size, level, users | large);
    }

    void turn_on()
    {
        using c = x86_control;
        auto& mmu = cpu_.mmu;
        mmu.load_cr4(shape.cr4());
        mmu.load_cr3(root.raw());
        mmu.load_efer(shape.efer);
        mmu.load_cr0(c::pg | c::pe | c::wp);
    }

    /// The registers are loaded, and then the table is written anew, as a constant that knows no accessed bits: that
    /// does not matter to the registers, but to the next load. Protections come last, which is when they can.
    void load_segments()
    {
        constexpr std::uint64_t code = shape.is_long() ? 0x00af'9a00'0000'ffff : 0x00cf'9a00'0000'ffff;
        // 64-bit mode needs neither base nor limit of data, and many a kernel leaves them out.
        constexpr std::uint64_t data = shape.is_long() ? 0x0000'9200'0000'0000 : 0x00cf'9200'0000'ffff;
        constexpr std::uint64_t words[] = {0, code, data, 0x0000'8900'0000'0067,
            shape.is_long() ? linear_base >> 32 : 0}; // the last is the upper half of a task's
        constexpr std::size_t count = shape.is_long() ? 5 : 4;
        const auto table = std::as_bytes(std::span{words}.first(count));
        memory_.write(descriptors.first(), table);
        cpu_.gdtr = {linear_base + descriptors.first().raw(), static_cast<std::uint32_t>(table.size() - 1)};
        using enum x86_segments::name;
        cpu_.load_segment(cs, code_selector);
        for (const auto name : {ds, es, fs, gs, ss})
            cpu_.load_segment(name, data_selector);
        memory_.write(descriptors.first(), table);
        cpu_.idtr = {linear_base + gates.first().raw(), shape.is_long() ? 4095u : 2047u};
        cpu_.dr7 = 0x402; // G0
        cpu_.mmu.load_cr4(shape.cr4() | shape.protections);
        if (shape.protections & x86_control::pcide)
            cpu_.mmu.load_cr3(root.raw() | process_context);
    }

    static constexpr std::uint64_t process_context = 5;

    memory& memory_;
    x86_processor cpu_;
    byte_count mapped_ = byte_count::of(0);
};

/// A kernel, with what is the machine's in reach.
template <paging_traits Paging> class basic_x86_kernel : public kernel<basic_x86_machine<Paging>> {
public:
    using machine = basic_x86_machine<Paging>;
    using kernel<machine>::kernel;
    static constexpr std::uint64_t linear_base = machine::linear_base;
    static constexpr std::uint16_t code_selector = machine::code_selector;
    static constexpr std::uint16_t data_selector = machine::data_selector;
};

/// The kernel of the paper: 32-bit code, 4 MB pages.
using x86_machine = basic_x86_machine<x86::paging_4m>;
using x86_kernel = basic_x86_kernel<x86::paging_4m>;

// Sanity checks
static_assert(kernel_glue<x86_kernel>);
static_assert(x86_machine::shape.cr4() == 0x10 && x86_kernel::linear_base == 0xc000'0000);

} // namespace lobos::sim
