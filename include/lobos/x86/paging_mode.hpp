// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Which mode of paging a processor is in, from its registers [intel/vol3 §4.1.1], and the one step from there to the
/// mode's traits. Everything below that step is a template over them.

#include <algorithm>
#include <array>
#include <string_view>

#include <lobos/core/expects.hpp>
#include <lobos/core/fault.hpp>
#include <lobos/x86/control_registers.hpp>
#include <lobos/x86/paging_4k.hpp>
#include <lobos/x86/paging_4m.hpp>
#include <lobos/x86/paging_5level.hpp>
#include <lobos/x86/paging_pae.hpp>

namespace lobos::x86 {

/// In the order of `paging_modes`.
enum class paging_mode : std::uint8_t {
    none,        ///< paging is off
    bits_32,     ///< 32-bit paging, CR4.PSE clear: `paging_4k`
    bits_32_pse, ///< 32-bit paging, CR4.PSE set: `paging_4m`
    pae,         ///< `paging_pae`
    four_level,  ///< `paging_4level`
    five_level,  ///< `paging_5level`
};

/// What the traits say of their modes.
inline constexpr std::array paging_modes = {
    paging_4k::mode, paging_4m::mode, paging_pae::mode, paging_4level::mode, paging_5level::mode};

/// Precondition: it is a mode of paging.
constexpr const mode_registers& registers_of(paging_mode mode)
{
    expects(mode != paging_mode::none && static_cast<std::size_t>(mode) <= paging_modes.size(),
        "the mode is one of the list");
    return paging_modes[static_cast<std::size_t>(mode) - 1];
}

/// The mode that a traits class stands for.
template <paging_traits T> constexpr paging_mode mode_of_traits()
{
    const auto* found = std::ranges::find(paging_modes, T::mode);
    expects(found != paging_modes.end(), "the mode of a traits class is in the list");
    return static_cast<paging_mode>(found - paging_modes.begin() + 1);
}

constexpr std::string_view to_string(paging_mode mode)
{
    if (mode == paging_mode::none)
        return "no paging";
    const auto index = static_cast<std::size_t>(mode) - 1;
    return index < paging_modes.size() ? paging_modes[index].name : std::string_view{"unknown paging mode"};
}

/// Whether it is a mode of 64-bit code.
constexpr bool is_long(paging_mode mode)
{
    return mode != paging_mode::none && registers_of(mode).long_mode;
}

/// The mode of a processor with these registers, whether or not a processor would let them come about.
constexpr paging_mode mode_of(std::uint64_t cr0_value, std::uint64_t cr4_value, std::uint64_t efer_value)
{
    if ((cr0_value & cr0::paging) == 0)
        return paging_mode::none;
    const auto* found =
        std::ranges::find_if(paging_modes, [&](const mode_registers& m) { return m.shows_in(cr4_value, efer_value); });
    return static_cast<paging_mode>(found - paging_modes.begin() + 1);
}
constexpr paging_mode mode_of(const control_registers& r)
{
    return mode_of(r.cr0, r.cr4, r.efer);
}

/// The place of the root in a value of CR3 [intel/vol3 tables 4-3, 4-7, 4-12, 4-13]: PCD, PWT or the PCID, and what
/// lies above the address, are left out. Without paging CR3 names no table; its address bits are still those of 32-bit
/// paging.
constexpr phys_addr table_root_of(paging_mode mode, std::uint64_t cr3_value)
{
    return phys_addr::at(cr3_value & (mode == paging_mode::none ? paging_4k::mode.root : registers_of(mode).root));
}

/// Returns what `visitor.template operator()<Traits>()` does, for the traits of `mode`. `gigabyte_pages` says whether
/// new pages of 1 GB may be made, where the mode knows them. The visitor returns the same `result` for all modes.
/// Faults: unsupported (at: the mode, when it is none), and the visitor's.
template <class Visitor> constexpr auto with_paging(paging_mode mode, bool gigabyte_pages, Visitor&& visitor)
{
    using answer = decltype(visitor.template operator()<paging_4m>());
    switch (mode) {
    case paging_mode::bits_32: return visitor.template operator()<paging_4k>();
    case paging_mode::bits_32_pse: return visitor.template operator()<paging_4m>();
    case paging_mode::pae: return visitor.template operator()<paging_pae>();
    case paging_mode::four_level:
        return gigabyte_pages ? visitor.template operator()<paging_4level_1g>()
                              : visitor.template operator()<paging_4level>();
    case paging_mode::five_level:
        return gigabyte_pages ? visitor.template operator()<paging_5level_1g>()
                              : visitor.template operator()<paging_5level>();
    case paging_mode::none: break;
    }
    return answer{refuse(fault_code::unsupported, stage::mapping, static_cast<std::uint64_t>(mode))};
}

// Sanity checks
static_assert(mode_of(0x11, 0x10b0, 0x500) == paging_mode::none);
static_assert(mode_of(0x8000'0011, 0x00, 0) == paging_mode::bits_32);
static_assert(mode_of(0x8000'0011, 0x90, 0) == paging_mode::bits_32_pse);
static_assert(mode_of(0x8000'0011, 0xb0, 0) == paging_mode::pae);
static_assert(mode_of(0x8000'0011, 0xb0, 0x500) == paging_mode::four_level);
static_assert(mode_of(0x8000'0011, 0x10b0, 0x500) == paging_mode::five_level);
static_assert(table_root_of(paging_mode::bits_32_pse, 0x1234'5018) == 0x1234'5000_pa);
static_assert(table_root_of(paging_mode::pae, 0x1234'5678) == 0x1234'5660_pa);
static_assert(table_root_of(paging_mode::four_level, 0x800f'0123'4567'8fff) == 0x000f'0123'4567'8000_pa);
namespace detail {
struct levels_of_mode {
    template <class T> constexpr result<unsigned> operator()() const { return T::levels; }
};
} // namespace detail
static_assert(*with_paging(paging_mode::pae, false, detail::levels_of_mode{}) == 3);
static_assert(*with_paging(paging_mode::five_level, true, detail::levels_of_mode{}) == 5);
static_assert(!with_paging(paging_mode::none, true, detail::levels_of_mode{}));

} // namespace lobos::x86
