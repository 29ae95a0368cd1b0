// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The memory management unit of a 32-bit x86, from the manual [intel/vol3 §4.3, §4.6 to §4.8, §4.10] and from nothing
/// else in this library: its own bits, its own walk. What it has translated once it remembers until it is told to
/// forget, so a missing flush is a wrong address here as it would be there; and it writes accessed and dirty bits into
/// the tables, as it would there. 4 KB and 4 MB pages; not PAE.

#include <cstdint>
#include <unordered_map>

#include <lobos/sim/memory.hpp>
#include <lobos/sim/recorder.hpp>

namespace lobos::sim {

/// Exceptions by their vectors [intel/vol3 §6.3].
namespace x86_vector {
inline constexpr unsigned segment_not_present = 11;
inline constexpr unsigned stack_fault = 12;
inline constexpr unsigned general_protection = 13;
inline constexpr unsigned page_fault = 14;
} // namespace x86_vector

class x86_mmu {
public:
    enum class intent { read, write, execute };
    /// Who wants it. `implicit` is the processor itself, which reads its descriptor tables as a supervisor whoever
    /// runs.
    enum class privilege { supervisor, user, implicit };

    explicit x86_mmu(memory& memory, recorder* record = nullptr) : memory_{memory}, record_{record} {}

    /// The registers that rule translation. Loads do to the caches what the manual says [intel/vol3 §4.10.4.1, §11.9].
    void load_cr0(std::uint32_t value)
    {
        if ((value & paging) && !(value & protection))
            throw machine_error{
                "general protection: paging without protection", value, {x86_vector::general_protection}};
        if ((cr0_ ^ value) & (paging | protection))
            forget_all();
        cr0_ = value;
    }
    void load_cr3(std::uint32_t value)
    {
        cr3_ = value;
        std::erase_if(tlb_, [](const auto& entry) { return !entry.second.global; });
        directories_.clear();
    }
    void load_cr4(std::uint32_t value)
    {
        if (((cr4_ ^ value) & (page_size_extension | physical_address_extension | page_global)) ||
            (value & ~cr4_ & smep))
            forget_all();
        cr4_ = value;
    }
    /// INVLPG: one page, global or not, and every directory entry.
    void invalidate(std::uint32_t linear)
    {
        tlb_.erase(linear >> 12);
        directories_.clear();
    }
    std::uint32_t cr0() const { return cr0_; }
    std::uint32_t cr3() const { return cr3_; }
    std::uint32_t cr4() const { return cr4_; }

    /// EFLAGS.AC: with CR4.SMAP set, the supervisor may use user pages all the same.
    bool alignment_check = false;

    /// The physical address of a linear one. Throws machine_error for a page fault.
    phys_addr translate(std::uint32_t linear, intent wanted, privilege who = privilege::supervisor)
    {
        if (!(cr0_ & paging))
            return phys_addr::at(linear);
        const std::uint32_t number = linear >> 12;
        auto known = tlb_.find(number);
        if (known == tlb_.end() || (wanted == intent::write && !known->second.dirty)) {
            // Not known, or known from reading: then the dirty bit has to be set, which takes a walk.
            known = tlb_.insert_or_assign(number, walk(linear, wanted, who)).first;
        } else {
            allow(known->second, linear, wanted, who);
        }
        return phys_addr::at(known->second.page | (linear & 0xfff));
    }

private:
    static constexpr std::uint32_t protection = 1u << 0;                 // CR0.PE
    static constexpr std::uint32_t write_protect = 1u << 16;             // CR0.WP
    static constexpr std::uint32_t paging = 1u << 31;                    // CR0.PG
    static constexpr std::uint32_t page_size_extension = 1u << 4;        // CR4.PSE
    static constexpr std::uint32_t physical_address_extension = 1u << 5; // CR4.PAE
    static constexpr std::uint32_t page_global = 1u << 7;                // CR4.PGE
    static constexpr std::uint32_t smep = 1u << 20;                      // CR4.SMEP
    static constexpr std::uint32_t smap = 1u << 21;                      // CR4.SMAP

    static constexpr std::uint32_t present = 1u << 0;
    static constexpr std::uint32_t writable = 1u << 1;
    static constexpr std::uint32_t user = 1u << 2;
    static constexpr std::uint32_t accessed = 1u << 5;
    static constexpr std::uint32_t dirty = 1u << 6;
    static constexpr std::uint32_t large = 1u << 7;
    static constexpr std::uint32_t global = 1u << 8;
    static constexpr std::uint32_t large_reserved = 1u << 21;

    /// What the TLB holds of a page.
    struct cached {
        std::uint64_t page; // physical, of 4 KiB
        bool writable;      // on every level
        bool user;          // on every level
        bool dirty;
        bool global;
    };

    cached walk(std::uint32_t linear, intent wanted, privilege who)
    {
        if (cr4_ & physical_address_extension)
            throw machine_error{"a mode of paging that is not simulated", linear};
        const std::uint32_t index = linear >> 22;
        const phys_addr directory_at = entry_at(cr3_, index);
        const auto remembered = directories_.find(index);
        std::uint32_t directory = remembered != directories_.end() ? remembered->second : load_entry(directory_at);
        if (!(directory & present))
            fault("directory entry not present", linear, wanted, who, 0);
        if ((directory & large) && (cr4_ & page_size_extension)) {
            if (directory & large_reserved)
                fault("reserved bit in a 4 MB entry", linear, wanted, who, error::present | error::reserved);
            const std::uint64_t high = (directory >> 13) & 0xff; // PSE-36: bits 39 to 32
            const std::uint64_t base = (high << 32) | (directory & 0xffc0'0000);
            cached found = entry_of(base | (linear & 0x003f'f000), directory, directory);
            allow(found, linear, wanted, who);
            found.dirty = mark(directory_at, directory, wanted == intent::write);
            return found;
        }
        const phys_addr table_at = entry_at(directory, (linear >> 12) & 0x3ff);
        const std::uint32_t table = load_entry(table_at);
        if (!(table & present))
            fault("table entry not present", linear, wanted, who, 0);
        cached found = entry_of(table & 0xffff'f000, directory & table, table);
        allow(found, linear, wanted, who);
        if (!(directory & accessed))
            store_entry(directory_at, directory |= accessed);
        directories_[index] = directory;
        found.dirty = mark(table_at, table, wanted == intent::write);
        return found;
    }

    /// `rights` is what all levels agree on, `leaf` the entry that maps.
    cached entry_of(std::uint64_t page, std::uint32_t rights, std::uint32_t leaf) const
    {
        return {page, (rights & writable) != 0, (rights & user) != 0, (leaf & dirty) != 0,
            (cr4_ & page_global) != 0 && (leaf & global) != 0};
    }

    /// [intel/vol3 §4.6.1]
    void allow(const cached& entry, std::uint32_t linear, intent wanted, privilege who) const
    {
        const auto refuse = [&](const char* what) { fault(what, linear, wanted, who, error::present); };
        if (who == privilege::user && !entry.user)
            refuse("a supervisor's page");
        const bool supervisor = who != privilege::user;
        if (supervisor && entry.user) {
            if (wanted == intent::execute && (cr4_ & smep))
                refuse("the supervisor executes a user page");
            const bool excused = alignment_check && who == privilege::supervisor;
            if (wanted != intent::execute && (cr4_ & smap) && !excused)
                refuse("the supervisor uses a user page");
        }
        if (wanted == intent::write && !entry.writable && (!supervisor || (cr0_ & write_protect)))
            refuse("write to a read-only page");
    }

    /// Sets what a leaf lacks; whether it is dirty then.
    bool mark(phys_addr at, std::uint32_t entry, bool written)
    {
        const std::uint32_t marked = entry | accessed | (written ? dirty : 0);
        if (marked != entry)
            store_entry(at, marked);
        return (marked & dirty) != 0;
    }

    std::uint32_t load_entry(phys_addr at)
    {
        note(access_kind::walk, at);
        return load<std::uint32_t>(memory_, at);
    }
    void store_entry(phys_addr at, std::uint32_t entry)
    {
        note(access_kind::mark, at);
        store(memory_, at, entry);
    }
    void note(access_kind kind, phys_addr at)
    {
        if (record_)
            record_->note(kind, at.raw(), at, sizeof(std::uint32_t));
    }

    /// Bits of a page fault's error code [intel/vol3 §4.7].
    struct error {
        static constexpr std::uint32_t present = 1u << 0;
        static constexpr std::uint32_t write = 1u << 1;
        static constexpr std::uint32_t user = 1u << 2;
        static constexpr std::uint32_t reserved = 1u << 3;
        static constexpr std::uint32_t fetch = 1u << 4;
    };
    [[noreturn]] void fault(
        const char* what, std::uint32_t linear, intent wanted, privilege who, std::uint32_t code) const
    {
        if (wanted == intent::write)
            code |= error::write;
        if (who == privilege::user)
            code |= error::user;
        if (wanted == intent::execute && (cr4_ & smep))
            code |= error::fetch;
        throw machine_error{std::string{"page fault: "} + what, linear, {x86_vector::page_fault, code}};
    }

    static phys_addr entry_at(std::uint32_t table, std::uint32_t index)
    {
        return phys_addr::at((table & 0xffff'f000) + 4 * index);
    }
    void forget_all()
    {
        tlb_.clear();
        directories_.clear();
    }

    memory& memory_;
    recorder* record_;
    std::uint32_t cr0_ = 0;
    std::uint32_t cr3_ = 0;
    std::uint32_t cr4_ = 0;
    std::unordered_map<std::uint32_t, cached> tlb_;
    std::unordered_map<std::uint32_t, std::uint32_t> directories_; ///< entries that name a table, by their index
};

} // namespace lobos::sim
