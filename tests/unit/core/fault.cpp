// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/core/fault.hpp>

#include <set>
#include <string>
#include <type_traits>

#include <tests/catch.hpp>

using namespace lobos;

namespace {

/// Every word is there, differs from the others, and is short enough for one line of a console.
template <class Enum> void has_words(Enum last, const std::string& unknown)
{
    std::set<std::string> seen;
    for (unsigned i = 0; i <= static_cast<unsigned>(last); ++i) {
        const std::string words{to_string(static_cast<Enum>(i))};
        CAPTURE(i, words);
        CHECK(words != unknown);
        CHECK(!words.empty());
        CHECK(words.size() <= 50);
        CHECK(seen.insert(words).second);
    }
    CHECK(to_string(static_cast<Enum>(static_cast<unsigned>(last) + 1)) == unknown);
}

constexpr result<int> read_header(bool good)
{
    if (!good)
        return refuse(fault_code::bad_header, stage::loading, 0x1f1);
    return 1;
}

constexpr result<void> map_page(bool good)
{
    if (!good)
        return refuse(fault_code::not_mapped, stage::mapping, 0xc000'0000_va);
    return {};
}

constexpr bool carries()
{
    return *read_header(true) == 1 &&
        read_header(false).error() == fault{fault_code::bad_header, stage::loading, 0x1f1} &&
        map_page(true).has_value() &&
        map_page(false).error() == fault{fault_code::not_mapped, stage::mapping, 0xc000'0000};
}

constexpr bool behaves_like_expected()
{
    const result<int> one = read_header(true);
    const result<long> widened = one;
    const std::expected<int, fault> plain = one;
    const result<int> back = plain;
    result<int> assigned = read_header(false);
    const bool differed = assigned != one;
    assigned = one;
    return differed && assigned == one && one == 1 && *widened == 1 && *plain == 1 && back == one &&
        result<void>{} == map_page(true) && read_header(false).value_or(7) == 7 &&
        read_header(false) == refuse(fault_code::bad_header, stage::loading, 0x1f1);
}

} // namespace

TEST_CASE("a result is a std::expected in all but being ignored", "[core][fault]")
{
    STATIC_REQUIRE(std::is_base_of_v<std::expected<int, fault>, result<int>>);
    STATIC_REQUIRE(
        std::is_trivially_copyable_v<result<int>> == std::is_trivially_copyable_v<std::expected<int, fault>>);
    STATIC_REQUIRE(sizeof(result<int>) == sizeof(std::expected<int, fault>));
    STATIC_REQUIRE(behaves_like_expected());
    CHECK(behaves_like_expected());
}

TEST_CASE("every fault and every stage has words of its own", "[core][fault]")
{
    has_words(fault_code::corrupt_log, "unknown fault");
    has_words(stage::surviving, "unknown stage");
}

TEST_CASE("what keeps a machine from being left is said", "[core][fault]")
{
    CHECK(to_string(fault_code::memory_encrypted) != to_string(fault_code::wrong_processor));
    CHECK(to_string(fault_code::memory_encrypted) != "unknown fault");
    CHECK(to_string(fault_code::wrong_processor) != "unknown fault");
}

TEST_CASE("a result carries a value or what, where and in which stage", "[core][fault]")
{
    STATIC_REQUIRE(carries());
    CHECK(carries());
}

TEST_CASE("faults compare by all they say", "[core][fault]")
{
    const fault f{fault_code::no_room, stage::planning, 7};
    CHECK(f == fault{fault_code::no_room, stage::planning, 7});
    CHECK_FALSE(f == fault{fault_code::no_room, stage::planning, 8});
    CHECK_FALSE(f == fault{fault_code::no_room, stage::staging, 7});
    CHECK_FALSE(f == fault{fault_code::no_space, stage::planning, 7});
}
