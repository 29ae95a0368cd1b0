// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// The x86 movers, run natively by the overlay's own step, against a model of memmove.

#include <lobos/machine/copy.hpp>

#include <csetjmp>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <tests/catch.hpp>
#include <tests/support/effort.hpp>

using namespace lobos;
using namespace lobos::machine;

namespace {

using address = std::uintptr_t;

sigjmp_buf without_the_instruction;

/// Whether movdir64b works, whatever CPUID says: a hypervisor may hide the bit, and then the test can still be made.
struct works {
    static bool ask()
    {
        static const bool answer = try_it();
        return answer;
    }

private:
    static bool try_it()
    {
        alignas(64) static std::uint8_t to[64];
        alignas(64) static const std::uint8_t from[64] = {1, 2, 3};
        const auto before = std::signal(SIGILL, [](int) { siglongjmp(without_the_instruction, 1); });
        const bool worked = sigsetjmp(without_the_instruction, 1) == 0;
        if (worked)
            direct_line::move(reinterpret_cast<address>(to), reinterpret_cast<address>(from));
        std::signal(SIGILL, before);
        return worked && std::memcmp(to, from, sizeof to) == 0;
    }
};
struct no {
    static bool ask() { return false; }
};

/// Counts what movdir64b is not used for.
struct counted_words : words {
    static inline int copies = 0;
    static void copy(address destination, address source, address size, bool from_the_end)
    {
        ++copies;
        words::copy(destination, source, size, from_the_end);
    }
};

/// `room` bytes at a page's start, a guard on both sides, and what they ought to be.
template <class Mover> class workshop {
public:
    static constexpr address guard = 256;

    explicit workshop(address room) : size_{guard + room + guard}, wanted_(size_)
    {
        memory_ = static_cast<std::uint8_t*>(std::aligned_alloc(4096, (size_ + 4095) & ~address{4095}));
        for (address i = 0; i < size_; ++i)
            memory_[i] = pattern(i);
        std::memcpy(wanted_.data(), memory_, size_);
    }
    ~workshop() { std::free(memory_); }
    workshop(const workshop&) = delete;
    workshop& operator=(const workshop&) = delete;

    /// One step; offsets into the room. What it left has to be what memmove leaves, all around it too.
    void step(address destination, address source, address size)
    {
        const auto base = reinterpret_cast<address>(memory_) + guard;
        overlay::run_step(memory, base + destination, destination - source, size, address{0}, address{0});
        if (source == destination)
            std::memset(&wanted_[guard + destination], 0, size);
        else
            std::memmove(&wanted_[guard + destination], &wanted_[guard + source], size);
        // A little around it suffices: the whole is compared at the end.
        const address low = destination + guard - 128;
        if (std::memcmp(memory_ + low, &wanted_[low], size + 256) != 0) {
            CAPTURE(destination, source, size);
            FAIL("not what memmove does");
        }
        // Afresh, or all would be alike soon.
        for (address i = guard + destination; i < guard + destination + size; ++i)
            wanted_[i] = memory_[i] = pattern(i);
    }
    void finish()
    {
        if (std::memcmp(memory_, wanted_.data(), size_) != 0)
            FAIL("changed something far from its destination");
    }

    identity_memory<Mover> memory;

private:
    static std::uint8_t pattern(address i) { return static_cast<std::uint8_t>(i * 7 + (i >> 8) * 3 + (i >> 16) + 1); }
    address size_;
    std::uint8_t* memory_;
    std::vector<std::uint8_t> wanted_;
};

using direct = direct_stores<rep_movs, works>;
using direct_never = direct_stores<words, no>;

} // namespace

#define EVERY_MOVER rep_movs, words, non_temporal, general_registers, direct, direct_never, direct_stores<>

TEMPLATE_TEST_CASE("every alignment and small size", "[machine][exhaustive]", EVERY_MOVER)
{
    workshop<TestType> shop{1024};
    for (address destination = 0; destination < 64; ++destination)
        for (address source = 0; source < 64; ++source)
            for (const address size : {0u, 1u, 2u, 3u, 4u, 5u, 7u, 8u, 9u, 15u, 16u, 17u, 31u, 32u, 33u, 47u, 63u, 64u,
                     65u, 71u, 79u, 80u, 95u, 127u, 128u, 129u, 191u, 192u, 193u, 200u})
                shop.step(512 + destination, source, size);
    for (address destination = 0; destination < 64; ++destination)
        for (address size = 0; size <= 260; ++size)
            shop.step(destination, destination, size);
    shop.finish();
}

TEMPLATE_TEST_CASE("every small overlap, both ways", "[machine][exhaustive]", EVERY_MOVER)
{
    workshop<TestType> shop{1024};
    for (address distance = 0; distance <= 130; ++distance)
        for (address offset = 0; offset < 64; ++offset)
            for (const address size : {1u, 7u, 8u, 15u, 16u, 17u, 63u, 64u, 65u, 127u, 128u, 129u, 200u, 321u}) {
                shop.step(256 + offset + distance, 256 + offset, size);
                shop.step(256 + offset, 256 + offset + distance, size);
            }
    shop.finish();
}

TEMPLATE_TEST_CASE("overlaps and sizes where movers change their way", "[machine]", EVERY_MOVER)
{
    constexpr address room = address{1} << 20;
    workshop<TestType> shop{room};
    const unsigned step = test::stride(5u);
    unsigned chosen = 0;
    for (const address distance : {1u, 63u, 64u, 1023u, 1024u, 1025u, 4095u, 4096u, 4097u, 4111u, 0x7fffu, 0x8000u,
             0x8001u, 0x803fu, 0x8040u, 0x10000u, 0x3ffffu, 0x40001u})
        for (const address size : {4096u, 4097u, 0x8000u, 0x8001u, 0x9013u, 0x1fff1u, 0x3ffffu, 0x40000u, 0x41011u})
            for (const address offset : {0u, 1u, 31u, 63u}) {
                if (chosen++ % step != 0)
                    continue;
                shop.step(offset + distance, offset, size);
                shop.step(offset, offset + distance, size);
            }
    shop.step(3, 3, 0x81234);
    shop.finish();
}

TEMPLATE_TEST_CASE("random copies", "[machine]", EVERY_MOVER)
{
    constexpr address room = 0x30000;
    workshop<TestType> shop{room};
    std::uint64_t state = 0x9e37'79b9'7f4a'7c15;
    const auto below = [&](address limit) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return static_cast<address>((state >> 16) % limit);
    };
    for (int i = 0; i < test::effort(2'000, 20'000, 20'000); ++i) {
        const address size = below(address{1} << (1 + below(17)));
        const address source = below(room - size);
        const address near = source + below(513); // about half of them lie close by
        const address destination =
            below(2) == 0 || near < 256 || near - 256 > room - size ? below(room - size) : near - 256;
        shop.step(destination, below(8) == 0 ? destination : source, size); // a fill, now and then
    }
    shop.finish();
}

TEST_CASE("movdir64b moves what it is there for, and nothing where it is not", "[machine]")
{
    const auto others = [](auto& shop, address destination, address source, address size) {
        counted_words::copies = 0;
        shop.step(destination, source, size);
        return counted_words::copies;
    };
    if (works::ask()) {
        workshop<direct_stores<counted_words, works>> with{4096};
        CHECK(others(with, 0, 2048, 1024) == 0);
        CHECK(others(with, 64, 0, 1024) == 0);
    }
    workshop<direct_stores<counted_words, no>> without{4096};
    CHECK(others(without, 0, 2048, 1024) == 1);
    CHECK(others(without, 64, 0, 1024) == 1);
    workshop<direct_stores<counted_words>> as_it_is{4096};
    CHECK(others(as_it_is, 0, 2048, 1024) == (has_movdir64b::ask() ? 0 : 1));
}
