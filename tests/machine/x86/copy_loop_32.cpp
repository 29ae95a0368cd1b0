// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// The copy loop as checked-in bytes, called as a 32-bit kernel's overlay would be, against a byte-exact model. Only a
// 32-bit test can call it.

#include <lobos/machine/copy_loop_32.hpp>

#include <lobos/plan/program.hpp>

#include <tests/catch.hpp>

#if defined(__i386__)

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <vector>

#include <sys/mman.h>

using namespace lobos;

namespace {

asm(".pushsection .rodata\n"
    "copy_loop_32_first: " LOBOS_COPY_LOOP_32_BYTES "\n"
    "copy_loop_32_end:\n\t"
    ".popsection");
extern "C" const unsigned char copy_loop_32_first[];
extern "C" const unsigned char copy_loop_32_end[];

using address = std::uint32_t;

template <class T> std::uint64_t address_of(const T* at)
{
    return reinterpret_cast<std::uintptr_t>(at);
}

/// The bytes, executable, at an odd place: nothing but the distance within them may matter. A trap lies around them.
auto loop()
{
    static void* const place = [] {
        void* const pages = mmap(nullptr, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pages == MAP_FAILED)
            throw std::runtime_error{"no memory that can be executed"};
        std::memset(pages, 0xcc, 8192);
        void* const at = static_cast<char*>(pages) + 0xffd;
        std::memcpy(at, copy_loop_32_first, LOBOS_COPY_LOOP_32_SIZE);
        return at;
    }();
    return reinterpret_cast<__attribute__((cdecl)) void (*)(address)>(place);
}

/// Memory, a program about it, and what has to come of it.
class bench {
public:
    explicit bench(std::size_t size) : memory_(size + 2 * guard), wanted_(memory_.size()) { fill(); }

    void fill()
    {
        for (std::size_t i = 0; i < memory_.size(); ++i)
            wanted_[i] = memory_[i] = static_cast<std::uint8_t>(i * 7 + (i >> 8) * 3 + (i >> 16) + 1);
    }
    void skip(std::size_t first, std::size_t last)
    {
        program.skips[program.skip_count++] = {address_of(at(first)), address_of(at(last))};
    }
    void copy(std::size_t destination, std::size_t source, std::size_t size)
    {
        steps.push_back({address_of(at(destination)), address_of(at(source)), size});
        const std::vector<std::uint8_t> before = wanted_;
        for (std::size_t i = 0; i < size; ++i)
            if (!skipped(destination + i))
                wanted_[guard + destination + i] = before[guard + source + i];
    }
    void zeros(std::size_t destination, std::size_t size)
    {
        steps.push_back({address_of(at(destination)), overlay_step::zeros, size});
        for (std::size_t i = 0; i < size; ++i)
            if (!skipped(destination + i))
                wanted_[guard + destination + i] = 0;
    }
    /// Runs the steps, so many in a page, and forgets them.
    bool run(std::size_t per_page = plan_page::capacity)
    {
        std::vector<plan_page> pages((steps.size() + per_page - 1) / per_page);
        program.first_page = pages.empty() ? plan_page::no_page : address_of(pages.data());
        for (std::size_t p = 0; p < pages.size(); ++p) {
            const std::size_t count = std::min(per_page, steps.size() - p * per_page);
            pages[p].next = p + 1 == pages.size() ? plan_page::no_page : address_of(&pages[p + 1]);
            pages[p].count = count;
            std::copy_n(&steps[p * per_page], count, pages[p].steps);
        }
        loop()(static_cast<address>(address_of(&program)));
        steps.clear();
        return memory_ == wanted_;
    }

    overlay_program program{plan_page::no_page, overlay_program::no_trail, 0, {}};
    std::vector<overlay_step> steps;

private:
    static constexpr std::size_t guard = 256;
    const std::uint8_t* at(std::size_t offset) const { return &memory_[guard + offset]; }
    bool skipped(std::size_t offset) const
    {
        return std::any_of(program.skips, program.skips + program.skip_count,
            [&](const skip_range& s) { return s.first <= address_of(at(offset)) && address_of(at(offset)) <= s.last; });
    }
    std::vector<std::uint8_t> memory_;
    std::vector<std::uint8_t> wanted_;
};

} // namespace

TEST_CASE("the 32-bit loop has as many bytes as it says", "[machine]")
{
    CHECK(copy_loop_32_end - copy_loop_32_first == LOBOS_COPY_LOOP_32_SIZE);
    CHECK(machine::copy_loop_32_size == LOBOS_COPY_LOOP_32_SIZE);
    CHECK(copy_loop_32_first[LOBOS_COPY_LOOP_32_SIZE - 1] == 0xc3); // ret
}

TEST_CASE("the 32-bit loop moves every small overlap at every alignment", "[machine]")
{
    bench b{256};
    for (std::size_t distance = 0; distance <= 20; ++distance)
        for (std::size_t offset = 0; offset < 8; ++offset)
            for (const std::size_t size : {0u, 1u, 3u, 4u, 7u, 8u, 9u, 15u, 16u, 17u, 63u, 65u, 130u}) {
                b.copy(offset + distance, offset, size);
                b.copy(offset, offset + distance, size);
                b.zeros(100 + offset, distance);
                CAPTURE(distance, offset, size);
                REQUIRE(b.run());
                b.fill();
            }
}

TEST_CASE("the 32-bit loop moves large overlaps in words and in pieces", "[machine]")
{
    bench b{0x50000};
    for (const std::size_t distance : {1u, 63u, 4096u, 0x7fffu, 0x8000u, 0x8001u, 0x10000u})
        for (const std::size_t size : {0x7fffu, 0x8000u, 0x8001u, 0x1fff1u, 0x3ffffu}) {
            b.copy(3 + distance, 3, size);
            CAPTURE(distance, size);
            REQUIRE(b.run());
            b.fill();
            b.copy(5, 5 + distance, size);
            REQUIRE(b.run());
            b.fill();
        }
    b.zeros(7, 0x41235);
    CHECK(b.run());
}

TEST_CASE("the 32-bit loop leaves what it is to skip", "[machine]")
{
    for (std::size_t first = 20; first < 60; first += 3)
        for (const std::size_t size : {1u, 2u, 8u, 13u}) {
            bench b{256};
            b.skip(0, 1);
            b.skip(first, first + size - 1);
            b.skip(first + size, first + size + 4); // its neighbour
            b.skip(90, 93);
            for (const std::size_t distance : {1u, 5u, 16u, 100u}) {
                b.copy(8 + distance, 8, 80);
                b.copy(0, distance, 100);
            }
            b.zeros(15, 79);
            CAPTURE(first, size);
            REQUIRE(b.run());
        }
}

TEST_CASE("the 32-bit loop skips in pieces too", "[machine]")
{
    bench b{0x30000};
    b.skip(0x9000, 0x9fff);
    b.skip(0x11fff, 0x1a001);
    b.skip(0x1ffff, 0x1ffff);
    b.copy(0x8001, 0, 0x20000);
    b.copy(0, 0x8001, 0x20000);
    CHECK(b.run());
}

TEST_CASE("the 32-bit loop follows the chain of pages and leaves its trail", "[machine]")
{
    const std::size_t per_page = GENERATE(1u, 2u, 5u, plan_page::capacity);
    bench b{1024};
    breadcrumb crumb{1, 77, 88, 0, 0};
    b.program.trail = address_of(&crumb);
    for (std::size_t i = 0; i < plan_page::capacity + 3; ++i)
        b.copy(1 + i, i, 2); // the order matters
    CHECK(b.run(per_page));
    CHECK(crumb.stage == 3);
    CHECK(crumb.ticks_per_ms == 77);
    CHECK(crumb.steps == plan_page::capacity + 3);
    CHECK(crumb.began != 0);
    CHECK(crumb.began < crumb.ended);

    crumb = {1, 77, 88, 0, 0};
    CHECK(b.run()); // no page
    CHECK(crumb.stage == 3);
    CHECK(crumb.steps == 88);
    CHECK(crumb.began < crumb.ended);

    crumb = {1, 77, 88, 99, 111};
    b.program.trail = overlay_program::no_trail;
    b.copy(0, 500, 100);
    CHECK(b.run());
    CHECK(crumb.stage == 1);
    CHECK(crumb.steps == 88);
    CHECK(crumb.began == 99);
    CHECK(crumb.ended == 111);
}

#endif
