// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The final bootstrap [lobos/2000 fig. 6]: copies the new kernel over the old one, around the safe areas. One loop
/// for all machines, which the host tests run on simulated memory and the kernel runs out of its own safe page.
///
/// It is a leaf: whatever flags it is compiled with it calls nothing, has no relocation and no global. Hence
/// `always_inline` on everything, plain integers for addresses, and no standard library. The memory policy does the
/// loads and stores; the real one is volatile, which also stops the compiler from calling memcpy.
///
/// The loop sees to steps, skip ranges, direction and edges. What lies between the edges is moved by the policy, as
/// fast as its machine can, or in aligned words where the policy has no better way.

#include <cstddef>
#include <cstdint>

#include <lobos/plan/program.hpp>

/// Always inlined, and untouched by what an embedder's flags would weave into it. Only hosted tests run it sanitized.
#if __STDC_HOSTED__
#define LOBOS_OVERLAY_INLINE [[gnu::always_inline, gnu::no_instrument_function]] inline
#else
#define LOBOS_OVERLAY_INLINE                                                                                           \
    [[gnu::always_inline, gnu::no_instrument_function]] __attribute__((no_sanitize("all"))) inline
#endif

namespace lobos::overlay {

/// Moves words. `word` is the unsigned integer that is copied at a time where both ends are aligned to it.
template <class M>
concept word_memory = requires(M& m, M::address at, M::word word) {
    { m.load_word(at) }; // of what is copied, aligned
    m.store_word(at, word);
};

/// Moves blocks. `block`, a power of two, is what the destination and the size of each call are a multiple of; the
/// size is never 0. `source_alignment`, a power of two up to `block`, is what the distance between the two ends is a
/// multiple of; 1 for a machine that takes any.
template <class M>
concept block_memory = requires(M& m, M::address at, M::address size, bool from_the_end) {
    requires M::block != 0 && (M::block & (M::block - 1)) == 0;
    requires M::source_alignment != 0 && (M::source_alignment & (M::source_alignment - 1)) == 0;
    requires M::source_alignment <= M::block;
    m.copy(
        at, at, size, from_the_end); // (destination, source ...); never reads what it has written, if that end is right
    m.store_zeros(at, size);
    m.fence(); // what was stored above can be read by everyone
};

/// Memory with a shorter way to see to a step than the loop's own: to fetch the one that lies `before`, a negative
/// number, the end of its page's; and to add 1 to the steps of the breadcrumb at `trail`,
/// which stay below 2^32.
template <class M>
concept step_memory = requires(M& m, M::address end, M::address before, M::address& word, M::address trail) {
    m.fetch(end, before, word, word, word); // distance, source, size
    m.count_step(trail);
};

/// What the loop runs on. `address` is an unsigned integer as wide as a pointer of the machine; every address is
/// physical, and this is what knows where it is found.
template <class M>
concept loop_memory = (block_memory<M> || word_memory<M>) && requires(M& m, M::address at, std::uint8_t byte) {
    { m.load_byte(at) }; // of what is copied
    m.store_byte(at, byte);
    { m.load_u64(at) };               // of the program, aligned to 8
    m.store_u64(at, std::uint64_t{}); // of the trail
    m.store_u32(at, std::uint32_t{});
    { m.clock() }; // any counter that only grows, or wraps at 32 bits
};

/// Makes the compiler forget what it knows of `value`, so that it keeps no second form of it and puts no library call
/// in place of a loop. No instruction.
template <class T> LOBOS_OVERLAY_INLINE void forget(T& value)
{
    asm volatile("" : "+r"(value) : : "memory");
}

/// Leaves `value` on the stack, and a register to what is used at every step. No instruction either.
template <class T> LOBOS_OVERLAY_INLINE void on_the_stack(T& value)
{
    asm volatile("" : "+m"(value));
}

/// What the policy is asked to move at a time: words,
template <loop_memory M> struct blocks {
    using address = M::address;
    static constexpr address size = sizeof(typename M::word);
    static constexpr address source_alignment = size;

    LOBOS_OVERLAY_INLINE static void copy(
        M& memory, address destination, address source, address left, bool from_the_end)
    {
        const address step = from_the_end ? address{0} - size : size;
        for (address i = from_the_end ? left - size : 0; left != 0; left -= size, i += step)
            memory.store_word(destination + i, memory.load_word(source + i));
    }
    LOBOS_OVERLAY_INLINE static void store_zeros(M& memory, address destination, address left)
    {
        for (; left != 0; left -= size, destination += size)
            memory.store_word(destination, 0);
    }
    LOBOS_OVERLAY_INLINE static void fence(M&) {}
};

/// or its own blocks.
template <loop_memory M>
    requires block_memory<M>
struct blocks<M> {
    using address = M::address;
    static constexpr address size = M::block;
    static constexpr address source_alignment = M::source_alignment;

    LOBOS_OVERLAY_INLINE static void copy(
        M& memory, address destination, address source, address left, bool from_the_end)
    {
        memory.copy(destination, source, left, from_the_end);
    }
    LOBOS_OVERLAY_INLINE static void store_zeros(M& memory, address destination, address left)
    {
        memory.store_zeros(destination, left);
    }
    LOBOS_OVERLAY_INLINE static void fence(M& memory) { memory.fence(); }
};

/// Moves a run, in which nothing is skipped, by `distance`, or fills it where that is 0: bytes up to the boundary of a
/// block, blocks, bytes. What is filled is filled from the end too, so that most steps need but one look at `distance`.
template <loop_memory M>
LOBOS_OVERLAY_INLINE void move_run(M& memory, typename M::address destination, typename M::address distance,
    typename M::address size, bool from_the_end)
{
    using address = M::address;
    constexpr address within = blocks<M>::size - 1;
    const bool fills = distance == 0;
    if constexpr (within == 0) { // there are no edges
        if (from_the_end) {
            if (fills)
                blocks<M>::store_zeros(memory, destination, size);
            else
                blocks<M>::copy(memory, destination, destination - distance, size, true);
        } else {
            blocks<M>::copy(memory, destination, destination - distance, size, false);
        }
        return;
    }
    const bool in_blocks = (distance & (blocks<M>::source_alignment - 1)) == 0;
    do {
        const address edge = (from_the_end ? destination + size : address{0} - destination) & within;
        const bool whole = in_blocks && edge == 0 && size > within;
        address here = size;
        if (whole)
            here &= ~within;
        else if (in_blocks && edge != 0 && edge < size)
            here = edge;
        size -= here;
        const address to = from_the_end ? destination + size : destination;
        if (whole && fills)
            blocks<M>::store_zeros(memory, to, here);
        else if (whole)
            blocks<M>::copy(memory, to, to - distance, here, from_the_end);
        else
            for (address i = 0; i != here; ++i) {
                const address at = to + (from_the_end ? here - 1 - i : i);
                memory.store_byte(at, fills ? std::uint8_t{0} : memory.load_byte(at - distance));
            }
        if (!from_the_end)
            destination += here;
    } while (size != 0);
}

/// One step by `distance`, as memmove would do it, without the bytes of its destination that lie in one of `skip_count`
/// `skip_range`s at physical address `skips`.
///
/// It is cut into runs, each skipped or moved as a whole, from its beginning; or from its end, where it moves upwards
/// over itself. `run` is where a run ends, counted from where it begins: the last byte, so that all of memory is a run
/// too.
template <loop_memory M>
LOBOS_OVERLAY_INLINE void run_step(M& memory, typename M::address destination, typename M::address distance,
    typename M::address size, typename M::address skips, typename M::address skip_count)
{
    using address = M::address;
    while (size != 0) {
        address run = size - 1;
        address at = destination;
        const bool from_the_end = distance <= run; // of a fill always
        if (from_the_end)
            at += run;
        bool skipped = false;
        address skip = skips;
        for (address i = skip_count; i != 0; --i, skip += static_cast<address>(sizeof(skip_range))) {
            // From `at` to what lies before it is farther than to anything behind, by wrapping. So a range has its
            // last byte before its own beginning if `at` lies in it, whichever way the run goes.
            address first = static_cast<address>(memory.load_u64(skip)) - 1 - at;
            address last = static_cast<address>(memory.load_u64(skip + sizeof(std::uint64_t))) - at;
            if (last <= first) {
                const address other = first;
                first = last;
                last = other;
                skipped = true;
            }
            if (from_the_end)
                first = ~last;
            if (first < run)
                run = first;
        }
        const address here = run + 1;
        size -= here;
        if (from_the_end)
            at -= run;
        else
            destination += here;
        if (!skipped)
            move_run(memory, at, distance, here, from_the_end);
    }
    blocks<M>::fence(memory); // a later step may read, from the bounce page, what this one stored
}

/// What a loop knows of the ranges that no step may change: that the steps keep off them, as the verifier has proved,
struct skips_in_plan {
    /// One step, as memmove would do it. Precondition: it is not empty, which the verifier proves too.
    template <loop_memory M>
    LOBOS_OVERLAY_INLINE static void move(M& memory, typename M::address, typename M::address destination,
        typename M::address distance, typename M::address size)
    {
        move_run(memory, destination, distance, size, distance < size);
        blocks<M>::fence(memory);
    }
};

/// or where they are; then it cuts the steps itself, and the plan need not be.
struct skips_in_loop {
    template <loop_memory M>
    LOBOS_OVERLAY_INLINE static void move(M& memory, typename M::address program, typename M::address destination,
        typename M::address distance, typename M::address size)
    {
        using address = M::address;
        run_step(memory, destination, distance, size, program + offsetof(overlay_program, skips),
            static_cast<address>(memory.load_u64(program + offsetof(overlay_program, skip_count))));
    }
};

/// Notes a stage in the breadcrumb at `trail`, and the clock as its word at `when`.
template <loop_memory M>
LOBOS_OVERLAY_INLINE void tell(M& memory, typename M::address trail, overlay_stage stage, typename M::address when)
{
    memory.store_u64(trail + when, memory.clock());
    memory.store_u32(trail + offsetof(breadcrumb, stage), static_cast<std::uint32_t>(stage));
}

/// Fetches the step that lies `before`, a negative number, `end`.
template <loop_memory M>
LOBOS_OVERLAY_INLINE void fetch(M& memory, typename M::address end, typename M::address before,
    typename M::address& distance, typename M::address& source, typename M::address& size)
{
    using address = M::address;
    if constexpr (step_memory<M>) {
        memory.fetch(end, before, distance, source, size);
    } else {
        const address step = end + before;
        distance = static_cast<address>(memory.load_u64(step + offsetof(stored_step, distance)));
        source = static_cast<address>(memory.load_u64(step + offsetof(stored_step, source)));
        size = static_cast<address>(memory.load_u64(step + offsetof(stored_step, size)));
    }
}

/// Notes that one step more than `done` is done.
template <loop_memory M>
LOBOS_OVERLAY_INLINE void tell_step(M& memory, typename M::address trail, typename M::address& done)
{
    if constexpr (step_memory<M>)
        memory.count_step(trail);
    else
        memory.store_u64(trail + offsetof(breadcrumb, steps), ++done);
}

/// Runs the `overlay_program` at physical address `program`, from the first step to the last.
/// Preconditions: proved by the verifier, for a loop with that way to skip; every address of the program fits in
/// `address`.
template <class Skips = skips_in_loop, loop_memory M>
LOBOS_OVERLAY_INLINE void run(M& memory, typename M::address program)
{
    using address = M::address;
    auto trail = static_cast<address>(memory.load_u64(program + offsetof(overlay_program, trail)));
    if (trail == static_cast<address>(overlay_program::no_trail)) // no other is odd
        trail = program + offsetof(overlay_program, untold);
    tell(memory, trail, overlay_stage::copying, offsetof(breadcrumb, began));
    address done = 0;
    memory.store_u64(trail + offsetof(breadcrumb, steps), done);
    auto page = static_cast<address>(memory.load_u64(program + offsetof(overlay_program, first_page)));
    while (page != static_cast<address>(plan_page::no_page)) { // aligned too
        constexpr address step_size{sizeof(stored_step)};
        const address size = static_cast<address>(memory.load_u64(page + offsetof(plan_page, count))) * step_size;
        on_the_stack(page);
        const address end = page + address{offsetof(plan_page, steps)} + size;
        if (address before = address{0} - size; before != 0)
            do {
                address distance = 0;
                address source = 0;
                address bytes = 0;
                fetch(memory, end, before, distance, source, bytes);
                Skips::move(memory, program, source + distance, distance, bytes);
                tell_step(memory, trail, done);
            } while ((before += step_size) != 0);
        page = static_cast<address>(memory.load_u64(page + offsetof(plan_page, next)));
    }
    tell(memory, trail, overlay_stage::copied, offsetof(breadcrumb, ended));
}

} // namespace lobos::overlay
