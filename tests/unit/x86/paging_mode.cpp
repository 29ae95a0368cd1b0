// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/paging_mode.hpp>

#include <set>
#include <string>

#include <lobos/x86/port.hpp> // the same names of bits

#include <tests/support/paging_modes.hpp>

using namespace lobos;
using namespace lobos::test;
using x86::paging_mode;

namespace {

/// What a visitor was given.
struct which {
    template <class T> result<unsigned> operator()()
    {
        ++calls;
        using all = std::tuple<x86::paging_4k, x86::paging_4m, x86::paging_pae, x86::paging_4level,
            x86::paging_4level_1g, x86::paging_5level, x86::paging_5level_1g>;
        return index_in<T>(all{});
    }
    template <class T, class... U> static unsigned index_in(std::tuple<U...>)
    {
        unsigned i = 0;
        (void)((std::is_same_v<T, U> || (++i, false)) || ...);
        return i;
    }
    int calls = 0;
};

} // namespace

TEST_CASE("the mode follows from five bits and no others", "[x86][paging_mode]")
{
    for (unsigned bits = 0; bits < 32; ++bits) {
        const bool pg = bits & 1, pse = bits & 2, pae = bits & 4, la57 = bits & 8, lme = bits & 16;
        paging_mode expected = paging_mode::none;
        if (pg && pae && lme)
            expected = la57 ? paging_mode::five_level : paging_mode::four_level;
        else if (pg && pae)
            expected = paging_mode::pae;
        else if (pg)
            expected = pse ? paging_mode::bits_32_pse : paging_mode::bits_32;
        // With all other bits clear and with all of them set.
        for (const std::uint64_t others : {std::uint64_t{0}, ~std::uint64_t{0}}) {
            const std::uint64_t cr0 = (others & ~0x8000'0000ull) | (pg ? 0x8000'0000 : 0);
            const std::uint64_t cr4 = (others & ~0x1030ull) | (pse ? 0x10 : 0) | (pae ? 0x20 : 0) | (la57 ? 0x1000 : 0);
            const std::uint64_t efer = (others & ~0x100ull) | (lme ? 0x100 : 0);
            CAPTURE(bits, others);
            CHECK(x86::mode_of(cr0, cr4, efer) == expected);
            CHECK(x86::mode_of({.cr0 = cr0, .cr3 = others, .cr4 = cr4, .efer = efer}) == expected);
        }
    }
}

TEST_CASE("of CR3 the root is what the mode says, bit by bit", "[x86][paging_mode]")
{
    const struct {
        paging_mode mode;
        unsigned first, last;
    } cases[] = {
        {paging_mode::bits_32, 12, 31},
        {paging_mode::bits_32_pse, 12, 31},
        {paging_mode::pae, 5, 31},
        {paging_mode::four_level, 12, 51},
        {paging_mode::five_level, 12, 51},
        {paging_mode::none, 12, 31},
    };
    for (const auto& c : cases)
        for (unsigned bit = 0; bit < 64; ++bit) {
            const std::uint64_t value = std::uint64_t{1} << bit;
            CAPTURE(x86::to_string(c.mode), bit);
            CHECK(x86::table_root_of(c.mode, value).raw() == (bit >= c.first && bit <= c.last ? value : 0));
        }
}

TEST_CASE("each mode has its traits, and 1 GB pages are new only where there are any", "[x86][paging_mode]")
{
    const struct {
        paging_mode mode;
        unsigned plain, with_1g;
    } cases[] = {
        {paging_mode::bits_32, 0, 0},
        {paging_mode::bits_32_pse, 1, 1},
        {paging_mode::pae, 2, 2},
        {paging_mode::four_level, 3, 4},
        {paging_mode::five_level, 5, 6},
    };
    for (const auto& c : cases) {
        which asked;
        CHECK(x86::with_paging(c.mode, false, asked).value() == c.plain);
        CHECK(x86::with_paging(c.mode, true, asked).value() == c.with_1g);
        CHECK(asked.calls == 2);
    }
}

TEST_CASE("without paging nobody is called", "[x86][paging_mode]")
{
    which asked;
    CHECK(fault_of(x86::with_paging(paging_mode::none, false, asked)) ==
        fault{fault_code::unsupported, stage::mapping, 0});
    CHECK(asked.calls == 0);
}

TEST_CASE("a visitor's fault comes back", "[x86][paging_mode]")
{
    const fault own{fault_code::no_room, stage::loading, 7};
    const auto said =
        x86::with_paging(paging_mode::pae, false, [&]<class T>() -> result<void> { return std::unexpected{own}; });
    CHECK(fault_of(said) == own);
}

TEST_CASE("one address means different things to different modes under the same tables", "[x86][paging_mode]")
{
    byte_memory memory{0x4000};
    for (const std::uint64_t table : {0x0000u, 0x1000u, 0x2000u, 0x3000u})
        store(memory, phys_addr::at(table), std::uint64_t{table + 0x1001});
    const auto asked = [&](paging_mode mode) {
        return x86::with_paging(mode, true, [&]<class T>() -> result<std::uint64_t> {
            const auto found = walk<T>(memory, x86::table_root_of(mode, 0), 0x123_va);
            if (!found)
                return std::unexpected{found.error()};
            return found->physical.raw();
        });
    };
    CHECK(asked(paging_mode::bits_32).value() == 0x2123);
    CHECK(asked(paging_mode::pae).value() == 0x3123);
    CHECK(asked(paging_mode::four_level).value() == 0x4123);
}

TEST_CASE("every mode has a name of its own", "[x86][paging_mode]")
{
    std::set<std::string> names;
    for (unsigned i = 0; i < 7; ++i)
        names.insert(std::string{x86::to_string(static_cast<paging_mode>(i))});
    CHECK(names.size() == 7);
}
