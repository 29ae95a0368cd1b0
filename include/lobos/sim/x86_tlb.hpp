// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// What an x86 processor remembers of its tables [intel/vol3 §4.10.2 to §4.10.4]: pages, and entries that name tables,
/// each under the process context that was current. It forgets nothing by itself, which is the worst that hardware may
/// do to whoever leaves a flush out.

#include <cstdint>
#include <unordered_map>

namespace lobos::sim {

class x86_tlb {
public:
    /// What is remembered of a page, for each 4 KiB of it that were used.
    struct page {
        std::uint64_t physical; ///< of the 4 KiB
        unsigned size_bits;     ///< 12 to 30: of the whole page
        bool writable;          ///< on every level
        bool user;              ///< on every level
        bool executable;        ///< on every level
        bool dirty;
        bool global; ///< of all contexts
    };
    /// What is remembered of an entry that names a table.
    struct table {
        std::uint64_t physical; ///< of the table
        bool writable = true;   ///< here and on the levels above
        bool user = true;
        bool executable = true;
    };

    const page* find(unsigned context, std::uint64_t linear) const
    {
        const auto own = own_.find(key(context, linear >> 12));
        if (own != own_.end())
            return &own->second;
        const auto shared = global_.find(key(0, linear >> 12));
        return shared != global_.end() ? &shared->second : nullptr;
    }
    const page& remember(unsigned context, std::uint64_t linear, const page& p)
    {
        own_.erase(key(context, linear >> 12));
        global_.erase(key(0, linear >> 12));
        auto& pages = p.global ? global_ : own_;
        return pages.insert_or_assign(key(p.global ? 0 : context, linear >> 12), p).first->second;
    }

    /// `shift` is that of the entry's level: the lowest bit of an address that chooses it.
    const table* find_table(unsigned context, std::uint64_t linear, unsigned shift) const
    {
        const auto found = tables_.find(key(context, spot(linear, shift)));
        return found != tables_.end() ? &found->second : nullptr;
    }
    void remember_table(unsigned context, std::uint64_t linear, unsigned shift, const table& t)
    {
        tables_.insert_or_assign(key(context, spot(linear, shift)), t);
    }

    void forget_all()
    {
        own_.clear();
        global_.clear();
        tables_.clear();
    }
    /// All of one context; global pages are of none.
    void forget(unsigned context)
    {
        std::erase_if(own_, [=](const auto& entry) { return is_of(context, entry.first); });
        std::erase_if(tables_, [=](const auto& entry) { return is_of(context, entry.first); });
    }
    void forget_global() { global_.clear(); }
    /// One page, however many pieces of it were used, global or the context's own; and the context's tables, all of
    /// them.
    void forget_page(unsigned context, std::uint64_t linear)
    {
        const auto same = [=](const auto& entry) {
            const std::uint64_t both = (entry.first ^ linear >> 12) & places;
            return both >> (entry.second.size_bits - 12) == 0;
        };
        std::erase_if(own_, [=](const auto& entry) { return is_of(context, entry.first) && same(entry); });
        std::erase_if(global_, same);
        std::erase_if(tables_, [=](const auto& entry) { return is_of(context, entry.first); });
    }

private:
    static constexpr unsigned context_shift = 52;
    static constexpr std::uint64_t places = (std::uint64_t{1} << context_shift) - 1;

    static constexpr std::uint64_t key(unsigned context, std::uint64_t place)
    {
        return std::uint64_t{context} << context_shift | (place & places);
    }
    static constexpr bool is_of(unsigned context, std::uint64_t k) { return k >> context_shift == context; }
    /// Places of different levels differ: the level is in the low bits that its index leaves.
    static constexpr std::uint64_t spot(std::uint64_t linear, unsigned shift)
    {
        return linear >> shift << (shift - 12) | (shift - 12) / 9;
    }

    std::unordered_map<std::uint64_t, page> own_;
    std::unordered_map<std::uint64_t, page> global_;
    std::unordered_map<std::uint64_t, table> tables_;
};

} // namespace lobos::sim
