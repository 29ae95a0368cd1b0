// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// A translation buffer of an Alpha [alpha/arm II-B, memory management]: last-level entries as they were when they were
/// read, each under the address space number that was current, or for all of them where the entry says so (ASM). It
/// forgets nothing by itself, which is the worst that hardware may do to whoever leaves a tbi out, and takes no
/// granularity hints, as it need not. The processor has two, one for instructions and one for data.

#include <cstdint>
#include <unordered_map>

namespace lobos::sim {

class alpha_tlb {
public:
    /// The entry for the page of `address`, or nothing when it is not remembered.
    const std::uint64_t* find(std::uint64_t space, std::uint64_t address) const
    {
        if (const auto own = own_.find(key(space, address)); own != own_.end())
            return &own->second;
        const auto shared = shared_.find(key(0, address));
        return shared != shared_.end() ? &shared->second : nullptr;
    }

    /// Takes the place of what was remembered for this space, and for all.
    void remember(std::uint64_t space, std::uint64_t address, std::uint64_t entry)
    {
        own_.erase(key(space, address));
        shared_.erase(key(0, address));
        const bool shared = (entry & every_space) != 0;
        (shared ? shared_ : own_).insert_or_assign(key(shared ? 0 : space, address), entry);
    }

    /// tbia.
    void forget_all()
    {
        own_.clear();
        shared_.clear();
    }
    /// tbiap: what is for all spaces stays.
    void forget_spaces() { own_.clear(); }
    /// tbis: one page, of this space and of all; those of other spaces stay.
    void forget_page(std::uint64_t space, std::uint64_t address)
    {
        own_.erase(key(space, address));
        shared_.erase(key(0, address));
    }

private:
    static constexpr std::uint64_t every_space = 1u << 4; ///< ASM
    static constexpr unsigned page_bits = 13;
    static constexpr unsigned place_bits = 30; ///< of an address of 43 bits, those that number its page

    static constexpr std::uint64_t key(std::uint64_t space, std::uint64_t address)
    {
        constexpr std::uint64_t places = (std::uint64_t{1} << place_bits) - 1;
        return space << place_bits | (address >> page_bits & places);
    }

    std::unordered_map<std::uint64_t, std::uint64_t> own_;
    std::unordered_map<std::uint64_t, std::uint64_t> shared_;
};

} // namespace lobos::sim
