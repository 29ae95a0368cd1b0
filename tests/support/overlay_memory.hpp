// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Memory that the overlay's loop can run on and that the rules can read: it refuses what a machine would fault on or
/// a strict one not do (an access outside, a word that is not aligned), and notes what it is used for.

#include <cstring>
#include <stdexcept>
#include <vector>

#include <lobos/core/physical_memory.hpp>
#include <lobos/overlay/copy_loop.hpp>
#include <lobos/plan/plan.hpp>

namespace lobos::test {

template <class Address = std::uint64_t, class Word = Address> class overlay_memory {
public:
    using address = Address;
    using word = Word;

    explicit overlay_memory(std::size_t size, std::uint64_t base = 0) : base_{base}, bytes_(size) {}

    Word load_word(Address at) { return get<Word>(at); }
    std::uint8_t load_byte(Address at) { return get<std::uint8_t>(at); }
    void store_word(Address at, Word value)
    {
        put(at, value);
        stored += sizeof(Word);
        ++word_stores;
    }
    void store_byte(Address at, std::uint8_t value)
    {
        put(at, value);
        ++stored;
    }
    std::uint64_t load_u64(Address at) { return get<std::uint64_t>(at); }
    void store_u64(Address at, std::uint64_t value)
    {
        put(at, value);
        notes.push_back({at, value, stored});
    }
    void store_u32(Address at, std::uint32_t value)
    {
        put(at, value);
        notes.push_back({at, value, stored});
    }
    std::uint64_t clock() { return ticks += 10; }

    void read(phys_addr at, std::span<std::byte> out)
    {
        if (!out.empty())
            std::memcpy(out.data(), place(at.raw(), out.size()), out.size());
    }
    void write(phys_addr at, std::span<const std::byte> in)
    {
        if (!in.empty())
            std::memcpy(place(at.raw(), in.size()), in.data(), in.size());
    }

    std::byte* place(std::uint64_t at, std::size_t size)
    {
        if (at - base_ > bytes_.size() || size > bytes_.size() - (at - base_))
            throw std::out_of_range{"overlay_memory: access outside"};
        return bytes_.data() + (at - base_);
    }

    /// What the overlay told: address, value, and how much of the image it had stored by then.
    struct note {
        std::uint64_t at;
        std::uint64_t value;
        std::uint64_t stored;
        friend bool operator==(const note&, const note&) = default;
    };
    std::vector<note> notes;
    std::uint64_t stored = 0; ///< bytes, the overlay's notes left out
    std::size_t word_stores = 0;
    std::uint64_t ticks = 0;

private:
    template <class T> T get(Address at)
    {
        T value;
        std::memcpy(&value, aligned<T>(at), sizeof(T));
        return value;
    }
    template <class T> void put(Address at, T value) { std::memcpy(aligned<T>(at), &value, sizeof(T)); }
    template <class T> std::byte* aligned(Address at)
    {
        if (at % sizeof(T) != 0)
            throw std::logic_error{"overlay_memory: misaligned access"};
        return place(at, sizeof(T));
    }
    std::uint64_t base_;
    std::vector<std::byte> bytes_;
};
static_assert(overlay::loop_memory<overlay_memory<std::uint32_t>>);
static_assert(physical_memory<overlay_memory<std::uint64_t>>);

/// Writes `steps` as a chain of plan pages, `per_page` in each, the pages at the given places. Returns the first.
template <class M>
std::uint64_t put_steps(M& memory, std::span<const overlay_step> steps, std::span<const std::uint64_t> pages,
    std::size_t per_page = plan_page::capacity)
{
    if (steps.size() > pages.size() * per_page)
        throw std::length_error{"put_steps: more steps than pages for them"};
    std::uint64_t first = plan_page::no_page;
    for (std::size_t i = (steps.size() + per_page - 1) / per_page; i-- > 0;) {
        const auto here = steps.subspan(i * per_page).first(std::min(per_page, steps.size() - i * per_page));
        store(memory, phys_addr::at(pages[i]), first);
        store(memory, phys_addr::at(pages[i] + 8), std::uint64_t{here.size()});
        for (std::size_t s = 0; s < here.size(); ++s)
            store(memory, phys_addr::at(pages[i] + 16 + s * sizeof(stored_step)), stored_step::of(here[s]));
        first = pages[i];
    }
    return first;
}

} // namespace lobos::test
