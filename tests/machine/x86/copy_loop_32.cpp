// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
// The copy loop as checked-in bytes, called as a 32-bit kernel's overlay would be, against a byte-exact model. Only a
// 32-bit test can call it.

#include <lobos/machine/copy_loop_32.hpp>

#include <tests/catch.hpp>
#include <tests/support/loop_bench.hpp>

#include <cstring>
#include <stdexcept>

#include <sys/mman.h>

using namespace lobos;
using namespace lobos::test;

namespace {

asm(".pushsection .rodata\n"
    "copy_loop_32_first: " LOBOS_COPY_LOOP_32_BYTES "\n"
    "copy_loop_32_end:\n\t"
    ".popsection");
extern "C" const unsigned char copy_loop_32_first[];
extern "C" const unsigned char copy_loop_32_end[];

/// The bytes, executable, at an odd place: nothing but the distance within them may matter. A trap lies around them.
copy_loop loop()
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
    return reinterpret_cast<copy_loop>(place); // cdecl
}

} // namespace

TEST_CASE("the 32-bit loop has as many bytes as it says", "[machine]")
{
    CHECK(copy_loop_32_end - copy_loop_32_first == LOBOS_COPY_LOOP_32_SIZE);
    CHECK(machine::copy_loop_32_size == LOBOS_COPY_LOOP_32_SIZE);
    CHECK(copy_loop_32_first[LOBOS_COPY_LOOP_32_SIZE - 1] == 0xc3); // ret
}

TEST_CASE("the 32-bit loop moves every small overlap at every alignment", "[machine]")
{
    check_small_overlaps(loop());
}

TEST_CASE("the 32-bit loop moves large overlaps in words and in pieces", "[machine]")
{
    check_large_overlaps(loop());
}

TEST_CASE("the 32-bit loop follows the chain of pages and leaves its trail", "[machine]")
{
    check_chain_and_trail(loop(), GENERATE(1u, 2u, 5u, plan_page::capacity));
}
