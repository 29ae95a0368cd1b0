// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#pragma once

/// \file
/// Building a descriptor table in safe memory. What is asked for is a port's descriptor type; what lies in the table
/// are its words. The builder knows neither: it keeps slot 0 null, hands out selectors, and copies a running table with
/// every entry that the table really has: the limit is read, never assumed.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <lobos/core/fault.hpp>
#include <lobos/core/physical_memory.hpp>

namespace lobos {

/// Where a descriptor table lies: what the processor's register for it holds.
struct descriptor_table_register {
    virt_addr base;          ///< linear address of the first entry
    std::uint32_t limit = 0; ///< offset of the last byte, not the size
    friend constexpr bool operator==(const descriptor_table_register&, const descriptor_table_register&) = default;
};

/// What a port says of its descriptors: the word of a table, and the bit a processor may set behind our back.
template <class D>
concept descriptor_traits = requires(typename D::word w) {
    requires std::unsigned_integral<typename D::word>;
    { D::with_accessed(w) } -> std::same_as<typename D::word>; // as the processor would leave it after a load
};

/// A table of at most `Capacity` words, slot 0 null by construction.
template <descriptor_traits D, std::size_t Capacity> class descriptor_table_builder {
    static_assert(Capacity >= 1 && Capacity <= 8192, "a selector has 13 bits of index");

public:
    using word = D::word;
    using selector = std::uint16_t;

    /// The selector of the new entry, or nothing when the table is full.
    constexpr std::optional<selector> append(word w)
    {
        if (count_ == Capacity)
            return std::nullopt;
        words_[count_] = D::with_accessed(w);
        return static_cast<selector>(sizeof(word) * count_++);
    }

    /// Leaves a slot empty, so that the next one has a selector that somebody prescribes. False when full.
    constexpr bool append_null()
    {
        if (count_ == Capacity)
            return false;
        words_[count_++] = 0;
        return true;
    }

    constexpr std::span<const word> words() const { return {words_.data(), count_}; }
    constexpr byte_count size() const { return byte_count::of(std::uint64_t{count_} * sizeof(word)); }
    constexpr std::uint32_t limit() const { return static_cast<std::uint32_t>(count_ * sizeof(word)) - 1; }

private:
    std::array<word, Capacity> words_{};
    std::size_t count_ = 1;
};

/// A copy of the running table: all of it and no more, with accessed bits set beforehand. `read_word(virt_addr)` is a
/// `result<word>` of the running kernel's memory.
/// Faults: no_space (at: entries the running table has), bad_descriptor_table (at: its limit, if that is not the end
/// of an entry), and whatever `read_word` returns.
template <descriptor_traits D, std::size_t Capacity, class ReadWord>
result<descriptor_table_builder<D, Capacity>> clone_descriptor_table(
    const descriptor_table_register& running, ReadWord&& read_word)
{
    using word = D::word;
    const std::uint64_t size = std::uint64_t{running.limit} + 1;
    if (size % sizeof(word) != 0)
        return refuse(fault_code::bad_descriptor_table, stage::mapping, running.limit);
    const std::uint64_t entries = size / sizeof(word);
    if (entries > Capacity)
        return refuse(fault_code::no_space, stage::mapping, entries);
    descriptor_table_builder<D, Capacity> table;
    for (std::uint64_t i = 1; i < entries; ++i) {
        const auto w = read_word(running.base + byte_count::of(i * sizeof(word)));
        if (!w)
            return std::unexpected{w.error()};
        (void)table.append(*w); // fits: entries <= Capacity
    }
    return table;
}

} // namespace lobos
