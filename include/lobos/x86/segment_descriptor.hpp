// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Segment descriptors of protected mode [intel/vol3 §3.4.5], and the flat table that Linux wants at its 32-bit entry
/// [linux/boot.rst]: code at 0x10, data at 0x18.

#include <lobos/descriptor/builder.hpp>

namespace lobos::x86 {

/// What is asked for: a 32-bit code or data segment of privilege level 0.
struct segment_descriptor {
    enum class type : std::uint8_t { data_read_write, code_execute_read };
    std::uint32_t base = 0;
    std::uint32_t last_page = 0xfffff; ///< limit in 4 KB units
    type what = type::data_read_write;
    friend constexpr bool operator==(const segment_descriptor&, const segment_descriptor&) = default;
};

/// What lies in memory: the 64-bit table word, and its fields.
struct segment_word {
    using word = std::uint64_t;

    static constexpr word accessed = word{1} << 40;    ///< A: set by the processor when the selector is loaded
    static constexpr word writable = word{1} << 41;    ///< W of data, R of code
    static constexpr word expand_down = word{1} << 42; ///< E of data, C of code
    static constexpr word executable = word{1} << 43;
    static constexpr word not_system = word{1} << 44; ///< S: code or data
    static constexpr word privilege = word{3} << 45;  ///< DPL
    static constexpr word present = word{1} << 47;
    static constexpr word long_mode = word{1} << 53;  ///< L: 64-bit code
    static constexpr word default_32 = word{1} << 54; ///< D/B: 32-bit operands, 32-bit stack
    static constexpr word granular = word{1} << 55;   ///< G: the limit counts 4 KB

    /// The word as the processor would leave it after loading a selector for it. System descriptors stay as they are.
    static constexpr word with_accessed(word w) { return (w & present) && (w & not_system) ? w | accessed : w; }

    static constexpr word encode(const segment_descriptor& d)
    {
        const word base = d.base;
        const word last = d.last_page;
        return (last & 0xffff) | ((base & 0xff'ffff) << 16) | accessed | writable |
            (d.what == segment_descriptor::type::code_execute_read ? executable : 0) | not_system | present |
            ((last & 0xf'0000) << 32) | default_32 | granular | ((base & 0xff00'0000) << 32);
    }

    /// Flat code of 64-bit mode.
    static constexpr word code_64()
    {
        return (encode({0, 0xfffff, segment_descriptor::type::code_execute_read}) & ~default_32) | long_mode;
    }

    /// A segment as real mode has them: 64 KB from `base` on, 16-bit operands and stack.
    static constexpr word real(std::uint32_t base, segment_descriptor::type what)
    {
        return (encode({base, 0, what}) & ~(default_32 | granular)) | 0xffff;
    }

    /// True for a present 32-bit segment of privilege 0 over all 4 GB, marked as accessed so that loading it writes
    /// nothing: what every way out loads.
    static constexpr bool is_flat(word w, segment_descriptor::type what) { return w == encode({0, 0xfffff, what}); }
};
static_assert(descriptor_traits<segment_word>);

/// Selectors of the boot protocol: __BOOT_CS and __BOOT_DS.
inline constexpr std::uint16_t linux_code_selector = 0x10;
inline constexpr std::uint16_t linux_data_selector = 0x18;

/// Behind them, for an image in real mode: code and data of its 64 KB segment.
inline constexpr std::uint16_t real_code_selector = 0x20;
inline constexpr std::uint16_t real_data_selector = 0x28;

/// The flat table of the 32-bit Linux entry.
constexpr descriptor_table_builder<segment_word, 4> flat_descriptor_table()
{
    using enum segment_descriptor::type;
    descriptor_table_builder<segment_word, 4> table;
    (void)table.append_null(); // 0x08
    const auto code = table.append(segment_word::encode({0, 0xfffff, code_execute_read}));
    const auto data = table.append(segment_word::encode({0, 0xfffff, data_read_write}));
    expects(code == linux_code_selector && data == linux_data_selector, "the boot protocol prescribes the selectors");
    return table;
}

// Sanity checks
static_assert(segment_word::encode({0, 0xfffff, segment_descriptor::type::code_execute_read}) == 0x00cf'9b00'0000'ffff);
static_assert(segment_word::encode({0, 0xfffff, segment_descriptor::type::data_read_write}) == 0x00cf'9300'0000'ffff);
static_assert(segment_word::code_64() == 0x00af'9b00'0000'ffff);
static_assert(segment_word::real(0x9'0000, segment_descriptor::type::code_execute_read) == 0x0000'9b09'0000'ffff);
static_assert(flat_descriptor_table().words()[linux_code_selector / 8] == 0x00cf'9b00'0000'ffff);
static_assert(flat_descriptor_table().limit() == 0x1f);
static_assert(!segment_word::is_flat(0x00cf'fb00'0000'ffff, segment_descriptor::type::code_execute_read)); // user

} // namespace lobos::x86
