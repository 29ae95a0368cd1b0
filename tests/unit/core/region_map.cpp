// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/core/region_map.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <tests/catch.hpp>
#include <tests/contract.hpp>
#include <tests/support/effort.hpp>

using namespace lobos;

namespace {

constexpr std::uint64_t top = ~std::uint64_t{0};
constexpr unsigned kinds = static_cast<unsigned>(region_kind::surviving) + 1;

/// The specification: a kind for each byte of a small world that begins at `base`.
template <unsigned Size> struct model {
    std::uint64_t base = 0;
    std::array<std::optional<region_kind>, Size> bytes{};

    constexpr void add(phys_range r, region_kind kind)
    {
        for (unsigned i = 0; i < Size; ++i)
            if (r.contains(phys_addr::at(base + i)) && (!bytes[i] || *bytes[i] < kind))
                bytes[i] = kind;
    }

    constexpr std::size_t pieces() const
    {
        std::size_t n = 0;
        for (unsigned i = 0; i < Size; ++i)
            if (bytes[i] && (i == 0 || bytes[i - 1] != bytes[i]))
                ++n;
        return n;
    }

    /// True when the map says of each byte what the model says, in as few regions as possible.
    constexpr bool equals(const region_map& map) const
    {
        const std::span<const region> regions = map.regions();
        if (regions.size() != pieces())
            return false;
        std::size_t next = 0;
        for (unsigned i = 0; i < Size; ++i) {
            const phys_addr a = phys_addr::at(base + i);
            while (next < regions.size() && regions[next].range.last() < a)
                ++next;
            const bool held = next < regions.size() && regions[next].range.contains(a);
            if (held != bytes[i].has_value() || (held && regions[next].kind != *bytes[i]))
                return false;
            const region* found = map.find(a);
            if (found != (held ? &regions[next] : nullptr))
                return false;
        }
        return true;
    }

    constexpr std::optional<phys_addr> first_not(region_kind kind, phys_range r) const
    {
        for (unsigned i = 0; i < Size; ++i)
            if (r.contains(phys_addr::at(base + i)) && bytes[i] != kind)
                return phys_addr::at(base + i);
        return std::nullopt;
    }
};

template <std::size_t Capacity> struct owned_map {
    std::array<region, Capacity> storage{};
    region_map map{storage};
};

/// Counts what is wrong: a Catch2 assertion in each turn of an exhaustive loop would take minutes.
struct tally {
    unsigned count = 0;
    template <class Good> void unless(const Good& good) { count += static_cast<bool>(good) ? 0u : 1u; }
};

struct addition {
    phys_range range;
    region_kind kind;
};

std::vector<phys_range> every_range(std::uint64_t base, unsigned size)
{
    std::vector<phys_range> all;
    for (unsigned first = 0; first < size; ++first)
        for (unsigned last = first; last < size; ++last)
            all.push_back(phys_range::between(phys_addr::at(base + first), phys_addr::at(base + last)));
    return all;
}

phys_range random_range(std::mt19937& random, std::uint64_t base, unsigned size)
{
    const std::uint64_t a = random() % size;
    const std::uint64_t b = random() % 3 == 0 ? a : random() % size;
    return phys_range::between(phys_addr::at(base + std::min(a, b)), phys_addr::at(base + std::max(a, b)));
}

std::string show(const region_map& map)
{
    std::string text;
    for (const region& r : map.regions())
        text += Catch::StringMaker<phys_range>::convert(r.range) + " " + std::string{to_string(r.kind)} + "\n";
    return text;
}

/// Kinds weaker, equal and stronger than the one before; apart, touching, overlapping, inside and equal.
constexpr bool at_compile_time()
{
    for (const region_kind k : {region_kind::usable, region_kind::reserved, region_kind::safe})
        for (unsigned first = 0; first < 6; ++first)
            for (const unsigned last : {first, 5u}) {
                owned_map<5> m;
                model<6> expected;
                const addition adds[] = {{phys_range::between(2_pa, 3_pa), region_kind::reserved},
                    {phys_range::between(phys_addr::at(first), phys_addr::at(last)), k}};
                for (const addition& a : adds) {
                    expected.add(a.range, a.kind);
                    if (!m.map.add(a.range, a.kind))
                        return false;
                }
                if (!expected.equals(m.map))
                    return false;
            }
    return true;
}
static_assert(at_compile_time());

const std::uint64_t bases[] = {0, 0xffff'fffc, top - 7};

} // namespace

TEST_CASE("every pair of kinds at every relative position", "[core][region_map]")
{
    for (const std::uint64_t base : bases) {
        const std::vector<phys_range> ranges = every_range(base, 8);
        tally wrong;
        for (const phys_range& r1 : ranges)
            for (const phys_range& r2 : ranges)
                for (unsigned k1 = 0; k1 < kinds; ++k1)
                    for (unsigned k2 = 0; k2 < kinds; ++k2) {
                        owned_map<3> m;
                        model<8> expected{base};
                        for (const addition& a :
                            {addition{r1, static_cast<region_kind>(k1)}, addition{r2, static_cast<region_kind>(k2)}}) {
                            expected.add(a.range, a.kind);
                            wrong.unless(m.map.add(a.range, a.kind));
                        }
                        wrong.unless(expected.equals(m.map));
                    }
        CAPTURE(base);
        CHECK(wrong.count == 0);
    }
}

TEST_CASE("every three ranges of three kinds, in storage of every size", "[core][region_map]")
{
    // A map that has no room says how much it needs and stays as it was; one that has just enough takes it.
    const region_kind some[] = {region_kind::usable, region_kind::reserved, region_kind::safe};
    const std::vector<phys_range> ranges = every_range(top - 4, 5);
    const unsigned step = test::stride(5u);
    tally wrong;
    unsigned refused = 0;
    for (unsigned capacity = 0; capacity <= 5; ++capacity)
        for (const phys_range& r1 : ranges)
            for (const phys_range& r2 : ranges)
                for (const phys_range& r3 : ranges)
                    for (unsigned k = 0; k < 27; k += step) {
                        std::array<region, 5> storage{};
                        region_map map{std::span{storage}.first(capacity)};
                        model<5> expected{top - 4};
                        for (const addition& a :
                            {addition{r1, some[k % 3]}, addition{r2, some[k / 3 % 3]}, addition{r3, some[k / 9]}}) {
                            model<5> next = expected;
                            next.add(a.range, a.kind);
                            const result<void> added = map.add(a.range, a.kind);
                            if (next.pieces() <= capacity) {
                                wrong.unless(added);
                                expected = next;
                            } else {
                                ++refused;
                                wrong.unless(!added &&
                                    added.error() == fault{fault_code::no_space, stage::mapping, next.pieces()});
                            }
                            wrong.unless(expected.equals(map));
                        }
                    }
    CHECK(wrong.count == 0);
    CHECK(refused > 0);
}

TEST_CASE("long random sequences in tight storage", "[core][region_map]")
{
    constexpr unsigned size = 64;
    for (unsigned seed = 0; seed < test::effort(100u, 400u, 400u); ++seed) {
        std::mt19937 random{seed};
        const std::uint64_t base = seed % 3 == 0 ? 0 : seed % 3 == 1 ? 0x10'0000 : top - size + 1;
        std::array<region, size> storage{};
        region_map map{std::span{storage}.first(1 + random() % size)};
        model<size> expected{base};
        for (unsigned step = 0; step < 60; ++step) {
            // Short ranges first, so that long ones meet many regions at once.
            phys_range r = random_range(random, base, size);
            if (step < 40)
                r = phys_range::of(
                    r.first(), byte_count::of(r.first().raw() == base + size - 1 ? 1 : 1 + random() % 2));
            const region_kind kind = static_cast<region_kind>(random() % kinds);
            model<size> next = expected;
            next.add(r, kind);
            if (map.add(r, kind))
                expected = next;
            CAPTURE(seed, step, r, to_string(kind), show(map));
            REQUIRE(expected.equals(map));
        }
    }
}

TEST_CASE("a range that passes stronger and weaker regions keeps all the stronger ones", "[core][region_map]")
{
    // Grows first and shrinks later: the merge must not overwrite what it has not read.
    for (unsigned strong = 0; strong <= 6; ++strong)
        for (unsigned weak = 0; weak <= 6; ++weak)
            for (const bool strong_first : {true, false}) {
                owned_map<32> m;
                model<64> expected;
                const auto put = [&](phys_range r, region_kind kind) {
                    REQUIRE(m.map.add(r, kind));
                    expected.add(r, kind);
                };
                std::uint64_t at = 2;
                for (unsigned i = 0; i < strong + weak; ++i, at += 4) {
                    const bool is_strong = strong_first ? i < strong : i >= weak;
                    put(phys_range::of(phys_addr::at(at), 2_bytes),
                        is_strong ? region_kind::safe : region_kind::usable);
                }
                put(phys_range::between(0_pa, phys_addr::at(at)), region_kind::reserved);
                CAPTURE(strong, weak, strong_first, show(m.map));
                CHECK(expected.equals(m.map));
            }
}

TEST_CASE("the order of adding does not matter", "[core][region_map]")
{
    for (unsigned seed = 0; seed < 50; ++seed) {
        std::mt19937 random{seed};
        std::vector<addition> additions;
        for (unsigned i = 0; i < 12; ++i)
            additions.push_back({random_range(random, 0x1000, 40), static_cast<region_kind>(random() % kinds)});
        owned_map<40> first;
        for (const addition& a : additions)
            REQUIRE(first.map.add(a.range, a.kind));
        for (unsigned shuffled = 0; shuffled < 20; ++shuffled) {
            std::shuffle(additions.begin(), additions.end(), random);
            owned_map<40> other;
            for (const addition& a : additions)
                REQUIRE(other.map.add(a.range, a.kind));
            CAPTURE(seed, show(first.map), show(other.map));
            REQUIRE(std::ranges::equal(first.map.regions(), other.map.regions()));
        }
    }
}

TEST_CASE("the whole address space is a region like any other", "[core][region_map]")
{
    const phys_range all = phys_range::between(0_pa, phys_addr::at(top));
    owned_map<3> m;
    REQUIRE(m.map.add(all, region_kind::usable));
    REQUIRE(m.map.add(phys_range::of(0_pa, 1_bytes), region_kind::reserved));
    REQUIRE(m.map.add(phys_range::of(phys_addr::at(top), 1_bytes), region_kind::reserved));
    REQUIRE(m.map.regions().size() == 3);
    CHECK(m.map.find(0_pa)->kind == region_kind::reserved);
    CHECK(m.map.find(1_pa)->kind == region_kind::usable);
    CHECK(m.map.find(phys_addr::at(top - 1))->kind == region_kind::usable);
    CHECK(m.map.find(phys_addr::at(top))->kind == region_kind::reserved);
    CHECK(m.map.first_not(region_kind::usable, phys_range::between(1_pa, phys_addr::at(top))) == phys_addr::at(top));
    REQUIRE(m.map.add(all, region_kind::surviving));
    CHECK(m.map.regions().size() == 1);
    CHECK_FALSE(m.map.first_not(region_kind::surviving, all));
}

TEST_CASE("a map of 200 entries, overlapping and in any order", "[core][region_map]")
{
    // Islands of 4 KiB with gaps, each told three times with other ends, among them reserved holes.
    std::vector<addition> additions;
    for (unsigned i = 0; i < 200; ++i) {
        const phys_addr at = phys_addr::at(std::uint64_t{i} << 16);
        additions.push_back({phys_range::of(at, 4_KiB), region_kind::usable});
        additions.push_back({phys_range::of(at + 2_KiB, 4_KiB), region_kind::usable});
        if (i % 2 == 0)
            additions.push_back({phys_range::of(at + 1_KiB, 1_KiB), region_kind::reserved});
    }
    std::shuffle(additions.begin(), additions.end(), std::mt19937{1});
    owned_map<400> m;
    for (const addition& a : additions)
        REQUIRE(m.map.add(a.range, a.kind));
    REQUIRE(m.map.regions().size() == 400);
    for (unsigned i = 0; i < 200; ++i) {
        const phys_addr at = phys_addr::at(std::uint64_t{i} << 16);
        CHECK(m.map.find(at + 1_KiB)->kind == (i % 2 == 0 ? region_kind::reserved : region_kind::usable));
        CHECK(m.map.find(at + 6_KiB) == nullptr);
    }
    const std::vector<region> before{m.map.regions().begin(), m.map.regions().end()};
    const result<void> one_more = m.map.add(phys_range::of(0x8000_pa, 1_bytes), region_kind::usable);
    REQUIRE_FALSE(one_more);
    CHECK(one_more.error() == fault{fault_code::no_space, stage::mapping, 401});
    CHECK(std::ranges::equal(before, m.map.regions()));
    REQUIRE(m.map.add(phys_range::of(0_pa, 16_MiB), region_kind::safe));
    CHECK(m.map.regions().size() == 1);
}

TEST_CASE("a map of no storage is empty, and says so", "[core][region_map]")
{
    region_map map{{}};
    CHECK(map.regions().empty());
    CHECK(map.find(0_pa) == nullptr);
    const result<void> added = map.add(phys_range::of(0_pa, 1_bytes), region_kind::usable);
    REQUIRE_FALSE(added);
    CHECK(added.error() == fault{fault_code::no_space, stage::mapping, 1});
}

TEST_CASE("a copy has the same regions, or stays as it was", "[core][region_map]")
{
    owned_map<4> from;
    for (unsigned i = 0; i < 3; ++i)
        REQUIRE(from.map.add(phys_range::of(phys_addr::at(i * 16), 8_bytes), region_kind::usable));
    owned_map<3> fits;
    REQUIRE(fits.map.add(phys_range::of(0x900_pa, 1_bytes), region_kind::safe));
    REQUIRE(fits.map.copy_from(from.map));
    CHECK(std::ranges::equal(fits.map.regions(), from.map.regions()));
    REQUIRE(from.map.add(phys_range::of(0x100_pa, 1_bytes), region_kind::usable));
    CHECK(fits.map.find(0x100_pa) == nullptr);

    const result<void> copied = fits.map.copy_from(from.map);
    REQUIRE_FALSE(copied);
    CHECK(copied.error() == fault{fault_code::no_space, stage::mapping, 4});
    CHECK(fits.map.regions().size() == 3);
}

TEST_CASE("first_not names the first byte of another kind", "[core][region_map]")
{
    for (unsigned seed = 0; seed < 60; ++seed) {
        std::mt19937 random{seed};
        const std::uint64_t base = seed % 3 == 0 ? 0 : seed % 3 == 1 ? 0xffff'fffa : top - 11;
        owned_map<12> m;
        model<12> expected{base};
        for (unsigned i = 0; i < 5; ++i) {
            const phys_range r = random_range(random, base, 12);
            const region_kind kind = static_cast<region_kind>(random() % 3);
            REQUIRE(m.map.add(r, kind));
            expected.add(r, kind);
        }
        tally wrong;
        for (const phys_range& r : every_range(base, 12))
            for (unsigned kind = 0; kind < 3; ++kind)
                wrong.unless(m.map.first_not(static_cast<region_kind>(kind), r) ==
                    expected.first_not(static_cast<region_kind>(kind), r));
        CHECK(wrong.count == 0);
    }
}

namespace {

/// What highest_hole and lowest_hole promise, by trying each place in turn.
struct by_force {
    std::optional<phys_range> lowest;
    std::optional<phys_range> highest;
};
by_force try_all(std::uint64_t base, unsigned usable, unsigned size, std::uint64_t alignment, unsigned blocked,
    unsigned first, unsigned last)
{
    by_force found;
    for (unsigned at = first; at + size - 1 <= last; ++at) {
        const unsigned wanted = ((1u << size) - 1) << at;
        if ((base + at) % alignment != 0 || (usable & wanted) != wanted || (blocked & wanted) != 0)
            continue;
        const phys_range place = phys_range::of(phys_addr::at(base + at), byte_count::of(size));
        if (!found.lowest)
            found.lowest = place;
        found.highest = place;
    }
    return found;
}

std::vector<phys_range> ranges_of_bits(std::uint64_t base, unsigned bits)
{
    std::vector<phys_range> ranges;
    for (unsigned i = 0; bits >> i != 0; ++i)
        if ((bits >> i & 1) != 0)
            ranges.push_back(phys_range::of(phys_addr::at(base + i), byte_count::of(1)));
    return ranges;
}

/// Every map of usable bytes, every size, alignment and window, and the given taken ranges, in a world of six bytes.
unsigned wrong_holes(std::uint64_t base, unsigned taken_bits, std::span<const phys_range> taken)
{
    constexpr unsigned world = 6;
    const auto step = test::stride(3u);
    tally wrong;
    for (unsigned usable = 0; usable < 1u << world; usable += step) {
        owned_map<world> m;
        for (const phys_range& r : ranges_of_bits(base, usable))
            wrong.unless(m.map.add(r, region_kind::usable));
        for (const phys_range& r : ranges_of_bits(base, ~usable & 0b101010u))
            wrong.unless(m.map.add(r, region_kind::reserved));
        for (unsigned size = 1; size <= world + 1; ++size)
            for (std::uint64_t alignment = 1; alignment <= 8; alignment *= 2)
                for (unsigned first = 0; first < world; ++first)
                    for (unsigned last = first; last < world; ++last) {
                        const phys_range within =
                            phys_range::between(phys_addr::at(base + first), phys_addr::at(base + last));
                        const by_force expected = try_all(base, usable, size, alignment, taken_bits, first, last);
                        const byte_count s = byte_count::of(size);
                        const byte_count a = byte_count::of(alignment);
                        wrong.unless(m.map.lowest_hole(s, a, within, taken) == expected.lowest);
                        wrong.unless(m.map.highest_hole(s, a, within, taken) == expected.highest);
                    }
    }
    return wrong.count;
}

} // namespace

TEST_CASE("holes are the highest and the lowest there are", "[core][region_map]")
{
    const std::uint64_t at_ends[] = {0, 0xffff'fffd, top - 5};
    for (const std::uint64_t base : at_ends) {
        CAPTURE(base);
        // Taken byte by byte, in every combination.
        for (unsigned taken = 0; taken < 64; taken += test::stride(5u)) {
            std::vector<phys_range> ranges = ranges_of_bits(base, taken);
            CAPTURE(taken);
            CHECK(wrong_holes(base, taken, ranges) == 0);
        }
    }
}

TEST_CASE("holes keep clear of taken ranges of every length, overlapping and unsorted", "[core][region_map]")
{
    const std::uint64_t base = top - 5;
    const std::vector<phys_range> ranges = every_range(base, 6);
    for (std::size_t one = 0; one < ranges.size(); one += test::stride(std::size_t{4}))
        for (const phys_range& r2 : ranges) {
            const phys_range& r1 = ranges[one];
            if (r1.first() < r2.first())
                continue; // downwards, and equal starts in both orders
            unsigned bits = 0;
            for (unsigned i = 0; i < 6; ++i)
                if (r1.contains(phys_addr::at(base + i)) || r2.contains(phys_addr::at(base + i)))
                    bits |= 1u << i;
            const phys_range taken[] = {r1, r2};
            CAPTURE(r1, r2);
            CHECK(wrong_holes(base, bits, taken) == 0);
        }
}

TEST_CASE("holes of real sizes", "[core][region_map]")
{
    owned_map<8> m;
    REQUIRE(m.map.add(phys_range::of(0_pa, 0x9fc00_bytes), region_kind::usable));
    REQUIRE(m.map.add(phys_range::of(0x9fc00_pa, 1_KiB), region_kind::reserved));
    REQUIRE(m.map.add(phys_range::of(0x100000_pa, 127_MiB), region_kind::usable));
    const phys_range all = phys_range::between(0_pa, phys_addr::at(top));
    CHECK(m.map.highest_hole(4_MiB, 4_MiB, all, {}) == phys_range::of(0x7c00000_pa, 4_MiB));
    CHECK(m.map.lowest_hole(4_MiB, 4_MiB, all, {}) == phys_range::of(0x400000_pa, 4_MiB));
    CHECK(m.map.lowest_hole(4_KiB, 4_KiB, all, {}) == phys_range::of(0_pa, 4_KiB));
    const phys_range taken[] = {phys_range::of(0x7ffffff_pa, 1_bytes)};
    CHECK(m.map.highest_hole(4_MiB, 4_MiB, all, taken) == phys_range::of(0x7800000_pa, 4_MiB));
    CHECK_FALSE(m.map.highest_hole(128_MiB, 1_bytes, all, {}));
    CHECK_FALSE(m.map.lowest_hole(byte_count::of(top), 1_bytes, all, {}));
    CHECK_FALSE(m.map.highest_hole(byte_count::of(top), 1_bytes, all, {}));
}

TEST_CASE("a hole of no bytes or of a crooked alignment is a broken contract", "[core][region_map]")
{
    owned_map<1> m;
    REQUIRE(m.map.add(phys_range::of(0_pa, 1_MiB), region_kind::usable));
    const phys_range all = phys_range::between(0_pa, phys_addr::at(top));
    CHECK_THROWS_AS(m.map.highest_hole(0_bytes, 1_bytes, all, {}), contract_error);
    CHECK_THROWS_AS(m.map.lowest_hole(0_bytes, 1_bytes, all, {}), contract_error);
    CHECK_THROWS_AS(m.map.highest_hole(1_bytes, 3_bytes, all, {}), contract_error);
    CHECK_THROWS_AS(m.map.lowest_hole(1_bytes, 3_bytes, all, {}), contract_error);
}

TEST_CASE("every kind has a name of its own", "[core][region_map]")
{
    std::set<std::string> seen;
    for (unsigned i = 0; i < kinds; ++i)
        CHECK(seen.emplace(to_string(static_cast<region_kind>(i))).second);
    CHECK(seen.count("unknown") == 0);
    CHECK(std::string{to_string(static_cast<region_kind>(kinds))} == "unknown");
}
