// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/image/source.hpp>

#include <tests/catch.hpp>
#include <tests/support/byte_memory.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

bytes patterned(std::size_t size)
{
    bytes content(size);
    for (std::size_t i = 0; i < size; ++i)
        content[i] = pattern(i);
    return content;
}

} // namespace

TEST_CASE("every range of a scattered file reads as it was written")
{
    const bytes content = patterned(57);
    const scattered_file file{content, {1, 0, 3, 8, 0, 0, 5}};
    REQUIRE(file.size() == 57_bytes);
    REQUIRE(file.extents().size() > 20);
    for (std::size_t offset = 0; offset <= 57; ++offset)
        for (std::size_t size = 0; size <= 57 - offset; ++size) {
            bytes out(size + 1, std::byte{0xee});
            REQUIRE(file.read(offset, std::span{out}.first(size)));
            REQUIRE(std::equal(out.begin(), out.end() - 1, content.begin() + static_cast<std::ptrdiff_t>(offset)));
            REQUIRE(out.back() == std::byte{0xee});
        }
}

TEST_CASE("a read past the end is refused, however far")
{
    const scattered_file file{patterned(57), {10}};
    bytes out(58);
    const std::uint64_t most = ~std::uint64_t{0};
    const struct {
        std::uint64_t offset;
        std::size_t size;
    } refused[] = {{0, 58}, {56, 2}, {57, 1}, {58, 0}, {58, 1}, {most, 0}, {most, 1}, {most - 56, 57}, {1ull << 32, 1}};
    for (const auto& r : refused) {
        CAPTURE(r.offset, r.size);
        CHECK_FALSE(file.read(r.offset, std::span{out}.first(r.size)));
    }
    CHECK(file.read(57, {}));
}

TEST_CASE("a file without extents is empty")
{
    const scattered_file file{{}};
    std::byte out[1];
    CHECK(file.size() == 0_bytes);
    CHECK(file.extents().empty());
    CHECK(file.read(0, {}));
    CHECK_FALSE(file.read(0, out));
}

TEST_CASE("a value is read across extents")
{
    const scattered_file file{patterned(9), {3, 1}};
    std::uint32_t value = 0;
    REQUIRE(read_value(file, 2, value));
    CHECK(value == peek(patterned(9), 2, 4));
    CHECK(read_value(file, 5, value));
    CHECK_FALSE(read_value(file, 6, value));
}

TEST_CASE("holes read as zeros, and reads may come in any order")
{
    byte_memory memory{0x300};
    memory.write(0x100_pa, patterned(8));
    memory.write(0x200_pa, patterned(16));
    const std::vector<extent> extents{
        {0x100_pa, 8_bytes}, extent::zeros(5_bytes), {0x200_pa, 16_bytes}, extent::zeros(3_bytes)};
    const staged_file file{memory, extents};
    REQUIRE(file.size() == 32_bytes);
    bytes wanted = patterned(8);
    wanted.resize(13, std::byte{0});
    for (const std::byte b : patterned(16))
        wanted.push_back(b);
    wanted.resize(32, std::byte{0});
    for (const std::size_t offset : {0u, 30u, 7u, 9u, 8u, 13u, 0u, 31u, 12u}) {
        CAPTURE(offset);
        for (std::size_t size = 0; size <= 32 - offset; ++size) {
            bytes out(size, std::byte{0xee});
            REQUIRE(file.read(offset, out));
            CHECK(std::equal(out.begin(), out.end(), wanted.begin() + static_cast<std::ptrdiff_t>(offset)));
        }
    }
    static_assert(extent::zeros(4_bytes).is_zeros() && extent::zeros(4_bytes).is_sound());
    static_assert(!extent{phys_addr::at(~0ull - 3), 4_bytes}.is_sound());
    static_assert(extent{phys_addr::at(~0ull - 4), 4_bytes}.is_sound());
}
