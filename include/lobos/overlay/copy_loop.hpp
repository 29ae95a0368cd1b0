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

/// What the loop runs on. `address` is an unsigned integer as wide as a pointer of the machine; every address is
/// physical, and mapped one to one.
template <class M>
concept loop_memory = (block_memory<M> || word_memory<M>) && requires(M& m, M::address at, std::uint8_t byte) {
    { m.load_byte(at) }; // of what is copied
    m.store_byte(at, byte);
    { m.load_u64(at) };               // of the program, aligned to 8
    m.store_u64(at, std::uint64_t{}); // of the trail
    m.store_u32(at, std::uint32_t{});
    { m.clock() }; // any counter that only grows
};

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

/// One step, as memmove would do it, without the bytes of its destination that lie in a skip range. The skip ranges
/// are `skip_range`s at physical address `skips`.
///
/// A step that moves upwards over itself has to be done from its end. There every address is mirrored, which makes the
/// last byte the first and an end a beginning, so that all but the accesses themselves is done in one way only: what
/// comes next begins at `at`, and goes up to the next skip range, boundary of a block, or end.
template <loop_memory M>
LOBOS_OVERLAY_INLINE void run_step(M& memory, typename M::address destination, typename M::address source,
    typename M::address size, bool fills, typename M::address skips, typename M::address skip_count)
{
    using address = M::address;
    constexpr address within = blocks<M>::size - 1;
    const address distance = destination - source;
    const bool upwards = !fills && distance < size;
    const bool in_blocks = fills || (distance & (blocks<M>::source_alignment - 1)) == 0;
    const address mirror = upwards ? ~address{0} : 0;
    address at = upwards ? ~(destination + (size - 1)) : destination;
    while (size != 0) {
        address here = size;
        bool skipped = false;
        for (address i = 0; i < skip_count; ++i) {
            const address skip = skips + i * static_cast<address>(sizeof(skip_range));
            const address one = static_cast<address>(memory.load_u64(skip)) ^ mirror;
            const address other = static_cast<address>(memory.load_u64(skip + sizeof(std::uint64_t))) ^ mirror;
            const address first = upwards ? other : one;
            const address last = upwards ? one : other;
            const address to_last = last - at;
            if (at - first <= last - first) { // in it
                here = to_last < size ? to_last + 1 : size;
                skipped = true;
                break;
            }
            if (first - at < here)
                here = first - at;
        }
        if (!skipped) {
            const address edge = (address{0} - at) & within;
            const bool whole = within == 0 || (in_blocks && edge == 0 && here > within);
            if (whole)
                here &= ~within;
            else if (in_blocks && edge != 0 && edge < here)
                here = edge;
            const address to = upwards ? address{0} - (at + here) : at;
            if (whole && fills)
                blocks<M>::store_zeros(memory, to, here);
            else if (whole)
                blocks<M>::copy(memory, to, to - distance, here, upwards);
            else
                for (address i = at; i != at + here; ++i)
                    memory.store_byte(i ^ mirror, fills ? std::uint8_t{0} : memory.load_byte((i ^ mirror) - distance));
        }
        at += here;
        size -= here;
    }
    blocks<M>::fence(memory); // a later step may read, from the bounce page, what this one stored
}

/// Runs the `overlay_program` at physical address `program`, from the first step to the last.
/// Preconditions: proved by the verifier; every address of the program fits in `address`.
template <loop_memory M>
LOBOS_OVERLAY_INLINE void run(M& memory, typename M::address program)
{
    using address = M::address;
    const address trail = static_cast<address>(memory.load_u64(program + offsetof(overlay_program, trail)));
    const bool trailing = trail != static_cast<address>(overlay_program::no_trail); // it is aligned, so never that
    const address skips = program + offsetof(overlay_program, skips);
    const address skip_count = static_cast<address>(memory.load_u64(program + offsetof(overlay_program, skip_count)));
    address done = 0;
    if (trailing) {
        memory.store_u64(trail + offsetof(breadcrumb, began), memory.clock());
        memory.store_u32(trail + offsetof(breadcrumb, stage), static_cast<std::uint32_t>(overlay_stage::copying));
    }
    address page = static_cast<address>(memory.load_u64(program + offsetof(overlay_program, first_page)));
    while (page != static_cast<address>(plan_page::no_page)) { // aligned too
        address step = page + offsetof(plan_page, steps);
        for (auto n = static_cast<address>(memory.load_u64(page + offsetof(plan_page, count))); n != 0; --n) {
            const std::uint64_t source = memory.load_u64(step + offsetof(overlay_step, source));
            run_step(memory, static_cast<address>(memory.load_u64(step + offsetof(overlay_step, destination))),
                static_cast<address>(source),
                static_cast<address>(memory.load_u64(step + offsetof(overlay_step, size))),
                source == overlay_step::zeros, skips, skip_count);
            step += sizeof(overlay_step);
            ++done;
        }
        if (trailing)
            memory.store_u64(trail + offsetof(breadcrumb, steps), done);
        page = static_cast<address>(memory.load_u64(page + offsetof(plan_page, next)));
    }
    if (trailing) {
        memory.store_u64(trail + offsetof(breadcrumb, ended), memory.clock());
        memory.store_u32(trail + offsetof(breadcrumb, stage), static_cast<std::uint32_t>(overlay_stage::copied));
    }
}

} // namespace lobos::overlay
