// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The memory management unit of a 32-bit x86, from the manual [intel/vol3 §4.3, §4.6, §4.10] and from nothing else in
/// this library: its own bits, its own walk. What it has translated once it remembers until it is told to forget, so a
/// missing flush is a wrong address here as it would be there.

#include <cstdint>
#include <unordered_map>

#include <lobos/sim/memory.hpp>

namespace lobos::sim {

class x86_mmu {
public:
    enum class intent { read, write, execute };

    explicit x86_mmu(memory& memory) : memory_{memory} {}

    /// The registers that rule translation. Loads do what the manual says they do to the TLB.
    void load_cr0(std::uint32_t value)
    {
        if ((cr0_ ^ value) & paging)
            tlb_.clear();
        cr0_ = value;
    }
    void load_cr3(std::uint32_t value)
    {
        cr3_ = value;
        std::erase_if(tlb_, [](const auto& entry) { return !entry.second.global; });
    }
    void load_cr4(std::uint32_t value)
    {
        if ((cr4_ ^ value) & (page_size_extension | page_global))
            tlb_.clear();
        cr4_ = value;
    }
    std::uint32_t cr0() const { return cr0_; }
    std::uint32_t cr3() const { return cr3_; }
    std::uint32_t cr4() const { return cr4_; }

    /// The physical address of a linear one. Throws machine_error for a page fault.
    phys_addr translate(std::uint32_t linear, intent wanted)
    {
        if (!(cr0_ & paging))
            return phys_addr::at(linear);
        const std::uint32_t number = linear >> 12;
        auto known = tlb_.find(number);
        if (known == tlb_.end())
            known = tlb_.emplace(number, walk(linear)).first;
        if (wanted == intent::write && !known->second.writable && (cr0_ & write_protect))
            throw machine_error{"page fault: write to a read-only page", linear};
        return phys_addr::at(known->second.page | (linear & 0xfff));
    }

private:
    static constexpr std::uint32_t paging = 0x8000'0000;              // CR0.PG
    static constexpr std::uint32_t write_protect = 0x0001'0000;       // CR0.WP
    static constexpr std::uint32_t page_size_extension = 0x0000'0010; // CR4.PSE
    static constexpr std::uint32_t page_global = 0x0000'0080;         // CR4.PGE

    struct cached {
        std::uint64_t page; // physical, of 4 KiB
        bool writable;
        bool global;
    };

    cached walk(std::uint32_t linear)
    {
        const std::uint32_t directory_entry = load<std::uint32_t>(memory_, entry_at(cr3_, linear >> 22));
        if (!(directory_entry & 1))
            throw machine_error{"page fault: directory entry not present", linear};
        if ((directory_entry & 0x80) && (cr4_ & page_size_extension)) {
            if (directory_entry & 0x0020'0000)
                throw machine_error{"page fault: reserved bit in a 4 MB entry", linear};
            const std::uint64_t high = (directory_entry >> 13) & 0xff; // PSE-36: bits 39 to 32
            const std::uint64_t base = (high << 32) | (directory_entry & 0xffc0'0000);
            return {base | (linear & 0x003f'f000), (directory_entry & 2) != 0, is_global(directory_entry)};
        }
        const std::uint32_t table_entry =
            load<std::uint32_t>(memory_, entry_at(directory_entry, (linear >> 12) & 0x3ff));
        if (!(table_entry & 1))
            throw machine_error{"page fault: table entry not present", linear};
        return {table_entry & 0xffff'f000, (directory_entry & table_entry & 2) != 0, is_global(table_entry)};
    }

    static phys_addr entry_at(std::uint32_t table, std::uint32_t index)
    {
        return phys_addr::at((table & 0xffff'f000) + 4 * index);
    }
    bool is_global(std::uint32_t entry) const { return (cr4_ & page_global) && (entry & 0x100); }

    memory& memory_;
    std::uint32_t cr0_ = 0;
    std::uint32_t cr3_ = 0;
    std::uint32_t cr4_ = 0;
    std::unordered_map<std::uint32_t, cached> tlb_;
};

} // namespace lobos::sim
