// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The memory management unit of an x86 in every mode of paging, from the manual [intel/vol3 §4.3 to §4.8, §4.10] and
/// from nothing else in this library: its own bits, its own walk. What it has translated once it remembers until it is
/// told to forget, so a missing flush is a wrong address here as it would be there; and it writes accessed and dirty
/// bits into the tables, as it would there. Linear addresses are of 64 bits, those of 32-bit code zero-extended. Not
/// simulated: protection keys, shadow stacks, linear-address masking.

#include <array>
#include <cstdint>

#include <lobos/sim/memory.hpp>
#include <lobos/sim/recorder.hpp>
#include <lobos/sim/x86_table_format.hpp>
#include <lobos/sim/x86_tlb.hpp>

namespace lobos::sim {

class x86_mmu {
public:
    enum class intent { read, write, execute };
    /// Who wants it. `implicit` is the processor itself, which reads its descriptor tables as a supervisor whoever
    /// runs.
    enum class privilege { supervisor, user, implicit };

    explicit x86_mmu(memory& memory, recorder* record = nullptr) : memory_{memory}, record_{record} {}

    unsigned roots = 0;       ///< of tables that were loaded
    unsigned paging_ends = 0; ///< how often it went off

    /// The registers that rule translation. Loads do to the caches what the manual says [intel/vol3 §4.10.4.1, §11.9],
    /// and throw machine_error where the processor refuses; nothing has changed then.
    void load_cr0(std::uint64_t value)
    {
        x86_control next = control_;
        next.load_cr0(value);
        const std::uint64_t changed = control_.cr0() ^ value;
        paging_ends += (changed & ~value & x86_control::pg) != 0 ? 1 : 0;
        take(next, changed & (x86_control::pg | x86_control::cd | x86_control::nw));
        if (changed & (x86_control::pg | x86_control::pe))
            tlb_.forget_all();
    }
    void load_cr3(std::uint64_t value)
    {
        x86_control next = control_;
        next.load_cr3(value);
        roots += value != 0 ? 1 : 0;
        take(next, true);
        if (!control_.contexts() || !(value & x86_control::keep_entries))
            tlb_.forget(control_.context());
    }
    void load_cr4(std::uint64_t value)
    {
        x86_control next = control_;
        next.load_cr4(value);
        const std::uint64_t changed = control_.cr4() ^ value;
        constexpr std::uint64_t sizes = x86_control::pse | x86_control::pae | x86_control::pge;
        take(next, changed & (sizes | x86_control::smep_bit));
        if ((changed & sizes) || (changed & ~value & x86_control::pcide)) {
            tlb_.forget_all();
        } else if (changed & value & x86_control::smep_bit) {
            tlb_.forget(control_.context());
            tlb_.forget_global();
        }
    }
    void load_efer(std::uint64_t value) { control_.load_efer(value); }
    /// INVLPG: one page, global or not, and every entry that names a table.
    void invalidate(std::uint64_t linear) { tlb_.forget_page(control_.context(), linear); }

    std::uint64_t cr0() const { return control_.cr0(); }
    std::uint64_t cr3() const { return control_.cr3(); }
    std::uint64_t cr4() const { return control_.cr4(); }
    std::uint64_t efer() const { return control_.efer(); }

    /// IA32_EFER.LMA.
    bool long_mode() const { return control_.long_mode(); }
    /// Whether a linear address has 32 bits, or is canonical in long mode.
    bool has_address(std::uint64_t linear) const { return tables().has_address(linear); }
    /// The mode of paging that the registers come to.
    x86::paging_mode mode() const { return control_.mode(); }

    /// EFLAGS.AC: with CR4.SMAP set, the supervisor may use user pages all the same.
    bool alignment_check = false;
    /// Whether the processor knows pages of 1 GB.
    bool gigabyte_pages = true;
    /// MAXPHYADDR, from 36 to 52.
    void physical_bits(unsigned bits) { control_.physical_bits = bits; }
    /// CS.L, which forbids some loads.
    void runs_64_bit_code(bool yes) { control_.code_64 = yes; }

    /// The physical address of a linear one. Throws machine_error for a page fault, or for an address that the mode has
    /// not.
    phys_addr translate(std::uint64_t linear, intent wanted, privilege who = privilege::supervisor)
    {
        check_width(linear);
        if (!control_.paging())
            return phys_addr::at(linear);
        const x86_tlb::page* known = tlb_.find(control_.context(), linear);
        if (!known || (wanted == intent::write && !known->dirty)) {
            // Not known, or known from reading: then the dirty bit has to be set, which takes a walk.
            known = &tlb_.remember(control_.context(), linear, walk(linear, wanted, who));
        } else {
            allow(*known, linear, wanted, who);
        }
        return phys_addr::at(known->physical | (linear & 0xfff));
    }

    /// What `translate` would say, with nothing remembered, marked or recorded.
    phys_addr peek(std::uint64_t linear, intent wanted, privilege who = privilege::supervisor) const
    {
        check_width(linear);
        if (!control_.paging())
            return phys_addr::at(linear);
        const x86_tlb::page* known = tlb_.find(control_.context(), linear);
        if (!known || (wanted == intent::write && !known->dirty))
            return phys_addr::at(look_up(linear, wanted, who, nullptr).page.physical | (linear & 0xfff));
        allow(*known, linear, wanted, who);
        return phys_addr::at(known->physical | (linear & 0xfff));
    }

private:
    using format = x86_table_format;

    format tables() const { return format{control_, gigabyte_pages}; }

    void check_width(std::uint64_t linear) const
    {
        if (tables().has_address(linear))
            return;
        if (!control_.long_mode())
            throw machine_error{"a linear address of more than 32 bits", linear};
        throw machine_error{"general protection: address is not canonical", linear, {x86_vector::general_protection}};
    }

    struct step {
        phys_addr at;
        std::uint64_t entry;
        x86_tlb::table below; ///< what the entry and those above it come to
        unsigned level;
    };

    /// A walk: the page, and the entries that led to it.
    struct way {
        x86_tlb::page page;
        std::array<step, 5> steps;
        std::size_t count;
    };

    way look_up(std::uint64_t linear, intent wanted, privilege who, recorder* record) const
    {
        const format f = tables();
        unsigned level = f.levels() - 1;
        x86_tlb::table via{.physical = first_table(linear, wanted, who)};
        for (unsigned known = 1; known < f.levels(); ++known)
            if (const auto* t = tlb_.find_table(control_.context(), linear, f.shift_of(known))) {
                via = *t;
                level = known - 1;
                break;
            }

        std::array<step, 5> steps{};
        std::size_t count = 0;
        for (;; --level) {
            const phys_addr at = phys_addr::at(via.physical + f.index_of(linear, level) * f.entry_size());
            const std::uint64_t entry = load_entry(at, record);
            if (!(entry & format::present))
                fault("entry not present", linear, wanted, who, 0);
            if (entry & f.reserved(entry, level))
                fault("reserved bit in an entry", linear, wanted, who, error::present | error::reserved);
            via = {.physical = format::table_of(entry),
                .writable = via.writable && (entry & format::writable),
                .user = via.user && (entry & format::user),
                .executable = via.executable && !(f.wide() && (entry & format::no_execute))};
            steps[count++] = {at, entry, via, level};
            if (f.is_leaf(entry, level))
                break;
        }

        const step& leaf = steps[count - 1];
        const std::uint64_t in_page = linear & format::bits(f.shift_of(level) - 1, 0) & ~std::uint64_t{0xfff};
        const x86_tlb::page found{.physical = f.page_of(leaf.entry, level) | in_page,
            .size_bits = f.shift_of(level),
            .writable = via.writable,
            .user = via.user,
            .executable = via.executable,
            .dirty = false,
            .global = control_.global_pages() && (leaf.entry & format::global)};
        allow(found, linear, wanted, who);
        return {found, steps, count};
    }

    x86_tlb::page walk(std::uint64_t linear, intent wanted, privilege who)
    {
        auto [found, steps, count] = look_up(linear, wanted, who, record_);
        for (std::size_t i = 0; i + 1 < count; ++i) {
            mark(steps[i].at, steps[i].entry, format::accessed);
            tlb_.remember_table(control_.context(), linear, tables().shift_of(steps[i].level), steps[i].below);
        }
        const step& leaf = steps[count - 1];
        const std::uint64_t marks = format::accessed | (wanted == intent::write ? format::dirty : 0);
        mark(leaf.at, leaf.entry, marks);
        found.dirty = (leaf.entry | marks) & format::dirty;
        return found;
    }

    /// The table that a walk begins with.
    std::uint64_t first_table(std::uint64_t linear, intent wanted, privilege who) const
    {
        if (!control_.has_pointers())
            return tables().root();
        const std::uint64_t pointer = pointers_[linear >> 30 & 3];
        if (!(pointer & format::present))
            fault("pointer not present", linear, wanted, who, 0);
        return format::table_of(pointer);
    }

    /// Puts `next` in force, with the pointers of PAE paging where they are in use and read anew [intel/vol3 §4.4.1].
    void take(const x86_control& next, bool read_pointers)
    {
        if (next.has_pointers() && read_pointers) {
            const format f{next, gigabyte_pages};
            std::array<std::uint64_t, 4> pointers{};
            for (std::size_t i = 0; i < 4; ++i) {
                const phys_addr at = phys_addr::at(f.root() + std::uint64_t{8} * i);
                note(access_kind::walk, at, 8);
                pointers[i] = load<std::uint64_t>(memory_, at);
                if ((pointers[i] & format::present) && (pointers[i] & f.reserved_in_pointer()))
                    x86_control::general_protection("reserved bit in a pointer of PAE paging", at.raw());
            }
            pointers_ = pointers;
        }
        control_ = next;
    }

    /// [intel/vol3 §4.6.1]
    void allow(const x86_tlb::page& entry, std::uint64_t linear, intent wanted, privilege who) const
    {
        const auto refuse = [&](const char* what) { fault(what, linear, wanted, who, error::present); };
        if (who == privilege::user && !entry.user)
            refuse("a supervisor's page");
        const bool supervisor = who != privilege::user;
        if (supervisor && entry.user) {
            if (wanted == intent::execute && control_.smep())
                refuse("the supervisor executes a user page");
            const bool excused = alignment_check && who == privilege::supervisor;
            if (wanted != intent::execute && control_.smap() && !excused)
                refuse("the supervisor uses a user page");
        }
        if (wanted == intent::write && !entry.writable && (!supervisor || control_.write_protect()))
            refuse("write to a read-only page");
        if (wanted == intent::execute && !entry.executable)
            refuse("execution of a page that forbids it");
    }

    /// Sets what an entry lacks of `marks`.
    void mark(phys_addr at, std::uint64_t entry, std::uint64_t marks)
    {
        if ((entry & marks) == marks)
            return;
        note(access_kind::mark, at, tables().entry_size());
        if (tables().wide())
            store(memory_, at, entry | marks);
        else
            store(memory_, at, static_cast<std::uint32_t>(entry | marks));
    }
    std::uint64_t load_entry(phys_addr at, recorder* record) const
    {
        if (record)
            record->note(access_kind::walk, at.raw(), at, tables().entry_size());
        return tables().wide() ? load<std::uint64_t>(memory_, at) : load<std::uint32_t>(memory_, at);
    }
    void note(access_kind kind, phys_addr at, std::uint64_t size)
    {
        if (record_)
            record_->note(kind, at.raw(), at, size);
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
        const char* what, std::uint64_t linear, intent wanted, privilege who, std::uint32_t code) const
    {
        if (wanted == intent::write)
            code |= error::write;
        if (who == privilege::user)
            code |= error::user;
        if (wanted == intent::execute && (control_.smep() || (control_.wide_entries() && control_.execute_disable())))
            code |= error::fetch;
        throw machine_error{std::string{"page fault: "} + what, linear, {x86_vector::page_fault, code}};
    }

    memory& memory_;
    recorder* record_;
    x86_control control_;
    std::array<std::uint64_t, 4> pointers_{}; ///< of PAE paging
    x86_tlb tlb_;
};

} // namespace lobos::sim
