// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/setup_data.hpp>

#include <asm/bootparam.h> // linux-libc-dev: the nodes in the kernel's own words

#include <tests/catch.hpp>
#include <tests/support/byte_memory.hpp>

using lobos::phys_addr;
using lobos::phys_range;
using lobos::region;
using lobos::region_kind;
using namespace lobos::literals;
using namespace lobos::test;

namespace {

/// `n` regions that can be told apart.
std::vector<region> regions(std::size_t n)
{
    std::vector<region> all;
    for (std::size_t i = 0; i < n; ++i)
        all.push_back({phys_range::of(phys_addr::at(i << 20), lobos::byte_count::of(0x1000 + i)),
            i % 3 == 0 ? region_kind::usable : region_kind::reserved});
    return all;
}

bytes seed_of(std::size_t size)
{
    bytes seed(size);
    for (std::size_t i = 0; i < size; ++i)
        seed[i] = pattern(i);
    return seed;
}

struct node {
    std::uint64_t at;
    std::uint32_t type;
    bytes data;
};

/// The chain as Linux walks it.
std::vector<node> walk(byte_memory& memory, phys_addr first)
{
    std::vector<node> chain;
    for (std::uint64_t at = first.raw(); at != 0;) {
        REQUIRE(chain.size() < 20);
        const auto header = lobos::load<::setup_data>(memory, phys_addr::at(at));
        node n{at, header.type, bytes(header.len)};
        memory.read(phys_addr::at(at + sizeof header), n.data);
        chain.push_back(n);
        at = header.next;
    }
    return chain;
}

/// Pages that lie backwards in memory with others between, all with something in them.
struct scattered_pages {
    byte_memory memory{0x20000, 0x10'0000_pa};
    std::vector<phys_addr> pages;
    explicit scattered_pages(std::size_t n)
    {
        memory.write(0x10'0000_pa, bytes(0x20000, std::byte{0xa5}));
        for (std::size_t i = 0; i < n; ++i)
            pages.push_back(phys_addr::at(0x11'e000 - i * 0x2000));
    }
};

} // namespace

TEST_CASE("the nodes are the kernel's", "[x86][setup_data]")
{
    namespace d = lobos::setup_data;
    STATIC_REQUIRE(d::next == offsetof(::setup_data, next));
    STATIC_REQUIRE(d::type == offsetof(::setup_data, type));
    STATIC_REQUIRE(d::len == offsetof(::setup_data, len));
    STATIC_REQUIRE(d::data == sizeof(::setup_data));
    STATIC_REQUIRE(d::e820_ext == SETUP_E820_EXT);
    STATIC_REQUIRE(d::rng_seed == 9);
    STATIC_REQUIRE(sizeof(lobos::e820_entry) == sizeof(::boot_e820_entry));
    STATIC_REQUIRE(d::longest == 4080);
}

TEST_CASE("the pages that setup data takes", "[x86][setup_data]")
{
    namespace d = lobos::setup_data;
    const struct {
        std::size_t entries, seed, pages;
    } cases[] = {{0, 0, 0}, {0, 1, 1}, {0, 4080, 1}, {1, 0, 1}, {204, 0, 1}, {205, 0, 2}, {408, 0, 2}, {409, 0, 3},
        {201, 32, 1}, {202, 32, 2}, {201 + 204, 32, 2}, {202 + 204, 32, 3},
        {1, 4028, 1}, // 16 + 4028 is 4044, 4048 when aligned: 48 are left for 16 + 20
        {2, 4028, 2}, // and not for 40
        {1, 4040, 1}, // 4056 + 36 is 4092
        {1, 4041, 2}, // 4064 + 36 is 4100
        {204, 4080, 2}, {205, 4080, 3}};
    for (const auto& c : cases) {
        CAPTURE(c.entries, c.seed);
        CHECK(d::pages_for(c.entries, c.seed) == c.pages);
        CHECK(d::capacity(c.pages, c.seed) >= c.entries);
        if (c.pages != 0 && c.entries != 0)
            CHECK(d::capacity(c.pages - 1, c.seed) < c.entries);
    }
}

TEST_CASE("Linux finds the seed and every region in the chain", "[x86][setup_data]")
{
    for (const std::size_t n : {0u, 1u, 2u, 200u, 201u, 202u, 204u, 205u, 406u, 1000u})
        for (const std::size_t size : {0u, 1u, 32u, 33u, 4028u, 4040u, 4041u, 4080u}) {
            CAPTURE(n, size);
            const auto all = regions(n);
            const bytes seed = seed_of(size);
            scattered_pages m{lobos::setup_data::pages_for(n, size)};
            const phys_addr first = lobos::setup_data::write(m.memory, all, seed, m.pages);
            if (n + size == 0) {
                CHECK(first == phys_addr{});
                continue;
            }
            REQUIRE(first == m.pages[0]);
            std::size_t found = 0;
            std::size_t used = 0; // pages
            for (const node& node : walk(m.memory, first)) {
                CHECK(node.at % 8 == 0);
                CHECK(node.at % 4096 + 16 + node.data.size() <= 4096);
                const auto page = std::find(m.pages.begin(), m.pages.end(), phys_addr::at(node.at & ~0xfffull));
                REQUIRE(page != m.pages.end());
                used = static_cast<std::size_t>(page - m.pages.begin()) + 1;
                if (node.type == 9) {
                    CHECK(node.at == first.raw());
                    CHECK(node.data == seed);
                    continue;
                }
                REQUIRE(node.type == 1);
                REQUIRE(node.data.size() % 20 == 0);
                REQUIRE_FALSE(node.data.empty());
                for (std::size_t i = 0; i < node.data.size(); i += 20, ++found) {
                    REQUIRE(found < n);
                    ::boot_e820_entry entry;
                    std::memcpy(&entry, node.data.data() + i, sizeof entry);
                    const std::uint64_t at = entry.addr, length = entry.size;
                    const std::uint32_t type = entry.type;
                    REQUIRE(at == found << 20);
                    REQUIRE(length == 0x1000 + found);
                    REQUIRE(type == (found % 3 == 0 ? 1u : 2u));
                }
            }
            CHECK(found == n);
            CHECK(used == m.pages.size());
            if (size != 0)
                CHECK(walk(m.memory, first)[0].type == 9);
        }
}

TEST_CASE("setup data writes into its pages only", "[x86][setup_data]")
{
    scattered_pages m{3};
    const auto all = regions(201 + 204 + 1);
    (void)lobos::setup_data::write(m.memory, all, seed_of(32), m.pages);
    bytes everything(0x20000);
    m.memory.read(0x10'0000_pa, everything);
    for (std::size_t i = 0; i < everything.size(); ++i) {
        const std::uint64_t at = 0x10'0000 + i;
        const bool used = (at >= 0x11'e000 && at < 0x11'e000 + 48 + 16 + 201 * 20) ||
            (at >= 0x11'c000 && at < 0x11'c000 + 16 + 204 * 20) || (at >= 0x11'a000 && at < 0x11'a000 + 16 + 20);
        if (!used)
            REQUIRE(everything[i] == std::byte{0xa5});
    }
}

TEST_CASE("a region in an e820 map", "[x86][setup_data]")
{
    const auto entry = lobos::make_e820_entry({phys_range::between(1_pa, phys_addr::at(~0ull)), region_kind::acpi_nvs});
    CHECK(peek({entry.begin(), entry.end()}, 0, 8) == 1);
    CHECK(peek({entry.begin(), entry.end()}, 8, 8) == ~0ull);
    CHECK(peek({entry.begin(), entry.end()}, 16, 4) == 4);
}
