// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/descriptor/builder.hpp>

#include <type_traits>
#include <vector>

#include <tests/catch.hpp>
#include <tests/support/byte_memory.hpp>

using namespace lobos;
using lobos::test::fault_of;
using lobos::test::no_fault;

namespace {

/// Words of a made-up machine: the top bit is set when a selector is loaded, unless the word is of the system (odd).
template <class Word> struct made_up {
    using word = Word;
    static constexpr word loaded = static_cast<word>(word{1} << (sizeof(word) * 8 - 1));
    static constexpr word with_accessed(word w) { return static_cast<word>((w & 1) != 0 ? w : w | loaded); }
};
struct signed_words {
    using word = std::int32_t;
    static word with_accessed(word w) { return w; }
};
struct without_accessed {
    using word = std::uint32_t;
};
struct of_another_word {
    using word = std::uint32_t;
    static std::uint64_t with_accessed(word w) { return w; }
};
static_assert(descriptor_traits<made_up<std::uint16_t>> && descriptor_traits<made_up<std::uint64_t>>);
static_assert(!descriptor_traits<signed_words> && !descriptor_traits<without_accessed> &&
    !descriptor_traits<of_another_word> && !descriptor_traits<int>);

/// A running table that notes what is read of it.
template <class Word> struct running_table {
    std::vector<Word> words;
    virt_addr base = 0xc000'1230_va;
    std::size_t fails_at = ~std::size_t{0};
    fault own{fault_code::not_mapped, stage::mapping, 0x55};
    std::vector<std::size_t> reads = {};

    result<Word> operator()(virt_addr at)
    {
        const auto offset = static_cast<std::size_t>((at - base).raw());
        REQUIRE(offset % sizeof(Word) == 0);
        const std::size_t i = offset / sizeof(Word);
        REQUIRE(i < words.size());
        reads.push_back(i);
        if (i == fails_at)
            return std::unexpected{own};
        return words[i];
    }
};

} // namespace

TEMPLATE_TEST_CASE(
    "a table begins with null and gives selectors in order", "[descriptor]", std::uint16_t, std::uint64_t)
{
    using traits = made_up<TestType>;
    descriptor_table_builder<traits, 4> table;
    CHECK(table.words().size() == 1);
    CHECK(table.words()[0] == 0);
    CHECK(table.limit() == sizeof(TestType) - 1);
    CHECK(table.size() == byte_count::of(sizeof(TestType)));
    CHECK(table.append(2) == sizeof(TestType));
    CHECK(table.append_null());
    CHECK(table.append(7) == 3 * sizeof(TestType));
    CHECK(table.limit() == 4 * sizeof(TestType) - 1);
    CHECK(table.size() == byte_count::of(4 * sizeof(TestType)));

    CHECK_FALSE(table.append(9).has_value());
    CHECK_FALSE(table.append_null());
    const std::vector<TestType> expected{0, static_cast<TestType>(traits::loaded | 2), 0, 7};
    CHECK(std::ranges::equal(table.words(), expected));
}

TEST_CASE("a table of one slot has room for null only", "[descriptor]")
{
    descriptor_table_builder<made_up<std::uint64_t>, 1> table;
    CHECK_FALSE(table.append(2).has_value());
    CHECK_FALSE(table.append_null());
    CHECK(table.words().size() == 1);
}

TEST_CASE("the largest table has the last selector", "[descriptor]")
{
    descriptor_table_builder<made_up<std::uint64_t>, 8192> table;
    for (unsigned i = 1; i < 8191; ++i)
        REQUIRE(table.append_null());
    CHECK(table.append(2) == 0xfff8);
    CHECK(table.limit() == 0xffff);
}

TEMPLATE_TEST_CASE(
    "a clone has what the limit says, each entry read once", "[descriptor]", std::uint16_t, std::uint64_t)
{
    using traits = made_up<TestType>;
    for (std::size_t entries = 1; entries <= 6; ++entries) {
        running_table<TestType> running{std::vector<TestType>(entries)};
        for (std::size_t i = 0; i < entries; ++i)
            running.words[i] = static_cast<TestType>(10 + i); // the first too, which a processor never looks at
        CAPTURE(entries);
        const auto limit = static_cast<std::uint32_t>(entries * sizeof(TestType) - 1);
        const auto table = clone_descriptor_table<traits, 6>({running.base, limit}, running);
        REQUIRE(fault_of(table) == no_fault);
        CHECK(table->limit() == limit);
        REQUIRE(table->words().size() == entries);
        CHECK(table->words()[0] == 0);
        std::vector<std::size_t> expected_reads;
        for (std::size_t i = 1; i < entries; ++i) {
            CHECK(table->words()[i] == traits::with_accessed(running.words[i]));
            expected_reads.push_back(i);
        }
        CHECK(running.reads == expected_reads);
    }
}

TEST_CASE("a limit inside an entry is refused, and nothing is read", "[descriptor]")
{
    using traits = made_up<std::uint64_t>;
    for (std::uint32_t limit = 0; limit < 40; ++limit) {
        running_table<std::uint64_t> running{std::vector<std::uint64_t>(5, 2)};
        CAPTURE(limit);
        const auto table = clone_descriptor_table<traits, 5>({running.base, limit}, running);
        if (limit % 8 == 7) {
            CHECK(fault_of(table) == no_fault);
        } else {
            CHECK(fault_of(table) == fault{fault_code::bad_descriptor_table, stage::mapping, limit});
            CHECK(running.reads.empty());
        }
    }
}

TEST_CASE("a table with more entries than there is room for is refused, not cut", "[descriptor]")
{
    using traits = made_up<std::uint64_t>;
    running_table<std::uint64_t> running{std::vector<std::uint64_t>(8, 2)};
    const auto said = [&](std::uint32_t limit) {
        return fault_of(clone_descriptor_table<traits, 5>({running.base, limit}, running));
    };
    CHECK(said(6 * 8 - 1) == fault{fault_code::no_space, stage::mapping, 6});
    CHECK(said(0xffff) == fault{fault_code::no_space, stage::mapping, 8192});
    CHECK(said(0xffff'ffff) == fault{fault_code::no_space, stage::mapping, 0x2000'0000});
    CHECK(running.reads.empty());
}

TEST_CASE("whichever entry cannot be read, its fault is passed on", "[descriptor]")
{
    for (std::size_t i = 1; i < 5; ++i) {
        running_table<std::uint64_t> running{std::vector<std::uint64_t>(5, 2)};
        running.fails_at = i;
        const auto table = clone_descriptor_table<made_up<std::uint64_t>, 5>({running.base, 39}, running);
        CHECK(fault_of(table) == running.own);
        CHECK(running.reads.size() == i);
    }
}
