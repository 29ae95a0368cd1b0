// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// The algorithm of Linux's kexec loader, as kernel/kexec_core.c describes it, written anew as a model: page numbers
/// for pages, steps counted instead of bytes copied. For comparison only.
///
/// The image is one list with an 8-byte entry for each page: where its bytes are staged. Pages of the destination are
/// filled in order, and for each the loader needs a page to stage it in, such that in the end no staged page lies on a
/// destination, but its own:
///
///   1. If the destination itself was set aside before, it is taken: the bytes are where they belong.
///   2. Otherwise a page is allocated. The destination itself, and a page that is no destination, will do.
///   3. A page that is another's destination is looked for in the list: whoever is to go there was loaded already if
///      it has an entry. Then the two change places: that one's bytes move to the new page, where they belong, and
///      its old page, which cannot be a destination, is taken.
///   4. If nobody has an entry for it yet, it is set aside and another page is allocated.
///
/// Both looks are linear: over the pages set aside (step 1), newest first, and over the entries (step 3), oldest
/// first. A page above the limit of the machine's reach would be set aside too (unusable_pages); there is none here.
/// The 512th entry of a page of the list names the list's next page, and is a step like any other.

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace lobos::bench {

/// What staging an image took.
struct page_list_cost {
    std::uint64_t steps = 0; ///< entries and pages set aside that were looked at
    std::uint64_t allocated = 0;
    std::uint64_t swapped = 0;
    std::uint64_t set_aside = 0;
    friend bool operator==(const page_list_cost&, const page_list_cost&) = default;
};

/// Entries in front of the one of page `i`: the destination, the pages before, and the links.
constexpr std::uint64_t entries_before(std::uint64_t i)
{
    return 1 + i + (1 + i) / 511;
}

/// The algorithm as it is. Destinations are pages 0 to `pages - 1`; `allocator` gives pages in order.
class page_list {
public:
    page_list(std::size_t pages, std::span<const std::uint32_t> allocator)
        : pages_{pages},
          allocator_{allocator},
          next_(pages + 1),
          before_(pages + 1)
    {
        entries_.reserve(static_cast<std::size_t>(entries_before(pages)));
        next_[pages] = before_[pages] = head();
    }

    page_list_cost stage()
    {
        entries_.push_back(a_destination);
        for (std::uint32_t i = 0; i < pages_; ++i) {
            const std::uint32_t page = page_for(i);
            if (entries_.size() % 512 == 511)
                entries_.push_back(goes_on);
            entries_.push_back(page);
        }
        return cost_;
    }

    /// Where each page's bytes were staged, in order.
    std::vector<std::uint32_t> staged() const
    {
        std::vector<std::uint32_t> all;
        for (const std::uint64_t e : entries_)
            if (e != a_destination && e != goes_on)
                all.push_back(static_cast<std::uint32_t>(e));
        return all;
    }

private:
    static constexpr std::uint64_t a_destination = ~std::uint64_t{0};
    static constexpr std::uint64_t goes_on = ~std::uint64_t{1};

    std::uint32_t head() const { return static_cast<std::uint32_t>(pages_); }

    std::uint32_t page_for(std::uint32_t destination)
    {
        for (std::uint32_t p = next_[head()]; p != head(); p = next_[p]) {
            ++cost_.steps;
            if (p == destination) {
                next_[before_[p]] = next_[p];
                before_[next_[p]] = before_[p];
                return p;
            }
        }
        for (;;) {
            const std::uint32_t page = allocator_[static_cast<std::size_t>(cost_.allocated++)];
            if (page == destination || page >= pages_)
                return page;
            if (std::uint64_t* const entry = entry_for(page)) {
                const auto old = static_cast<std::uint32_t>(*entry);
                *entry = page;
                ++cost_.swapped;
                return old;
            }
            next_[page] = next_[head()];
            before_[page] = head();
            before_[next_[page]] = page;
            next_[head()] = page;
            ++cost_.set_aside;
        }
    }

    std::uint64_t* entry_for(std::uint32_t wanted)
    {
        std::uint32_t destination = 0;
        for (std::uint64_t& entry : entries_) {
            ++cost_.steps;
            if (entry == goes_on)
                continue;
            if (entry == a_destination) {
                destination = 0;
                continue;
            }
            if (destination == wanted)
                return &entry;
            ++destination;
        }
        return nullptr;
    }

    std::size_t pages_;
    std::span<const std::uint32_t> allocator_;
    std::vector<std::uint64_t> entries_;
    std::vector<std::uint32_t> next_; ///< of the pages set aside; `pages_` is the list's head
    std::vector<std::uint32_t> before_;
    page_list_cost cost_;
};

/// The same steps without walking, so that sizes can be had where walking takes hours: an entry's place in the list
/// follows from its number, and a Fenwick tree tells how many pages set aside later are still there.
class page_list_steps {
public:
    page_list_steps(std::size_t pages, std::span<const std::uint32_t> allocator)
        : pages_{pages},
          allocator_{allocator},
          staged_(pages),
          aside_since_(pages),
          tree_(pages + 1)
    {
    }

    page_list_cost stage()
    {
        for (std::uint32_t i = 0; i < pages_; ++i)
            staged_[i] = page_for(i);
        return cost_;
    }

    const std::vector<std::uint32_t>& staged() const { return staged_; }

private:
    std::uint32_t page_for(std::uint32_t destination)
    {
        if (aside_since_[destination] != 0) {
            cost_.steps += held_ - up_to(aside_since_[destination]) + 1; // those that came later, and this one
            add(aside_since_[destination], ~std::uint32_t{0});
            --held_;
            return destination;
        }
        cost_.steps += held_;
        for (;;) {
            const std::uint32_t page = allocator_[static_cast<std::size_t>(cost_.allocated++)];
            if (page == destination || page >= pages_)
                return page;
            if (page < destination) { // loaded before, so there is an entry, and the walk stops at it
                cost_.steps += entries_before(page) + 1;
                ++cost_.swapped;
                return std::exchange(staged_[page], page);
            }
            cost_.steps += destination == 0 ? 1 : entries_before(destination - 1) + 1; // all that there are
            aside_since_[page] = static_cast<std::uint32_t>(++cost_.set_aside);
            add(aside_since_[page], 1);
            ++held_;
        }
    }

    void add(std::uint32_t at, std::uint32_t n)
    {
        for (; at < tree_.size(); at += at & -at)
            tree_[at] += n;
    }
    std::uint64_t up_to(std::uint32_t at) const
    {
        std::uint64_t sum = 0;
        for (; at != 0; at &= at - 1)
            sum += tree_[at];
        return sum;
    }

    std::size_t pages_;
    std::span<const std::uint32_t> allocator_;
    std::vector<std::uint32_t> staged_;
    std::vector<std::uint32_t> aside_since_; ///< number of the setting aside, from 1; 0: not set aside
    std::vector<std::uint32_t> tree_;
    std::uint64_t held_ = 0;
    page_list_cost cost_;
};

} // namespace lobos::bench
