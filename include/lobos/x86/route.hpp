// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The way from a running x86 kernel to an image's first instruction. Two choices span it: whether the copy runs paged
/// or not, and the state that the image is entered in. What does not stay in the running kernel's mode goes through
/// the hub: flat 32-bit code, paging off, from which every state of the processor can be reached.
///
///     running kernel, paged -+- copy -+------------- as_running, long_64 (64-bit kernels, same tables)
///                            |        +- hub -+----- flat_32, real_16
///                            +- hub -+- copy -+- up - paged_32, long_64

#include <lobos/core/fault.hpp>
#include <lobos/handoff/contract.hpp>
#include <lobos/x86/overlay_code.hpp>
#include <lobos/x86/paging_mode.hpp>

namespace lobos::x86 {

/// The state of the processor that an image relies on.
enum class entry_state : std::uint8_t {
    as_running, ///< paging stays on, and so do the running kernel's selectors [lobos/2000 §3.2.5]
    flat_32,    ///< protected mode, paging off, selectors 0x10 and 0x18 [linux/boot.rst "32-bit Boot Protocol"]
    paged_32,   ///< the same with paging on
    long_64,    ///< 64-bit mode, the same selectors [linux/boot.rst "64-bit Boot Protocol"]
    real_16,    ///< a stub at offset `entry` of a 64 KB segment, in 16-bit protected mode, that goes on to real mode
};

struct route {
    entry_state state = entry_state::as_running;
    copy_regime regime = copy_regime::paged;
    bool from_long = false;                  ///< the running kernel's code is 64-bit code
    bool hub = false;                        ///< it goes through the hub
    bool up = false;                         ///< and from there into paging, on tables of the image's own
    paging_mode entered = paging_mode::none; ///< the mode of paging that the image is entered in

    /// Whether the last stretch has descriptors of its own: 64-bit ones, beside the hub's.
    constexpr bool entry_page() const { return state == entry_state::long_64; }

    /// Whether a piece lies on the way.
    constexpr bool takes(piece p) const
    {
        const bool to_long = state == entry_state::long_64;
        const bool ends_long = to_long || (from_long && !hub);
        switch (p) {
        case piece::depart:
        case piece::arrive: return true;
        case piece::copy: return regime == copy_regime::paged;
        case piece::copy_32: return regime == copy_regime::unpaged;
        case piece::down:
        case piece::hub: return hub;
        case piece::up: return up;
        case piece::enter_long: return up && to_long;
        case piece::switch_long: return to_long && !up;
        case piece::leave_flat: return !ends_long;
        case piece::leave_long: return ends_long;
        case piece::guard_32: return hub || !from_long;
        case piece::guard_64: return from_long || to_long;
        }
        return false;
    }
};

/// The way to `state`. `same_tables`: the image is entered in the running kernel's mode of paging, so the overlay's
/// tables can be its own. Fault: unsupported (at: the state, which only a paged copy leads to).
constexpr result<route> route_to(entry_state state, copy_regime regime, bool from_long, bool same_tables)
{
    route r{.state = state, .regime = regime, .from_long = from_long};
    const bool paged = regime == copy_regime::paged;
    if (state == entry_state::as_running && !paged)
        return refuse(fault_code::unsupported, stage::mapping, static_cast<std::uint64_t>(state));
    const bool stays =
        state == entry_state::as_running || (state == entry_state::long_64 && from_long && same_tables && paged);
    r.hub = !stays;
    r.up = r.hub && (state == entry_state::paged_32 || state == entry_state::long_64);
    return r;
}

// Sanity checks
static_assert(!route_to(entry_state::as_running, copy_regime::paged, false, true)->hub);
static_assert(!route_to(entry_state::as_running, copy_regime::unpaged, false, true));
static_assert(route_to(entry_state::long_64, copy_regime::paged, false, false)->takes(piece::enter_long));
static_assert(!route_to(entry_state::long_64, copy_regime::paged, true, true)->hub);
static_assert(route_to(entry_state::flat_32, copy_regime::unpaged, true, false)->takes(piece::copy_32));
static_assert(!route_to(entry_state::flat_32, copy_regime::paged, false, false)->takes(piece::up));

} // namespace lobos::x86
