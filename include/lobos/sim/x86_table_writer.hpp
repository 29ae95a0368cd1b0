// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Page tables as a kernel makes its own, in any mode of paging [intel/vol3 §4.3 to §4.5]: from the manual, with
/// nothing of the library's clone, whose work they are to be. Levels are counted from the page table, which is 0.

#include <lobos/sim/memory.hpp>
#include <lobos/sim/x86_table_format.hpp>
#include <lobos/x86/page.hpp>

namespace lobos::sim {

class x86_table_writer {
public:
    /// Tables with their root at `root`, which is the first of `room`'s pages or lies in it, and has to be empty; the
    /// others are taken from the pages behind.
    x86_table_writer(memory& memory, x86::paging_mode mode, phys_addr root, phys_range room)
        : memory_{memory},
          mode_{mode},
          root_{root},
          next_{align_down(root, x86::page_size) + x86::page_size},
          room_{room}
    {
    }

    unsigned levels() const
    {
        using enum x86::paging_mode;
        return mode_ == five_level ? 5 : mode_ == four_level ? 4 : mode_ == pae ? 3 : 2;
    }
    bool wide() const { return mode_ >= x86::paging_mode::pae; }
    /// The lowest bit of an address that chooses an entry of `level`.
    unsigned shift_of(unsigned level) const { return 12 + level * (wide() ? 9 : 10); }

    /// A page of `level` at a linear address, by an entry with `bits`: what is allowed, and what is noted.
    void map(std::uint64_t linear, std::uint64_t physical, unsigned level, std::uint64_t bits)
    {
        phys_addr table = root_;
        for (unsigned at = levels() - 1; at > level; --at)
            table = below(entry_at(table, linear, at), at);
        put(entry_at(table, linear, level), physical | bits);
    }

private:
    using format = x86_table_format;

    phys_addr entry_at(phys_addr table, std::uint64_t linear, unsigned level) const
    {
        const bool pointers = mode_ == x86::paging_mode::pae && level == 2;
        const std::uint64_t most = pointers ? 3 : wide() ? 0x1ff : 0x3ff;
        return table + byte_count::of((linear >> shift_of(level) & most) * (wide() ? 8 : 4));
    }
    /// The table that an entry names, made where there is none. It may be of anybody's: pages say who.
    phys_addr below(phys_addr at, unsigned level)
    {
        const std::uint64_t entry = wide() ? load<std::uint64_t>(memory_, at) : load<std::uint32_t>(memory_, at);
        if (entry & format::present)
            return phys_addr::at(format::table_of(entry));
        if (!room_.contains(next_))
            throw machine_error{"no room for the kernel's tables", next_.raw()};
        const phys_addr made = next_;
        next_ += x86::page_size;
        for (std::uint64_t i = 0; i < x86::page_size.raw(); i += 8)
            store(memory_, made + byte_count::of(i), std::uint64_t{0});
        const bool pointer = mode_ == x86::paging_mode::pae && level == 2; // which says nothing else
        put(at, made.raw() | format::present | (pointer ? 0 : format::writable | format::user | format::accessed));
        return made;
    }
    void put(phys_addr at, std::uint64_t entry)
    {
        if (wide())
            store(memory_, at, entry);
        else
            store(memory_, at, static_cast<std::uint32_t>(entry));
    }

    memory& memory_;
    x86::paging_mode mode_;
    phys_addr root_;
    phys_addr next_;
    phys_range room_;
};

} // namespace lobos::sim
