// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The final bootstrap [lobos/2000 fig. 6]: copies the new kernel over the old one, around the safe areas. One loop
/// for all machines, which the host tests run on simulated memory and the kernel runs out of its own safe page.
///
/// It is a leaf: whatever flags it is compiled with it calls nothing, has no relocation and no global. Hence
/// `always_inline` on everything, plain integers for addresses, and no standard library. The memory policy does the
/// loads and stores; the real one is volatile, which also stops the compiler from calling memcpy.

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

/// What the loop runs on. `address` is an unsigned integer as wide as a pointer of the machine, `word` the unsigned
/// integer that is copied at a time where both ends are aligned to it.
template <class M>
concept loop_memory = requires(M& m, M::address at, M::word word, std::uint8_t byte) {
    { m.load_word(at) }; // of what is copied, aligned; every address is physical, and mapped one to one
    { m.load_byte(at) };
    m.store_word(at, word);
    m.store_byte(at, byte);
    { m.load_u64(at) };               // of the program, aligned to 8
    m.store_u64(at, std::uint64_t{}); // of the trail
    m.store_u32(at, std::uint32_t{});
    { m.clock() }; // any counter that only grows
};

/// memmove of `size` bytes. Forward unless the destination lies behind the source and overlaps it.
template <loop_memory M>
LOBOS_OVERLAY_INLINE void move(
    M& memory, typename M::address destination, typename M::address source, typename M::address size)
{
    using address = M::address;
    constexpr address step = sizeof(typename M::word);
    const bool whole_words = ((destination ^ source) & (step - 1)) == 0;
    if (destination - source >= size) { // also true, by wrapping, when the destination lies in front of the source
        if (whole_words) {
            for (; size != 0 && (destination & (step - 1)) != 0; ++destination, ++source, --size)
                memory.store_byte(destination, memory.load_byte(source));
            for (; size >= step; destination += step, source += step, size -= step)
                memory.store_word(destination, memory.load_word(source));
        }
        for (; size != 0; ++destination, ++source, --size)
            memory.store_byte(destination, memory.load_byte(source));
        return;
    }
    destination += size;
    source += size;
    if (whole_words) {
        for (; size != 0 && (destination & (step - 1)) != 0; --size)
            memory.store_byte(--destination, memory.load_byte(--source));
        for (; size >= step; size -= step) {
            destination -= step;
            source -= step;
            memory.store_word(destination, memory.load_word(source));
        }
    }
    for (; size != 0; --size)
        memory.store_byte(--destination, memory.load_byte(--source));
}

/// `size` zero bytes.
template <loop_memory M>
LOBOS_OVERLAY_INLINE void fill(M& memory, typename M::address destination, typename M::address size)
{
    constexpr typename M::address step = sizeof(typename M::word);
    for (; size != 0 && (destination & (step - 1)) != 0; ++destination, --size)
        memory.store_byte(destination, 0);
    for (; size >= step; destination += step, size -= step)
        memory.store_word(destination, 0);
    for (; size != 0; ++destination, --size)
        memory.store_byte(destination, 0);
}

/// One step, without the bytes of its destination that lie in a skip range. The skip ranges are sorted, disjoint
/// `skip_range`s at physical address `skips`.
///
/// A step that moves upwards over itself has to be done from its end, so then the skip ranges are met from the last.
template <loop_memory M>
LOBOS_OVERLAY_INLINE void run_step(M& memory, typename M::address destination, typename M::address source,
    typename M::address size, bool fills, typename M::address skips, typename M::address skip_count)
{
    using address = M::address;
    const address distance = destination - source;
    const bool upwards = !fills && distance < size;
    address first = destination; // what is left to do: [first, first + left)
    address left = size;
    for (address i = 0; left != 0; ++i) {
        address before = left; // bytes of it in front of the next skip range ...
        address behind = 0;    // ... and behind it
        if (i < skip_count) {
            const address at = skips + (upwards ? skip_count - 1 - i : i) * static_cast<address>(sizeof(skip_range));
            const address low = static_cast<address>(memory.load_u64(at));
            const address high = static_cast<address>(memory.load_u64(at + sizeof(std::uint64_t)));
            const address last = first + (left - 1);
            if (high < first || low > last)
                continue;
            before = low > first ? low - first : 0;
            behind = high < last ? last - high : 0;
        } else if (upwards) {
            behind = left; // past the last skip range everything that is left is on the near side
            before = 0;
        }
        const address here = upwards ? behind : before;
        const address from = upwards ? first + (left - behind) : first;
        if (fills)
            fill(memory, from, here);
        else
            move(memory, from, from - distance, here);
        first = upwards ? first : first + (left - behind);
        left = upwards ? before : behind;
    }
}

/// Runs the `overlay_program` at physical address `program`, from the first step to the last.
/// Preconditions: proved by the verifier; every address of the program fits in `address`.
template <loop_memory M>
LOBOS_OVERLAY_INLINE void run(M& memory, typename M::address program)
{
    using address = M::address;
    const address trail = static_cast<address>(memory.load_u64(program + offsetof(overlay_program, trail)));
    const bool trailing = memory.load_u64(program + offsetof(overlay_program, trail)) != overlay_program::no_trail;
    const address skips = program + offsetof(overlay_program, skips);
    const address skip_count = static_cast<address>(memory.load_u64(program + offsetof(overlay_program, skip_count)));
    std::uint64_t done = 0;
    if (trailing) {
        memory.store_u64(trail + offsetof(breadcrumb, began), memory.clock());
        memory.store_u32(trail + offsetof(breadcrumb, stage), static_cast<std::uint32_t>(overlay_stage::copying));
    }
    std::uint64_t page = memory.load_u64(program + offsetof(overlay_program, first_page));
    while (page != plan_page::no_page) {
        const address here = static_cast<address>(page);
        address step = here + offsetof(plan_page, steps);
        for (std::uint64_t n = memory.load_u64(here + offsetof(plan_page, count)); n != 0; --n) {
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
        page = memory.load_u64(here + offsetof(plan_page, next));
    }
    if (trailing) {
        memory.store_u64(trail + offsetof(breadcrumb, ended), memory.clock());
        memory.store_u32(trail + offsetof(breadcrumb, stage), static_cast<std::uint32_t>(overlay_stage::copied));
    }
}

} // namespace lobos::overlay
