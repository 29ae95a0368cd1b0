// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The other processors. This kernel has no work for them; it gives them what a kernel exec has to end: the first spins
/// in the kernel's text and writes, the second waits on the kernel's data, the third sleeps, each on a stack and page
/// tables of its own, and so on. Before the point of no return they are sent back to where they were after power-on.

#include "../console.hpp"
#include "../frames.hpp"
#include "../survivors.hpp"
#include "trampoline.hpp"

#include <lobos/machine/other_processors.hpp>
#include <lobos/machine/processor.hpp>

namespace kernel {

class processors {
public:
    /// Starts `count` - 1 others. How many processors run then, this one with them; fewer than `count` when some do not
    /// answer within a second, or there is no memory for them.
    std::uint32_t start(std::uint32_t count)
    {
        using namespace lobos;
        count = std::min<std::uint32_t>(count, trampoline_page::most + 1);
        trampoline_page page{};
        for (; page.count + 1 < count; ++page.count) {
            const auto root = cloned_root(machine::processor{}.facts().table_root);
            const auto stack = frame_pool.take_lowest();
            if (!root || !stack)
                break;
            page.places[page.count] = {root->raw(), linear_base + stack->raw() + page_size.raw()};
        }
        started_ = page.count != 0;
        if (!started_)
            return 1;
        page.cr4 = machine::read_cr4();
        page.efer = machine::processor_features{}.efer() & ~x86::efer::long_mode_active;
        page.cr0 = machine::read_cr0();
        page.entry = reinterpret_cast<std::uintptr_t>(&run);
        const auto gdtr = machine::read_gdtr();
        page.gdt_limit = gdtr.limit;
        std::memcpy(page.gdt_base, reinterpret_cast<const std::byte*>(&gdtr) + sizeof gdtr.limit, sizeof gdtr.base);
        memory.write(
            trampoline_page::at, {trampoline_begin, static_cast<std::size_t>(trampoline_end - trampoline_begin)});
        store(memory, trampoline_page::at + byte_count::of(trampoline_page::fields_offset), page);

        machine::other_processors others{local_apic()};
        (void)others.start(trampoline_page::at);
        for (int ms = 0; ms < 1000 && arrived() < page.count; ++ms)
            others.wait_microseconds(1000);
        return arrived() + 1;
    }

    /// Whether a processor of the kernel before went on after it was stopped, in memory that it had no right to. An
    /// emulator's may finish the turn that it was in.
    static bool someone_ran()
    {
        return __atomic_load_n(&spins()[0], __ATOMIC_RELAXED) - spins()[1] > trampoline_page::most;
    }

    /// False when the others could not be told.
    bool stop() noexcept
    {
        if (!started_)
            return true;
        const bool told = lobos::machine::other_processors{local_apic()}.stop();
        spins()[1] = __atomic_load_n(&spins()[0], __ATOMIC_RELAXED);
        return told;
    }

private:
    /// Mapped by the first instructions, behind the linear memory.
    static volatile std::uint32_t* local_apic()
    {
        return reinterpret_cast<volatile std::uint32_t*>(static_cast<std::uintptr_t>(kernel_base + 0x3ee0'0000));
    }

    /// A copy of the top of these tables, in which the first GiB or 4 MB is also where it is, for the first steps.
    static std::optional<lobos::phys_addr> cloned_root(lobos::phys_addr root)
    {
        using paging = lobos::x86::REFERENCE_PAGING;
        return cloned_table<typename paging::word>(root,
            paging::levels == 2       ? 768
                : paging::levels == 3 ? 3
                                      : 511,
            paging::levels == 5 ? 2 : 1);
    }
    template <class Word>
    static std::optional<lobos::phys_addr> cloned_table(lobos::phys_addr table, std::size_t kernels, int levels)
    {
        using namespace lobos;
        const auto copy = frame_pool.take_lowest();
        if (!copy)
            return std::nullopt;
        std::memcpy(pointer_to(*copy), pointer_to(table), static_cast<std::size_t>(page_size.raw()));
        auto word = load<Word>(memory, table + byte_count::of(kernels * sizeof(Word)));
        if (levels > 1) {
            const auto below = cloned_table<Word>(phys_addr::at(word & ~Word{0xfff}), kernels, levels - 1);
            if (!below)
                return std::nullopt;
            word = static_cast<Word>(below->raw() | (word & 0xfff));
        }
        store(memory, *copy, word);
        return copy;
    }

    /// How often somebody spun, and how often he had when he was stopped. In the padding, which is at one address in
    /// all builds and survives an exec.
    static std::uint32_t* spins() { return reinterpret_cast<std::uint32_t*>(pointer_to(padding_page().first()) + 64); }
    static std::uint32_t arrived() { return __atomic_load_n(&arrived_, __ATOMIC_ACQUIRE); }

    [[noreturn]] static void run(std::uint32_t number)
    {
        constexpr std::uint32_t has_monitor = 1u << 3;
        __atomic_fetch_add(&arrived_, 1, __ATOMIC_RELEASE);
        if (number % 3 == 1 && (lobos::machine::cpuid(1).ecx & has_monitor) != 0)
            for (;;)
                asm volatile("monitor\n\tmwait" : : "a"(&watched_), "c"(0), "d"(0) : "memory");
        if (number % 3 == 2)
            for (;;)
                asm volatile("cli\n\thlt");
        for (;;)
            asm volatile("lock incl (%0)\n\tpause" : : "r"(spins()) : "memory");
    }

    static inline constinit std::uint32_t arrived_ = 0;
    static inline constinit std::uint64_t watched_ = 0;
    bool started_ = false;
};

inline constinit processors other_processors;

} // namespace kernel
