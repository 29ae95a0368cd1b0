// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The memory management of an Alpha under the PALcode for Unix, in kernel mode, from the manual [alpha/arm II-B,
/// memory management] and from nothing else in this library: its own bits, its own walk. Pages of 8 KB, three levels of
/// tables with 1,024 entries, addresses of 43 bits; the level next to the root is the manual's level 1.
///
/// What is not in a translation buffer the PALcode looks for in the virtual page table: the entry is a quadword at VPTB
/// and 8 times the page's number, whose address is translated in turn, by the buffer for data or else by the tables as
/// they lie in memory. Where the root names itself there, that comes to the same as a walk from the root. Where it
/// does not, one PALcode reports a fault, and another might walk; QEMU's always walks. Nobody may rely on any of them.

#include <optional>

#include <lobos/sim/alpha_exception.hpp>
#include <lobos/sim/alpha_tlb.hpp>
#include <lobos/sim/memory.hpp>
#include <lobos/sim/recorder.hpp>

namespace lobos::sim {

class alpha_mmu {
public:
    enum class intent { read, write, execute };
    /// Where entries are looked for that are in no buffer.
    enum class search {
        virtual_table,         ///< and nowhere else
        virtual_table_or_walk, ///< and if that is not mapped, from the root on
        walk,
    };

    explicit alpha_mmu(memory& memory, recorder* record = nullptr) : memory_{memory}, record_{record} {}

    std::uint64_t root_page = 0; ///< PTBR: the physical address of the level-1 table, in pages
    std::uint64_t space = 0;     ///< ASN
    std::uint64_t vptb = 0;
    search looks = search::virtual_table;

    /// The physical address of a virtual one. Throws alpha_exception for a memory fault.
    phys_addr translate(std::uint64_t address, intent wanted)
    {
        const found f = find(address, wanted, record_);
        if (f.of_table)
            data_.remember(space, entry_address(address), *f.of_table);
        if (f.is_new && (f.entry & valid) != 0)
            buffer(wanted).remember(space, address, f.entry);
        return allowed(f, address, wanted);
    }

    /// What `translate` would say, with nothing remembered or recorded.
    phys_addr peek(std::uint64_t address, intent wanted) const
    {
        return allowed(find(address, wanted, nullptr), address, wanted);
    }

    /// What a call of tbi does.
    void forget_all()
    {
        instructions_.forget_all();
        data_.forget_all();
    }
    void forget_spaces()
    {
        instructions_.forget_spaces();
        data_.forget_spaces();
    }
    void forget_instruction_page(std::uint64_t address) { instructions_.forget_page(space, address); }
    void forget_data_page(std::uint64_t address) { data_.forget_page(space, address); }

private:
    // Bits of an entry.
    static constexpr std::uint64_t valid = 1u << 0;
    static constexpr std::uint64_t faults_on_read = 1u << 1;
    static constexpr std::uint64_t faults_on_write = 1u << 2;
    static constexpr std::uint64_t faults_on_execute = 1u << 3;
    static constexpr std::uint64_t kernel_read = 1u << 8;
    static constexpr std::uint64_t kernel_write = 1u << 12;
    static constexpr unsigned frame_shift = 32;

    static constexpr unsigned page_bits = 13;
    static constexpr unsigned index_bits = 10;
    static constexpr unsigned address_bits = 43;
    static constexpr std::uint64_t in_page = (std::uint64_t{1} << page_bits) - 1;

    static constexpr bool has_address(std::uint64_t address)
    {
        const std::uint64_t above = address >> (address_bits - 1);
        return above == 0 || above == ~std::uint64_t{0} >> (address_bits - 1);
    }
    /// Bits 42 and 41 are 1 and 0: no tables are asked.
    static constexpr bool is_kseg(std::uint64_t address) { return (address >> (address_bits - 2) & 3) == 2; }
    /// Bit 40 is bit 43 of the physical address, where a 21264 has its I/O.
    static constexpr std::uint64_t kseg_physical(std::uint64_t address)
    {
        constexpr std::uint64_t io = std::uint64_t{1} << 40;
        return (address & (io - 1)) | (address & io) << 3;
    }
    static constexpr std::uint64_t physical_of(std::uint64_t entry, std::uint64_t address)
    {
        return entry >> frame_shift << page_bits | (address & in_page);
    }
    /// Where the virtual page table has the entry for `address`.
    std::uint64_t entry_address(std::uint64_t address) const
    {
        constexpr std::uint64_t pages = (std::uint64_t{1} << (address_bits - page_bits)) - 1;
        return vptb + 8 * (address >> page_bits & pages);
    }

    /// What is known of a page: an entry, or how it ended.
    struct found {
        std::uint64_t entry = 0;
        std::optional<alpha_fault> fault = std::nullopt;
        bool is_new = false; ///< it was in no buffer
        std::optional<std::uint64_t> of_table =
            std::nullopt; ///< the entry of the virtual table's page, if that was in none either
    };

    found find(std::uint64_t address, intent wanted, recorder* record) const
    {
        if (!has_address(address))
            return {.fault = alpha_fault::access_violation};
        if (is_kseg(address))
            return {};
        if (const std::uint64_t* known = buffer(wanted).find(space, address))
            return {.entry = *known};
        if (looks == search::walk)
            return walk(address, record);
        const found by_table = look_up(entry_address(address), record);
        if (by_table.fault && looks == search::virtual_table_or_walk)
            return walk(address, record);
        return by_table;
    }

    /// The entry that lies at `at` in the virtual page table.
    found look_up(std::uint64_t at, recorder* record) const
    {
        if (!has_address(at) || is_kseg(at))
            throw machine_error{"VPTB names no addresses that tables map", at};
        found page;
        if (const std::uint64_t* known = data_.find(space, at))
            page.entry = *known;
        else if (page = walk(at, record); !page.fault && !names_table(page.entry))
            page.fault = missing(page.entry);
        if (page.fault)
            return page;
        if (!(page.entry & kernel_read) || (page.entry & faults_on_read))
            throw machine_error{"the PALcode may not read the virtual page table", at};
        found f{.entry = load_entry(physical_of(page.entry, at), record), .is_new = true};
        if (page.is_new)
            f.of_table = page.entry;
        return f;
    }

    /// From the root on, by physical addresses.
    found walk(std::uint64_t address, recorder* record) const
    {
        std::uint64_t table = root_page << page_bits;
        for (unsigned level = 2;; --level) {
            constexpr std::uint64_t indices = (std::uint64_t{1} << index_bits) - 1;
            const std::uint64_t index = address >> (page_bits + level * index_bits) & indices;
            const std::uint64_t entry = load_entry(table + 8 * index, record);
            if (level == 0)
                return {.entry = entry, .is_new = true};
            if (!names_table(entry))
                return {.fault = missing(entry)};
            table = physical_of(entry, 0);
        }
    }
    static constexpr bool names_table(std::uint64_t entry) { return (entry & valid) && (entry & kernel_read); }
    static constexpr alpha_fault missing(std::uint64_t entry)
    {
        return (entry & kernel_read) ? alpha_fault::translation_not_valid : alpha_fault::access_violation;
    }

    /// Rights come before everything else that an entry forbids.
    phys_addr allowed(const found& f, std::uint64_t address, intent wanted) const
    {
        if (f.fault)
            refuse(*f.fault, address, wanted);
        if (is_kseg(address))
            return phys_addr::at(kseg_physical(address));
        const bool writes = wanted == intent::write;
        if (!(f.entry & (writes ? kernel_write : kernel_read)))
            refuse(alpha_fault::access_violation, address, wanted);
        if (!(f.entry & valid))
            refuse(alpha_fault::translation_not_valid, address, wanted);
        if (wanted == intent::read && (f.entry & faults_on_read))
            refuse(alpha_fault::fault_on_read, address, wanted);
        if (writes && (f.entry & faults_on_write))
            refuse(alpha_fault::fault_on_write, address, wanted);
        if (wanted == intent::execute && (f.entry & faults_on_execute))
            refuse(alpha_fault::fault_on_execute, address, wanted);
        return phys_addr::at(physical_of(f.entry, address));
    }
    [[noreturn]] static void refuse(alpha_fault what, std::uint64_t address, intent wanted)
    {
        using e = alpha_exception;
        throw e::memory(address, what,
            wanted == intent::execute     ? e::by_fetch
                : wanted == intent::write ? e::by_store
                                          : e::by_load);
    }

    std::uint64_t load_entry(std::uint64_t at, recorder* record) const
    {
        if (record)
            record->note(access_kind::walk, at, phys_addr::at(at), 8);
        return load<std::uint64_t>(memory_, phys_addr::at(at));
    }

    alpha_tlb& buffer(intent wanted) { return wanted == intent::execute ? instructions_ : data_; }
    const alpha_tlb& buffer(intent wanted) const { return wanted == intent::execute ? instructions_ : data_; }

    memory& memory_;
    recorder* record_;
    alpha_tlb instructions_;
    alpha_tlb data_;
};

} // namespace lobos::sim
