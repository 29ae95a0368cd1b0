// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/core/physical_memory.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include <tests/catch.hpp>
#include <tests/support/byte_memory.hpp>

using namespace lobos;

namespace {

/// Sixteen bytes of memory from 0x1000 on, and a list of who asked for what.
struct small_memory {
    struct access {
        bool write;
        phys_addr at;
        std::size_t size;
        bool operator==(const access&) const = default;
    };
    std::array<std::byte, 16> bytes{};
    std::vector<access> accesses;

    void read(phys_addr at, std::span<std::byte> out)
    {
        accesses.push_back({false, at, out.size()});
        const auto first = bytes.begin() + static_cast<std::ptrdiff_t>((at - 0x1000_pa).raw());
        std::copy_n(first, out.size(), out.begin());
    }
    void write(phys_addr at, std::span<const std::byte> in)
    {
        accesses.push_back({true, at, in.size()});
        std::copy(in.begin(), in.end(), bytes.begin() + static_cast<std::ptrdiff_t>((at - 0x1000_pa).raw()));
    }
};
static_assert(physical_memory<small_memory>);

struct no_write {
    void read(phys_addr, std::span<std::byte>) {}
};
struct takes_integers {
    void read(std::uint64_t, std::span<std::byte>) {}
    void write(std::uint64_t, std::span<const std::byte>) {}
};
struct returns_something {
    bool read(phys_addr, std::span<std::byte>) { return true; }
    bool write(phys_addr, std::span<const std::byte>) { return true; }
};
static_assert(!physical_memory<no_write> && !physical_memory<takes_integers> && !physical_memory<returns_something>);
static_assert(!physical_memory<const small_memory>, "writing needs a memory that can be written");

struct words {
    std::uint32_t a;
    std::uint32_t b;
    bool operator==(const words&) const = default;
};

struct not_plain {
    not_plain(const not_plain& other) : value{other.value} {}
    int value;
};
template <class T>
concept storable = requires(small_memory& memory, const T& value) { store(memory, phys_addr{}, value); };
template <class T>
concept loadable = requires(small_memory& memory) { load<T>(memory, phys_addr{}); };
static_assert(storable<words> && loadable<words> && !storable<not_plain> && !loadable<not_plain>);

} // namespace

TEST_CASE("plain values go to physical memory and come back, in one access each", "[core][physical_memory]")
{
    small_memory memory;
    const words value{0x11223344, 0x55667788};
    store(memory, 0x1004_pa, value);
    CHECK(load<words>(memory, 0x1004_pa) == value);
    CHECK(load<std::uint32_t>(memory, 0x1008_pa) == value.b);
    CHECK(memory.bytes[3] == std::byte{0});
    CHECK(memory.bytes[12] == std::byte{0});
    const std::vector<small_memory::access> expected{
        {true, 0x1004_pa, 8}, {false, 0x1004_pa, 8}, {false, 0x1008_pa, 4}};
    CHECK(memory.accesses == expected);
}

TEST_CASE("the bytes of a value are its own, not a copy", "[core][physical_memory]")
{
    const words value{1, 2};
    const std::span<const std::byte> bytes = bytes_of(value);
    CHECK(bytes.size() == sizeof(value));
    CHECK(static_cast<const void*>(bytes.data()) == &value);
}

TEST_CASE("zeros go to all of a range and to nothing beside it", "[core][physical_memory]")
{
    for (const std::size_t size : {0u, 1u, 255u, 256u, 257u, 700u}) {
        CAPTURE(size);
        lobos::test::byte_memory memory{1024};
        memory.write(0_pa, lobos::test::bytes(1024, std::byte{0xa5}));
        store_zeros(memory, 3_pa, byte_count::of(size));
        for (std::size_t at = 0; at < 1024; ++at) {
            const bool inside = at >= 3 && at < 3 + size;
            REQUIRE(load<std::byte>(memory, phys_addr::at(at)) == (inside ? std::byte{0} : std::byte{0xa5}));
        }
    }
}
