// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/plan/image_bytes.hpp>

#include <tests/catch.hpp>
#include <tests/support/sound_plan.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

/// What will lie there, each byte asked for by itself, and how far that goes.
bytes one_by_one(const sound_plan::context_type& c, phys_addr at, std::size_t size)
{
    bytes found;
    for (std::size_t i = 0; i < size; ++i) {
        const auto b = rules::image_field<std::byte>(c, at + byte_count::of(i));
        if (!b)
            break;
        found.push_back(*b);
    }
    return found;
}

} // namespace

TEST_CASE("bytes of the image are read where they lie before the copy", "[plan][image_bytes]")
{
    sound_plan p;
    const auto c = p.context();
    // Two pages that change places, then pieces from elsewhere, then zeros.
    CHECK(rules::image_field<std::uint32_t>(c, sound_plan::kernel) == 0x0a00'1000u);
    CHECK(rules::image_field<std::uint32_t>(c, sound_plan::kernel + 4_KiB) == 0x0a00'0000u);
    CHECK(rules::image_field<std::uint32_t>(c, sound_plan::kernel + 8_KiB) == 0x0a00'2000u);
    CHECK(rules::image_field<std::uint32_t>(c, sound_plan::kernel + 12_KiB) == 0x5700'0800u);
    CHECK(rules::image_field<std::uint32_t>(c, sound_plan::kernel + 16_KiB) == 0x5700'3000u);
    CHECK(rules::image_field<std::uint32_t>(c, sound_plan::zeros_at) == 0u);
    // Over the ends of extents and of a segment.
    CHECK(rules::image_field<std::uint64_t>(c, sound_plan::kernel + 0xffc_bytes) == 0x0a00'0000'0a00'1ffcu);
    CHECK(rules::image_field<std::uint64_t>(c, sound_plan::zeros_at - 2_bytes) == 0x5700u);
    bytes all(28 << 10);
    REQUIRE(rules::image_bytes(c, sound_plan::kernel, all));
    CHECK(all == one_by_one(c, sound_plan::kernel, all.size()));
    CHECK(rules::image_bytes(c, sound_plan::scratch, std::span<std::byte>{}));
}

TEST_CASE("what is not copied and not zeroed has no bytes", "[plan][image_bytes]")
{
    sound_plan p;
    const auto c = p.context();
    CHECK_FALSE(rules::image_field<std::byte>(c, sound_plan::kernel - 1_bytes));
    CHECK_FALSE(rules::image_field<std::byte>(c, sound_plan::scratch));
    CHECK_FALSE(rules::image_field<std::byte>(c, sound_plan::kept));
    CHECK_FALSE(rules::image_field<std::uint16_t>(c, sound_plan::scratch - 1_bytes));
    CHECK_FALSE(rules::image_field<std::byte>(c, phys_addr::at(~std::uint64_t{0})));
    p.file.resize(6);
    p.file.back().size = 2_KiB;
    p.put_program();
    const auto shorter = p.context();
    CHECK(one_by_one(shorter, sound_plan::kernel, 20 << 10).size() == 18u << 10);
    CHECK(rules::image_field<std::byte>(shorter, sound_plan::kernel + 0x47ff_bytes));
    CHECK_FALSE(rules::image_field<std::byte>(shorter, sound_plan::kernel + 0x4800_bytes));
}

TEST_CASE("holes of a file are zeros", "[plan][image_bytes]")
{
    sound_plan p;
    p.file[1] = extent::zeros(4_KiB);
    p.put_program();
    const auto c = p.context();
    CHECK(rules::image_field<std::uint64_t>(c, sound_plan::kernel + 0xffc_bytes) == 0x0a00'0000'0000'0000u);
}
