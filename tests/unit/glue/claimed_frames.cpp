// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/glue/claimed_frames.hpp>
#include <lobos/sim/x86_kernel.hpp>

#include <tests/catch.hpp>
#include <tests/contract.hpp>

using namespace lobos;
using namespace lobos::literals;

namespace {

constexpr phys_addr free_at = 0x40'0000_pa; ///< nobody's, as long as nothing else takes it

/// A kernel, an image of it, and room for the answer.
struct bench {
    sim::x86_kernel kernel{8_MiB, 7};
    std::vector<std::byte> contents;
    sim::staged_bytes file;
    std::vector<segment> image;
    std::vector<segment> staged;
    std::vector<extent> extents = std::vector<extent>(100);
    std::vector<extent> list = std::vector<extent>(100);

    explicit bench(std::size_t size = 0x6000)
    {
        for (std::size_t i = 0; i < size; ++i)
            contents.push_back(static_cast<std::byte>(i * 7 + i / 251));
        file = kernel.stage(contents);
    }
    bench& copy(phys_addr to, byte_count size, byte_count offset = {})
    {
        image.push_back({.destination = phys_range::of(to, size), .file = file.extents, .file_offset = offset});
        return *this;
    }
    bench& other(phys_addr to, byte_count size, content what)
    {
        image.push_back({.destination = phys_range::of(to, size), .what = what});
        return *this;
    }
    result<void> stage(claimed_frames<sim::x86_kernel>& frames)
    {
        staged.resize(image.size());
        frames.keep_list_in(list);
        return frames.stage(image, staged, extents);
    }

    /// Every byte of the staged image, from where it says that it is.
    void check_content()
    {
        REQUIRE(staged.size() == image.size());
        for (std::size_t i = 0; i < image.size(); ++i) {
            CAPTURE(i);
            CHECK(staged[i].destination == image[i].destination);
            if (image[i].what != content::copy && image[i].what != content::zero) {
                CHECK(staged[i].what == image[i].what);
                continue;
            }
            CHECK(staged[i].what == content::copy);
            std::vector<std::byte> bytes(static_cast<std::size_t>(image[i].destination.size().raw()));
            REQUIRE(staged_file{kernel.memory(), staged[i].file}.read(0, bytes));
            for (std::size_t b = 0; b < bytes.size(); ++b) {
                const auto wanted = image[i].what == content::zero
                    ? std::byte{0}
                    : contents[static_cast<std::size_t>(image[i].file_offset.raw()) + b];
                if (bytes[b] != wanted) {
                    CAPTURE(b);
                    FAIL("another byte");
                }
            }
        }
    }
    byte_count in_place() const
    {
        byte_count total;
        for (const segment& s : staged) {
            phys_addr at = s.destination.first();
            for (const extent& e : s.file) {
                total += e.at == at ? e.size : byte_count{};
                at += e.size;
            }
        }
        return total;
    }
};

using frames_of = claimed_frames<sim::x86_kernel>;

} // namespace

TEST_CASE("what nobody uses is filled now, and given back when the exec is dropped")
{
    bench b;
    b.copy(free_at, 0x5123_bytes, 0x11_bytes).other(free_at + 0x6000_bytes, 0x2001_bytes, content::zero);
    b.other(free_at + 0x10'000_bytes, 0x1000_bytes, content::scratch);
    const std::size_t pages = b.kernel.pages_taken();
    {
        frames_of frames{b.kernel};
        REQUIRE(b.stage(frames));
        b.check_content();
        CHECK(b.in_place() == 0x5123_bytes + 0x2001_bytes);
        CHECK(b.kernel.pages_taken() == pages + 6 + 3);
        CHECK(std::ranges::equal(frames.frames(), std::vector<extent>{{free_at, 0x9000_bytes}})); // one range of frames
        CHECK(b.staged[0].file.size() == 1);

        frames_of moved{std::move(frames)};
        CHECK(b.kernel.pages_taken() == pages + 9);
    }
    CHECK(b.kernel.pages_taken() == pages);
    CHECK(b.kernel.wrong_frees == 0);
}

TEST_CASE("what is in use stays where it is, byte for byte")
{
    bench b;
    std::vector<phys_addr> in_use;
    for (const std::uint64_t frame : {1u, 2u, 4u}) {
        in_use.push_back(free_at + byte_count::of(frame * 0x1000));
        REQUIRE(b.kernel.allocate_page_at(in_use.back()));
    }
    store(b.kernel.memory(), in_use[0], std::uint64_t{0x1234});
    b.copy(free_at + 0x800_bytes, 0x4800_bytes, 0x123_bytes);
    frames_of frames{b.kernel};
    REQUIRE(b.stage(frames));
    b.check_content();
    CHECK(b.in_place() == 0x800_bytes + 0x1000_bytes); // frames 0 and 3
    CHECK(load<std::uint64_t>(b.kernel.memory(), in_use[0]) == 0x1234);
    CHECK(frames.frames().size() == 2);
}

TEST_CASE("a frame that two segments share is claimed once")
{
    bench b;
    b.other(free_at + 0x1800_bytes, 0x1000_bytes, content::zero)
        .copy(free_at + 0x400_bytes, 0x1400_bytes)
        .copy(free_at + 0x2800_bytes, 0x10_bytes, 0x2000_bytes);
    const std::size_t pages = b.kernel.pages_taken();
    {
        frames_of frames{b.kernel};
        REQUIRE(b.stage(frames));
        b.check_content();
        CHECK(b.in_place() == 0x2410_bytes);
        CHECK(b.kernel.pages_taken() == pages + 3);
    }
    CHECK(b.kernel.wrong_frees == 0);
}

TEST_CASE("the file's own frames are in use, and a surviving region is nobody's to give")
{
    bench b;
    b.copy(b.file.extents[2].at, 0x1000_bytes);
    const phys_range log = phys_range::of(free_at, 0x1000_bytes);
    REQUIRE(b.kernel.map().add(log, region_kind::surviving));
    b.copy(free_at, 0x2000_bytes, 0x1000_bytes);
    frames_of frames{b.kernel};
    REQUIRE(b.stage(frames));
    b.check_content();
    CHECK(b.in_place() == 0x1000_bytes);
}

TEST_CASE("a kernel that cannot tell who uses a page leaves the image as it is")
{
    bench b;
    b.kernel.injected.fail_every(sim::glue_call::allocate_page_at);
    b.copy(free_at, 0x4001_bytes, 0xfff_bytes).other(free_at + 0x8000_bytes, 0x1000_bytes, content::zero);
    frames_of frames{b.kernel};
    REQUIRE(b.stage(frames));
    b.check_content();
    CHECK(b.in_place() == 0_bytes);
    CHECK(frames.frames().empty());
}

TEST_CASE("holes in a file are zeros, in place or not")
{
    bench b;
    REQUIRE(b.kernel.allocate_page_at(free_at + 0x1000_bytes));
    const std::vector<extent> holed{
        b.file.extents[0], extent::zeros(0x1000_bytes), b.file.extents[2], extent::zeros(0x800_bytes)};
    b.image.push_back({.destination = phys_range::of(free_at, 0x3800_bytes), .file = holed});
    std::fill(b.contents.begin() + 0x1000, b.contents.begin() + 0x2000, std::byte{0});
    std::fill(b.contents.begin() + 0x3000, b.contents.begin() + 0x3800, std::byte{0});
    frames_of frames{b.kernel};
    REQUIRE(b.stage(frames));
    b.check_content();
    CHECK(b.staged[0].file[1].is_zeros());
    CHECK(b.in_place() == 0x2800_bytes);
}

TEST_CASE("too little room is said with how much, and nothing is kept")
{
    bench b;
    for (std::uint64_t i = 0; i < 6; i += 2)
        REQUIRE(b.kernel.allocate_page_at(free_at + byte_count::of(i * 0x1000)));
    b.copy(free_at, 0x6000_bytes);
    const std::size_t pages = b.kernel.pages_taken();
    for (std::size_t room = 0; room < 6; ++room) {
        CAPTURE(room);
        b.extents.resize(room);
        b.list.resize(3);
        {
            frames_of frames{b.kernel};
            const auto refused = b.stage(frames);
            REQUIRE_FALSE(refused);
            CHECK(refused.error() == fault{fault_code::no_space, stage::planning, 6});
        }
        CHECK(b.kernel.pages_taken() == pages);
    }
    b.extents.resize(20);
    b.list.resize(2);
    {
        frames_of frames{b.kernel};
        CHECK(b.stage(frames).error() == fault{fault_code::no_space, stage::planning, 6});
        CHECK(b.kernel.pages_taken() == pages + 2); // those that the list can name
        CHECK_THROWS_AS(frames.keep_list_in(b.list), contract_error);
    }
    CHECK(b.kernel.pages_taken() == pages);
}

TEST_CASE("what there is no room for is counted in ranges, however long they are")
{
    bench b;
    for (const std::uint64_t frame : {1u, 3u})
        REQUIRE(b.kernel.allocate_page_at(free_at + byte_count::of(frame * 0x1000)));
    b.other(free_at, byte_count::of(64 * 0x1000), content::zero);
    SECTION("in the list")
    {
        b.list.resize(1);
        frames_of frames{b.kernel};
        CHECK(b.stage(frames).error() == fault{fault_code::no_space, stage::planning, 3}); // frames 0, 2, and from 4 on
    }
    SECTION("as extents")
    {
        b.extents.resize(1);
        frames_of frames{b.kernel};
        CHECK(b.stage(frames).error() == fault{fault_code::no_space, stage::planning, 5}); // and what is between them
    }
}

TEST_CASE("a file that is too short, or wraps, is refused")
{
    bench b;
    b.copy(free_at, 0x6001_bytes);
    {
        frames_of frames{b.kernel};
        CHECK(b.stage(frames).error() == fault{fault_code::source_size_mismatch, stage::planning, free_at.raw()});
    }
    const std::vector<extent> wraps{{phys_addr::at(~0ull - 0xf), 0x20_bytes}};
    b.image = {{.destination = phys_range::of(free_at, 0x20_bytes), .file = wraps}};
    frames_of frames{b.kernel};
    CHECK(b.stage(frames).error() == fault{fault_code::bad_range, stage::planning, ~0ull - 0xf});
}
