// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What the entries of an x86's page tables say in the mode that its registers choose [intel/vol3 §4.3 to §4.5]: bits
/// and arithmetic, without memory. Levels are counted from the page table, which is 0.

#include <algorithm>
#include <cstdint>

#include <lobos/sim/x86_control.hpp>

namespace lobos::sim {

class x86_table_format {
public:
    explicit x86_table_format(const x86_control& control, bool gigabyte_pages)
        : control_{control},
          gigabyte_pages_{gigabyte_pages}
    {
    }

    static constexpr std::uint64_t present = 1u << 0;
    static constexpr std::uint64_t writable = 1u << 1;
    static constexpr std::uint64_t user = 1u << 2;
    static constexpr std::uint64_t accessed = 1u << 5;
    static constexpr std::uint64_t dirty = 1u << 6;
    static constexpr std::uint64_t large = 1u << 7;
    static constexpr std::uint64_t global = 1u << 8;
    static constexpr std::uint64_t no_execute = std::uint64_t{1} << 63;

    /// Bits `last` to `first`.
    static constexpr std::uint64_t bits(unsigned last, unsigned first)
    {
        return first > last ? 0 : (~std::uint64_t{0} >> (63 - last)) & (~std::uint64_t{0} << first);
    }

    bool wide() const { return control_.wide_entries(); }
    std::uint64_t entry_size() const { return wide() ? 8 : 4; }
    /// Tables below CR3, or below a pointer of PAE paging.
    unsigned levels() const { return !control_.long_mode() ? 2 : control_.five_levels() ? 5 : 4; }
    unsigned shift_of(unsigned level) const { return 12 + level * (wide() ? 9 : 10); }
    std::uint64_t index_of(std::uint64_t linear, unsigned level) const
    {
        return linear >> shift_of(level) & (wide() ? 0x1ff : 0x3ff);
    }

    /// Whether a linear address has 32 bits, or is canonical where it has 64.
    bool has_address(std::uint64_t linear) const
    {
        if (!control_.long_mode())
            return linear >> 32 == 0;
        const unsigned sign = control_.five_levels() ? 56 : 47;
        return linear >> sign == 0 || linear >> sign == ~std::uint64_t{0} >> sign;
    }

    bool is_leaf(std::uint64_t entry, unsigned level) const
    {
        if (level == 0 || !(entry & large))
            return level == 0;
        return level == 1 ? wide() || control_.large_pages() : level == 2 && gigabyte_pages_;
    }

    /// Bits that must be 0 in such an entry [intel/vol3 tables 4-4 to 4-6, 4-9 to 4-11, 4-14 to 4-20].
    std::uint64_t reserved(std::uint64_t entry, unsigned level) const
    {
        const unsigned most = control_.physical_bits;
        if (!wide()) // PSE-36: bits 39 to 32 of the address are from bit 13 on
            return level == 1 && is_leaf(entry, level) ? bits(21, std::min(most, 40u) - 32 + 13) : 0;
        std::uint64_t must_be_0 = bits(51, most);
        if (!control_.execute_disable())
            must_be_0 |= no_execute;
        if (!control_.long_mode())
            must_be_0 |= bits(62, 52);
        if (level > 0 && is_leaf(entry, level))
            must_be_0 |= bits(shift_of(level) - 1, 13);
        if (level >= 2 && !is_leaf(entry, level))
            must_be_0 |= large;
        return must_be_0;
    }
    /// As above, for a pointer of PAE paging [intel/vol3 table 4-8].
    std::uint64_t reserved_in_pointer() const { return bits(63, control_.physical_bits) | bits(8, 5) | bits(2, 1); }

    static std::uint64_t table_of(std::uint64_t entry) { return entry & bits(51, 12); }
    std::uint64_t page_of(std::uint64_t entry, unsigned level) const
    {
        if (wide())
            return entry & bits(51, shift_of(level));
        if (level == 0)
            return entry & bits(31, 12);
        return (entry & bits(31, 22)) | (entry & bits(20, 13)) << (32 - 13);
    }
    /// The first table, or the table of pointers.
    std::uint64_t root() const
    {
        return control_.cr3() & bits(control_.long_mode() ? 51 : 31, control_.has_pointers() ? 5 : 12);
    }

private:
    const x86_control& control_;
    bool gigabyte_pages_;
};

} // namespace lobos::sim
