// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Running kernels on the simulated Alpha: one that lives in kseg, as Linux does, and one whose pages are mapped
/// elsewhere. Each has been running for a while, and is as hard to leave as a real one: its translation buffers are
/// full of entries for every address space, which map addresses of the lower half crosswise and survive a change of
/// context; the context that it runs in is one that the console made, not aligned, in its own memory; and where it is
/// entered for an exception nothing is left of it once it is overwritten.

#include <lobos/sim/alpha_processor.hpp>
#include <lobos/sim/kernel.hpp>

namespace lobos::sim {

template <bool Mapped> class basic_alpha_machine {
public:
    using port = alpha::port;

    static constexpr phys_range own_memory = phys_range::of(phys_addr::at(0x10'0000), byte_count::of(0x6'0000));
    static constexpr phys_addr block = phys_addr::at(0x10'2000); ///< the HWRPB
    static constexpr phys_addr context = phys_addr::at(0x10'4048);
    static constexpr phys_addr stack = phys_addr::at(0x10'6000);
    static constexpr phys_addr root = phys_addr::at(0x10'8000); ///< other tables lie behind it

    static constexpr std::uint64_t vptb = 0xffff'fffe'0000'0000;
    static constexpr std::uint64_t space = 5;
    /// Where the kernel has physical memory: its first address, and how much of it.
    static constexpr std::uint64_t linear_base = Mapped ? 0xffff'fe00'0000'0000 : 0xffff'fc00'0000'0000;
    static constexpr std::uint64_t most = Mapped ? 128u << 20 : std::uint64_t{1} << 40;
    static constexpr std::uint64_t block_address = 0x1000'0000; ///< where the console has mapped the HWRPB

    explicit basic_alpha_machine(memory& memory) : memory_{memory}, cpu_{memory} {}

    void boot(byte_count ram)
    {
        store(memory_, own_memory.first(), std::uint64_t{0x6b65'726e'656c}); // something of the kernel's own
        mapped_ = std::min(ram.raw(), most);
        write_block(ram);
        clear(context - byte_count::of(0x48));
        clear(stack);
        map_memory();
        turn_on();

        // Everything was used by somebody: these are more pages than any buffer holds.
        for (std::uint64_t at = 0; at < std::min(ram.raw(), crosswise); at += page_bytes)
            for (const auto wanted : {alpha_mmu::intent::read, alpha_mmu::intent::execute})
                (void)cpu_.mmu.translate(at, wanted);
        (void)cpu_.mmu.translate(block_address, alpha_mmu::intent::read);
        cpu_.record.clear();
    }

    std::optional<virt_addr> virtual_address(phys_addr page) const
    {
        if (page.raw() >= mapped_)
            return std::nullopt;
        return virt_addr::at(linear_base + page.raw());
    }
    alpha_processor& processor() { return cpu_; }
    void add_to(state_hash& hash) const { cpu_.add_to(hash); }

private:
    static constexpr unsigned page_bits = 13;
    static constexpr std::uint64_t page_bytes = std::uint64_t{1} << page_bits;
    static constexpr std::uint64_t crosswise = 64u << 20; ///< of the lower half's addresses
    static constexpr std::uint64_t names_table = 0x1111;  ///< KWE, KRE, ASM and V
    static constexpr std::uint64_t maps_page = 0x1'1111;  ///< and a bit of the kernel's own

    void clear(phys_addr page)
    {
        constexpr std::array<std::byte, page_bytes> zeros{};
        memory_.write(page, zeros);
    }

    /// The table that entry `index` of `table` names, which is made when there is none.
    phys_addr table_below(phys_addr table, std::uint64_t index)
    {
        const phys_addr at = table + byte_count::of(8 * index);
        if (const auto entry = load<std::uint64_t>(memory_, at); entry != 0)
            return phys_addr::at(entry >> 32 << page_bits);
        const phys_addr made = next_table_;
        next_table_ = made + byte_count::of(page_bytes);
        if (!own_memory.contains(made))
            throw machine_error{"no memory for tables", made.raw()};
        clear(made);
        store(memory_, at, made.raw() >> page_bits << 32 | names_table);
        return made;
    }
    void map(std::uint64_t address, std::uint64_t page)
    {
        const auto index = [&](unsigned level) { return address >> (page_bits + 10 * level) & 0x3ff; };
        const phys_addr last = table_below(table_below(root, index(2)), index(1));
        store(memory_, last + byte_count::of(8 * index(0)), page >> page_bits << 32 | maps_page);
    }

    void map_memory()
    {
        clear(root);
        next_table_ = root + byte_count::of(page_bytes);
        store(memory_, root + byte_count::of(8 * (vptb >> 33 & 0x3ff)), root.raw() >> page_bits << 32 | names_table);
        for (std::uint64_t at = 0; at < std::min(mapped_, crosswise); at += page_bytes)
            map(at, at ^ page_bytes);
        if (Mapped)
            for (std::uint64_t at = 0; at < mapped_; at += page_bytes)
                map(linear_base + at, at);
        map(block_address, block.raw());
    }

    void turn_on()
    {
        cpu_.mmu.root_page = root.raw() >> page_bits;
        cpu_.mmu.space = space;
        cpu_.mmu.vptb = vptb;
        cpu_.pcbb = context.raw();
        cpu_.general.set(alpha_register::sp, linear_base + stack.raw() + page_bytes - 0x130);
        cpu_.kernel_gp = linear_base + own_memory.first().raw() + 0x8000;
        cpu_.user_sp = 0x1'1fff'f000;
        cpu_.unique = 0x7ead;
        for (std::size_t i = 0; i < cpu_.entries.size(); ++i)
            cpu_.entries[i] = linear_base + own_memory.first().raw() + 0x100 * (i + 1);
        cpu_.halt_word = {block + byte_count::of(slot + 128)};
    }

    /// The HWRPB, as far as anything is wanted of it [alpha/arm III, HWRPB]: one processor, and two clusters of memory,
    /// of which the first page is the console's.
    void write_block(byte_count ram)
    {
        clear(block);
        const std::uint64_t pages = ram.raw() >> page_bits;
        const std::uint64_t words[][2] = {{0, block.raw()}, {8, 0x42'5052'5748}, {16, 9}, {24, 320}, {40, page_bytes},
            {48, 40}, {56, 255}, {88, 0x40'0000}, {112, 250'000'000}, {120, vptb}, {144, 1}, {152, slot_size},
            {160, slot}, {200, clusters}, {slot + 128, 0x1cc}, {clusters + 16, 2}, {clusters + 32, 1},
            {clusters + 72, 1}, {clusters + 80, 1}, {clusters + 88, pages - 1}};
        std::uint64_t sum = 0;
        for (const auto& [offset, value] : words) {
            store(memory_, block + byte_count::of(offset), value);
            sum += offset < 288 ? value : 0;
        }
        store(memory_, block + byte_count::of(288), sum);
    }
    static constexpr std::uint64_t slot = 320;
    static constexpr std::uint64_t slot_size = 624;
    static constexpr std::uint64_t clusters = slot + slot_size;

    memory& memory_;
    alpha_processor cpu_;
    std::uint64_t mapped_ = 0;
    phys_addr next_table_;
};

/// A kernel, with what is the machine's in reach.
template <bool Mapped> class basic_alpha_kernel : public kernel<basic_alpha_machine<Mapped>> {
public:
    using machine = basic_alpha_machine<Mapped>;
    using kernel<machine>::kernel;
};

using alpha_machine = basic_alpha_machine<false>; ///< in kseg
using alpha_kernel = basic_alpha_kernel<false>;
using mapped_alpha_kernel = basic_alpha_kernel<true>;

// Sanity checks
static_assert(kernel_glue<alpha_kernel> && kernel_glue<mapped_alpha_kernel>);

} // namespace lobos::sim
