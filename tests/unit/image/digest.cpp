// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/image/digest.hpp>

#include <lobos/core/crc32c.hpp>
#include <lobos/core/sha256.hpp>

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

template <class Sum> void sums_up_whole_files()
{
    // Around the size of the pieces that a file is read in.
    for (const std::size_t size : {0u, 1u, 511u, 512u, 513u, 1024u, 5000u}) {
        CAPTURE(size);
        const bytes content = patterned(size);
        const scattered_file file{content};
        const auto digest = digest_of<Sum>(file);
        REQUIRE(digest.has_value());
        CHECK(*digest == Sum{}.update(content).value());
        CHECK(expect_digest<Sum>(file, *digest).has_value());
    }
}

/// Every flipped bit of the file is found, the last one as well as the first.
template <class Sum> void finds_every_flipped_bit()
{
    const bytes good = patterned(521);
    const auto expected = Sum{}.update(good).value();
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
        bytes content = good;
        content[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
        REQUIRE(fault_of(expect_digest<Sum>(scattered_file{content}, expected)) ==
            fault{fault_code::digest_mismatch, stage::loading, 0});
    }
}

/// Can be read up to a bad place.
struct damaged_file {
    std::uint64_t bytes;
    std::uint64_t readable;
    byte_count size() const { return byte_count::of(bytes); }
    bool read(std::uint64_t offset, std::span<std::byte> out) const
    {
        std::fill(out.begin(), out.end(), std::byte{1});
        return offset + out.size() <= readable;
    }
    std::span<const extent> extents() const { return {}; }
};

} // namespace

TEST_CASE("a whole file is summed up, in whatever pieces it lies", "[image][digest]")
{
    sums_up_whole_files<crc32c>();
    sums_up_whole_files<sha256>();
}

TEST_CASE("a file that is not the one expected is refused", "[image][digest]")
{
    finds_every_flipped_bit<crc32c>();
    finds_every_flipped_bit<sha256>();
    const bytes content = patterned(700);
    const auto expected = sha256{}.update(content).value();
    const fault other{fault_code::digest_mismatch, stage::loading, 0};
    bytes shorter = content;
    shorter.pop_back();
    CHECK(fault_of(expect_digest<sha256>(scattered_file{shorter}, expected)) == other);
    bytes longer = content;
    longer.push_back({});
    CHECK(fault_of(expect_digest<sha256>(scattered_file{longer}, expected)) == other);
}

TEST_CASE("a file that cannot be read has no digest", "[image][digest]")
{
    const auto at = [](std::uint64_t offset) { return fault{fault_code::truncated_image, stage::loading, offset}; };
    CHECK(fault_of(digest_of<crc32c>(hollow_file{1})) == at(0));
    CHECK(fault_of(digest_of<crc32c>(damaged_file{2000, 1500})) == at(1024));
    CHECK(fault_of(expect_digest<sha256>(damaged_file{2000, 1999}, {})) == at(1536));
    CHECK(digest_of<crc32c>(damaged_file{2000, 2000}).has_value());
    CHECK(digest_of<crc32c>(hollow_file{0}) == crc32c{}.value());
}
