// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause

#include <lobos/sim/memory.hpp>

#include <tests/catch.hpp>

using namespace lobos;
using namespace lobos::literals;

namespace {

constexpr std::array<std::byte, 6> six = {
    std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}, std::byte{5}, std::byte{6}};

} // namespace

TEST_CASE("simulated memory keeps what was written, across pages")
{
    sim::memory m;
    m.add_ram(phys_range::of(0x1000_pa, 8_KiB));
    m.write(0x1ffd_pa, six);
    std::array<std::byte, 6> read{};
    m.read(0x1ffd_pa, read);
    CHECK(read == six);
    CHECK(m.unwritten_reads() == 0);
    CHECK(m.peek(0x2002_pa) == std::byte{6});
    CHECK_FALSE(m.peek(0x2003_pa));

    std::vector<std::uint64_t> written;
    m.for_each_written([&](phys_addr at, std::byte) { written.push_back(at.raw()); });
    CHECK(written == std::vector<std::uint64_t>{0x1ffd, 0x1ffe, 0x1fff, 0x2000, 0x2001, 0x2002});
}

TEST_CASE("reading what was never written gives a pattern and is counted")
{
    sim::memory m;
    m.add_ram(phys_range::of(0_pa, 8_KiB));
    m.write(0x10_pa, std::span{six}.first(2));
    std::array<std::byte, 4> read{};
    m.read(0xf_pa, read);
    CHECK(read ==
        std::array<std::byte, 4>{sim::memory::never_written, std::byte{1}, std::byte{2}, sim::memory::never_written});
    CHECK(m.unwritten_reads() == 2);
    CHECK(m.first_unwritten_read() == 0xf_pa);
    CHECK_FALSE(m.peek(0x20_pa));
    CHECK(m.unwritten_reads() == 2); // peeking is not reading
}

TEST_CASE("what is not RAM cannot be touched, not by one byte")
{
    sim::memory m;
    m.add_ram(phys_range::of(0x1000_pa, 4_KiB));
    m.add_ram(phys_range::of(0x4000_pa, 4_KiB));
    std::array<std::byte, 6> read{};
    CHECK_THROWS_AS(m.read(0xfff_pa, read), sim::machine_error);
    CHECK_THROWS_AS(m.read(0x1ffb_pa, read), sim::machine_error);
    CHECK_THROWS_AS(m.write(0x3fff_pa, six), sim::machine_error);
    CHECK_THROWS_AS(m.write(phys_addr::at(~0ull), six), sim::machine_error);
    CHECK_NOTHROW(m.write(0x1ffa_pa, six));
    CHECK_NOTHROW(m.write(0x9000_pa, std::span<const std::byte>{}));
    try {
        m.write(0x5000_pa, six);
        FAIL("written outside of RAM");
    } catch (const sim::machine_error& e) {
        CHECK(e.address() == 0x5000);
    }
}

TEST_CASE("guarded memory is read, and written by nobody")
{
    sim::memory m;
    m.add_ram(phys_range::of(0_pa, 16_KiB));
    m.guard(phys_range::of(0x1000_pa, 4_KiB));
    CHECK_NOTHROW(m.write(0xffa_pa, six));
    CHECK_NOTHROW(m.write(0x2000_pa, six));
    CHECK_NOTHROW(m.write(0x1800_pa, std::span<const std::byte>{}));
    for (const phys_addr at : {0xffb_pa, 0x1fff_pa, 0x1800_pa})
        CHECK_THROWS_AS(m.write(at, six), sim::machine_error);
    CHECK_FALSE(m.peek(0xfff_pa) == six[4]); // nothing of it was written
    try {
        m.write(0xffb_pa, six);
    } catch (const sim::machine_error& e) {
        CHECK(e.address() == 0x1000);
    }
    std::array<std::byte, 6> read{};
    CHECK_NOTHROW(m.read(0x1800_pa, read));
    m.drop_guards();
    CHECK_NOTHROW(m.write(0x1800_pa, six));
}

TEST_CASE("what memory holds can be compared, and hashed, without reading it")
{
    sim::memory m;
    m.add_ram(phys_range::of(0_pa, 16_KiB));
    m.write(0xffd_pa, six);
    CHECK(m.holds(0xffd_pa, six));
    CHECK_FALSE(m.holds(0xffc_pa, six));
    CHECK_FALSE(m.holds(0x2000_pa, six));

    const auto hash = [&](phys_addr at, byte_count size) {
        sim::state_hash h;
        m.add_to(h, phys_range::of(at, size));
        return h.value();
    };
    const auto before = hash(0x800_pa, 8_KiB);
    const auto elsewhere = hash(0x2800_pa, 4_KiB);
    m.write(0x2000_pa, std::array{std::byte{0}}); // a page never touched
    CHECK(hash(0x800_pa, 8_KiB) != before);
    const auto zero = hash(0x2000_pa, 2_bytes);
    m.write(0x2001_pa, std::array{std::byte{0}}); // written is not the same as never written
    CHECK(hash(0x2000_pa, 2_bytes) != zero);
    m.write(0x2001_pa, std::array{std::byte{1}});
    CHECK(hash(0x2000_pa, 1_bytes) != zero);
    CHECK(hash(0x2800_pa, 4_KiB) == elsewhere);
    CHECK(m.unwritten_reads() == 0);
}
