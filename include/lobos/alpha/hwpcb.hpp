// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The hardware privileged context block, HWPCB or "PCB" for short: what `call_pal swpctx` loads a context from, and
/// where it saves the one that it leaves [alpha/arm II-B, process structure]. 128 bytes of physical memory, aligned to
/// their size; its physical address is the processor's PCBB. The PALcode writes into it at its own times, also when the
/// processor halts: the current one has to lie where nobody writes and nobody minds.

#include <cstddef>

#include <lobos/alpha/paging_8k.hpp>
#include <lobos/core/fault.hpp>

namespace lobos::alpha {

/// As it lies in memory.
struct hwpcb {
    static constexpr byte_count alignment = byte_count::of(128);

    std::uint64_t ksp = 0;    ///< kernel stack pointer, virtual
    std::uint64_t usp = 0;    ///< the user's
    std::uint64_t ptbr = 0;   ///< page table base: the level-1 table's physical address, in pages
    std::uint32_t cycles = 0; ///< charged process cycles, which rpcc adds to
    std::uint32_t asn = 0;    ///< address space number
    std::uint64_t unique = 0; ///< process unique value, of no meaning to the PALcode
    std::uint64_t flags = 0;
    std::uint64_t reserved[10] = {}; ///< the PALcode's own

    friend constexpr bool operator==(const hwpcb&, const hwpcb&) = default;
};

namespace hwpcb_flag {
inline constexpr std::uint64_t floating_point = std::uint64_t{1} << 0;       ///< FEN
inline constexpr std::uint64_t performance_monitor = std::uint64_t{1} << 62; ///< PME
inline constexpr std::uint64_t no_alignment_traps = std::uint64_t{1} << 63;  ///< DAT
} // namespace hwpcb_flag

/// A context that goes on with tables at `root` and a stack that ends at `stack`. It has the first address space
/// number: whoever switches to it throws away all translations anyway. Faults: misaligned (at: `stack` that is no
/// multiple of 16, or `root` that is none of 8 KB), bad_range (at: `root` out of what a PTBR and the entries of tables
/// can name).
constexpr result<hwpcb> make_hwpcb(virt_addr stack, phys_addr root, std::uint64_t flags)
{
    constexpr unsigned page_shift = paging_8k::shift<0>;
    if (!is_aligned(stack, byte_count::of(16)))
        return refuse(fault_code::misaligned, stage::staging, stack);
    if (!is_aligned(root, paging_8k::table_size))
        return refuse(fault_code::misaligned, stage::staging, root);
    if (!paging_8k::physical_reach.contains(root))
        return refuse(fault_code::bad_range, stage::staging, root);
    return hwpcb{.ksp = stack.raw(), .ptbr = root.raw() >> page_shift, .flags = flags};
}

// Sanity checks
static_assert(sizeof(hwpcb) == hwpcb::alignment.raw());
static_assert(offsetof(hwpcb, ptbr) == 16 && offsetof(hwpcb, asn) == 28 && offsetof(hwpcb, flags) == 40);
static_assert(make_hwpcb(0x4000_va, 0x1000'2000_pa, hwpcb_flag::floating_point)->ptbr == 0x8001);

} // namespace lobos::alpha
