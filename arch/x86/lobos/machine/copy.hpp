// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Physical memory for the overlay's loop, and the ways an x86 has to move blocks of it. One of them is the argument
/// of `identity_memory`; all work in 32-bit and 64-bit code, and none touches a vector or floating-point register, so
/// none needs the state of one to be set up or saved.
///
///     mover               needs    how
///     rep_movs            80386    string instructions; words where these would be slow
///     words               80386    plain loads and stores of general registers
///     non_temporal        SSE2     the same, with stores that leave the caches alone
///     general_registers   SSE2     words for little, non_temporal for much
///     direct_stores<M>    CPUID    movdir64b if the processor has it, otherwise what M does
///
/// `rep_movs` is the default: it runs on everything and is the fastest forward. Preconditions of all: the direction
/// flag is clear, and memory is mapped write-back.

#include <cstdint>

#include <lobos/overlay/mapped_memory.hpp>

namespace lobos::machine {

/// Units one after another, from the first or from the last. `Unit::move` loads all of one before it stores any of it;
/// so a copy never reads what it has written, as long as it comes from the right end.
///
/// A load waits for an earlier store whose address differs from its own in whole pages only. Where the destination
/// lies a little behind the source but for whole pages, every load of an ascending copy does; from the end, none.
template <class Unit> struct unit_by_unit {
    using address = std::uintptr_t;
    static constexpr address block = Unit::size;
    static constexpr address source_alignment = 1;

    LOBOS_OVERLAY_INLINE static void copy(address destination, address source, address size, bool from_the_end)
    {
        const address distance = destination - source;
        if (distance >= size && address{0} - distance >= size) // they do not overlap, so both ends are right
            from_the_end = ((distance - 1) & 0xfff) < 0x400;
        const address step = from_the_end ? address{0} - block : block;
        for (address i = from_the_end ? size - block : 0; size != 0; size -= block, i += step)
            Unit::move(destination + i, source + i);
    }
    LOBOS_OVERLAY_INLINE static void store_zeros(address destination, address size)
    {
        address count = size / sizeof(address);
        if constexpr (sizeof(address) == 8)
            asm volatile("rep stosq" : "+D"(destination), "+c"(count) : "a"(address{0}) : "memory");
        else
            asm volatile("rep stosl" : "+D"(destination), "+c"(count) : "a"(address{0}) : "memory");
    }
    LOBOS_OVERLAY_INLINE static void fence()
    {
        if constexpr (Unit::weakly_ordered)
            asm volatile("sfence" : : : "memory");
    }
};

/// Two general registers.
struct pair_of_words {
    using address = std::uintptr_t;
    static constexpr address size = 2 * sizeof(address);
    static constexpr bool weakly_ordered = false;
    LOBOS_OVERLAY_INLINE static void move(address destination, address source)
    {
        address first = 0;
        address second = 0;
        asm volatile("mov (%[from]), %[first]\n\t"
                     "mov %c[word](%[from]), %[second]\n\t"
                     "mov %[first], (%[to])\n\t"
                     "mov %[second], %c[word](%[to])"
            : [first] "=&r"(first), [second] "=&r"(second)
            : [to] "r"(destination), [from] "r"(source), [word] "i"(sizeof(address))
            : "memory");
    }
};
using words = unit_by_unit<pair_of_words>;

/// Two general registers, past the caches: what is copied is seldom soon read again, and no line has to be fetched
/// only to be overwritten.
struct non_temporal_pair {
    using address = std::uintptr_t;
    static constexpr address size = 2 * sizeof(address);
    static constexpr bool weakly_ordered = true;
    LOBOS_OVERLAY_INLINE static void move(address destination, address source)
    {
        address first = 0;
        address second = 0;
        asm volatile("mov (%[from]), %[first]\n\t"
                     "mov %c[word](%[from]), %[second]\n\t"
                     "movnti %[first], (%[to])\n\t"
                     "movnti %[second], %c[word](%[to])"
            : [first] "=&r"(first), [second] "=&r"(second)
            : [to] "r"(destination), [from] "r"(source), [word] "i"(sizeof(address))
            : "memory");
    }
};
using non_temporal = unit_by_unit<non_temporal_pair>;

/// A line of the cache in one store. The destination is aligned to it, the source need not be.
struct direct_line {
    using address = std::uintptr_t;
    static constexpr address size = 64;
    static constexpr bool weakly_ordered = true;
    LOBOS_OVERLAY_INLINE static void move(address destination, address source)
    {
        asm volatile("movdir64b (%1), %0" : : "r"(destination), "r"(source) : "memory");
    }
};

/// A string instruction over cx bytes: words, and then the bytes that are left.
#if defined(__x86_64__)
#define LOBOS_X86_STRING(instruction)                                                                                  \
    "movl %%ecx, %k[rest]\n\tshrq $3, %%rcx\n\trep " instruction "q\n\t"                                               \
    "andl $7, %k[rest]\n\tmovl %k[rest], %%ecx\n\trep " instruction "b\n\t"
#else
#define LOBOS_X86_STRING(instruction)                                                                                  \
    "movl %%ecx, %[rest]\n\tshrl $2, %%ecx\n\trep " instruction "l\n\t"                                                \
    "andl $3, %[rest]\n\tmovl %[rest], %%ecx\n\trep " instruction "b\n\t"
#endif

/// String instructions, at any address; the direction flag is clear. What reaches over itself upwards goes from its end
/// in pieces that do not, or in pairs of words if these would be so small that starting one costs more. Where the
/// destination lies less than a line of the cache behind the source but for whole pages, they are no faster than
/// `words`; `non_temporal` is.
///
/// Each way is one statement, for a string instruction has its registers, and a compiler that sees several of them in
/// turn moves its variables in and out of these: twice the code.
struct rep_movs {
    using address = std::uintptr_t;
    static constexpr address block = 1;
    static constexpr address source_alignment = 1;

    LOBOS_OVERLAY_INLINE static void copy(address destination, address source, address size, bool from_the_end)
    {
        address rest = 0;
        if (from_the_end)
            downwards(destination, source, size);
        else
            asm volatile(LOBOS_X86_STRING("movs")
                : "+D"(destination), "+S"(source), "+c"(size), [rest] "=&r"(rest)
                :
                : "memory");
    }
    LOBOS_OVERLAY_INLINE static void store_zeros(address destination, address size)
    {
        address rest = 0;
        asm volatile(LOBOS_X86_STRING("stos")
            : "+D"(destination), "+c"(size), [rest] "=&r"(rest)
            : "a"(address{0})
            : "memory");
    }
    LOBOS_OVERLAY_INLINE static void fence() {}

private:
    static constexpr address smallest_piece = address{32} << 10;

    LOBOS_OVERLAY_INLINE static void downwards(address destination, address source, address size)
    {
        address rest = destination - source;
        address distance = 0; // this and the next on the stack: registers are for what runs at every step
        address left = 0;
        asm volatile("cmp %[smallest], %[rest]\n\t"
                     "jae 3f\n"
                     "1:\n\t" // bytes, until the rest is whole pairs
                     "testb %[within], %%cl\n\t"
                     "jz 2f\n\t"
                     "dec %[size]\n\t"
                     "movb (%[from],%[size]), %b[rest]\n\t"
                     "movb %b[rest], (%[to],%[size])\n\t"
                     "jmp 1b\n"
                     "2:\n\t" // pairs of words, the upper one first
                     "test %[size], %[size]\n\t"
                     "jz 5f\n\t"
                     "mov -%c[word](%[from],%[size]), %[rest]\n\t"
                     "mov %[rest], -%c[word](%[to],%[size])\n\t"
                     "sub %[pair], %[size]\n\t"
                     "mov (%[from],%[size]), %[rest]\n\t"
                     "mov %[rest], (%[to],%[size])\n\t"
                     "jmp 2b\n"
                     "3:\n\t"
                     "mov %[rest], %[distance]\n\t"
                     "add %[size], %[to]\n\t"
                     "mov %[size], %[left]\n"
                     "4:\n\t" // a piece, of which the end is known
                     "mov %[distance], %[size]\n\t"
                     "cmp %[left], %[size]\n\t"
                     "cmova %[left], %[size]\n\t"
                     "sub %[size], %[left]\n\t"
                     "sub %[size], %[to]\n\t"
                     "mov %[to], %[from]\n\t"
                     "sub %[distance], %[from]\n\t"             //
            LOBOS_X86_STRING("movs") "mov %[from], %[to]\n\t"   // where a whole piece began, its source ends
                                     "cmp %[left], %[size]\n\t" // which is 0
                                     "jne 4b\n"
                                     "5:"
            : [to] "+D"(destination), [from] "+S"(source), [size] "+c"(size), [distance] "=&m"(distance),
            [left] "=&m"(left), [rest] "+q"(rest)
            : [smallest] "i"(smallest_piece), [word] "i"(sizeof(address)), [pair] "i"(2 * sizeof(address)),
            [within] "i"(2 * sizeof(address) - 1)
            : "memory");
    }
};
#undef LOBOS_X86_STRING

/// Little is copied into the caches, where a step that reads it again finds it; much would only displace what is there.
struct general_registers : words {
    static constexpr address much = address{256} << 10;

    LOBOS_OVERLAY_INLINE static void copy(address destination, address source, address size, bool from_the_end)
    {
        if (size < much)
            words::copy(destination, source, size, from_the_end);
        else
            non_temporal::copy(destination, source, size, from_the_end);
    }
    LOBOS_OVERLAY_INLINE static void fence() { non_temporal::fence(); }
};

/// Whether the processor has movdir64b: CPUID leaf 7, ECX bit 28.
struct has_movdir64b {
    LOBOS_OVERLAY_INLINE static bool ask()
    {
        std::uint32_t leaf = 0;
        std::uint32_t ignored = 0;
        std::uint32_t features = 0;
        std::uint32_t also_ignored = 0;
        asm volatile("cpuid" : "+a"(leaf), "=b"(ignored), "+c"(features), "=d"(also_ignored));
        if (leaf < 7) // the highest there is
            return false;
        leaf = 7;
        features = 0;
        asm volatile("cpuid" : "+a"(leaf), "=b"(ignored), "+c"(features), "=d"(also_ignored));
        return (features >> 28 & 1) != 0;
    }
};

/// movdir64b. Asks the processor once, when it is made, and never executes the instruction where that said no.
/// `Otherwise` also stores zeros.
template <class Otherwise = rep_movs, class Question = has_movdir64b> struct direct_stores {
    using address = std::uintptr_t;
    using lines = unit_by_unit<direct_line>;
    static constexpr address block = lines::block;
    static constexpr address source_alignment = 1;
    static_assert(Otherwise::block <= block && Otherwise::source_alignment == 1);

    bool direct = Question::ask();

    LOBOS_OVERLAY_INLINE void copy(address destination, address source, address size, bool from_the_end) const
    {
        if (direct)
            lines::copy(destination, source, size, from_the_end);
        else
            Otherwise::copy(destination, source, size, from_the_end);
    }
    LOBOS_OVERLAY_INLINE static void store_zeros(address destination, address size)
    {
        Otherwise::store_zeros(destination, size);
    }
    LOBOS_OVERLAY_INLINE void fence() const
    {
        if (direct)
            lines::fence();
        else
            Otherwise::fence();
    }
};

/// Physical memory through the identity mapping, with a mover.
template <class Mover = rep_movs> struct identity_memory : Mover, overlay::mapped_memory<> {
    using address = std::uintptr_t;

    /// Not volatile, for nothing changes the program, and 32-bit code need not load what it does not want.
    LOBOS_OVERLAY_INLINE static std::uint64_t load_u64(address at)
    {
        using program_word [[gnu::may_alias]] = const std::uint64_t;
        return *reinterpret_cast<program_word*>(at);
    }
    /// As C++ would, into the registers of the string instructions.
    LOBOS_OVERLAY_INLINE static void fetch(
        address end, address before, address& distance, address& source, address& size)
    {
        address by = 0;
        address from = 0;
        address bytes = 0;
        asm volatile("mov (%[end],%[before]), %[by]\n\t"
                     "mov %c[at_source](%[end],%[before]), %[from]\n\t"
                     "mov %c[at_size](%[end],%[before]), %[bytes]"
            : [by] "=&a"(by), [from] "=&S"(from), [bytes] "=&c"(bytes)
            : [end] "r"(end), [before] "r"(before), [at_source] "i"(offsetof(stored_step, source)),
            [at_size] "i"(offsetof(stored_step, size))
            : "memory");
        distance = by;
        source = from;
        size = bytes;
    }
    LOBOS_OVERLAY_INLINE static void count_step(address trail)
    {
        asm volatile("incl %c[steps](%[trail])"
            :
            : [trail] "r"(trail), [steps] "i"(offsetof(breadcrumb, steps))
            : "memory");
    }
    LOBOS_OVERLAY_INLINE static std::uint64_t clock()
    {
        if constexpr (sizeof(address) == 4) {
            std::uint64_t both = 0;
            asm volatile("rdtsc" : "=A"(both));
            return both;
        } else {
            std::uint32_t low = 0;
            std::uint32_t high = 0;
            asm volatile("rdtsc" : "=a"(low), "=d"(high));
            return (std::uint64_t{high} << 32) | low;
        }
    }
};

// Sanity checks
static_assert(overlay::loop_memory<identity_memory<>> && overlay::block_memory<identity_memory<>>);
static_assert(overlay::block_memory<identity_memory<words>>);
static_assert(overlay::block_memory<identity_memory<non_temporal>>);
static_assert(overlay::block_memory<identity_memory<general_registers>>);
static_assert(overlay::block_memory<identity_memory<direct_stores<>>>);

} // namespace lobos::machine
