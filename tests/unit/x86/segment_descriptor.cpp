// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/segment_descriptor.hpp>

#include <vector>

#include <tests/catch.hpp>

using namespace lobos;
using namespace lobos::x86;

namespace {

using enum segment_descriptor::type;

/// A descriptor taken apart byte by byte [intel/vol3 figure 3-8].
struct taken_apart {
    explicit taken_apart(std::uint64_t w)
    {
        const auto byte = [w](unsigned i) { return static_cast<std::uint32_t>(w >> 8 * i & 0xff); };
        base = byte(2) | byte(3) << 8 | byte(4) << 16 | byte(7) << 24;
        limit = byte(0) | byte(1) << 8 | (byte(6) & 0xf) << 16;
        type = byte(5) & 0xf;
        code_or_data = byte(5) >> 4 & 1;
        dpl = byte(5) >> 5 & 3;
        present = byte(5) >> 7;
        available = byte(6) >> 4 & 1;
        long_mode = byte(6) >> 5 & 1;
        default_32 = byte(6) >> 6 & 1;
        granular = byte(6) >> 7;
    }
    std::uint32_t base, limit, type, code_or_data, dpl, present, available, long_mode, default_32, granular;
};

constexpr std::uint64_t linux_code = 0x00cf'9b00'0000'ffff; // Linux's own GDT_ENTRY(0xc09b, 0, 0xfffff)
constexpr std::uint64_t linux_data = 0x00cf'9300'0000'ffff;

} // namespace

TEST_CASE("each field of a descriptor is where the manual has it", "[x86][segment_descriptor]")
{
    const std::uint32_t bases[] = {0, 1, 0x1234'5678, 0xffff'ffff, 0x0100'0000, 0x00ff'ffff};
    const std::uint32_t limits[] = {0, 1, 0xffff, 0x1'0000, 0xfffff, 0xa'bcde};
    for (const std::uint32_t base : bases)
        for (const std::uint32_t limit : limits)
            for (const auto what : {code_execute_read, data_read_write}) {
                const taken_apart d{segment_word::encode({base, limit, what})};
                CHECK(d.base == base);
                CHECK(d.limit == limit);
                CHECK(d.type == (what == code_execute_read ? 11 : 3)); // accessed, not conforming, not expanding down
                CHECK(d.code_or_data == 1);
                CHECK(d.dpl == 0);
                CHECK(d.present == 1);
                CHECK(d.available == 0);
                CHECK(d.long_mode == 0);
                CHECK(d.default_32 == 1);
                CHECK(d.granular == 1);
            }
}

TEST_CASE("only what a selector can be loaded for gets its accessed bit", "[x86][segment_descriptor]")
{
    for (unsigned access_byte = 0; access_byte < 256; ++access_byte) {
        const std::uint64_t w = 0x00cf'0000'0000'ffff | std::uint64_t{access_byte} << 40;
        const bool loadable = (access_byte & 0x80) != 0 && (access_byte & 0x10) != 0;
        CAPTURE(access_byte);
        CHECK(segment_word::with_accessed(w) == (loadable ? w | std::uint64_t{1} << 40 : w));
    }
    CHECK(segment_word::with_accessed(0) == 0);
    CHECK(
        segment_word::with_accessed(0x0000'8900'1000'0067) == 0x0000'8900'1000'0067); // a task's: busy is not accessed
    CHECK(segment_word::with_accessed(0x0000'8200'1000'0067) == 0x0000'8200'1000'0067); // a local table
}

TEST_CASE("flat is flat: any other bit makes it something else", "[x86][segment_descriptor]")
{
    CHECK(segment_word::is_flat(linux_code, code_execute_read));
    CHECK(segment_word::is_flat(linux_data, data_read_write));
    CHECK_FALSE(segment_word::is_flat(linux_code, data_read_write));
    CHECK_FALSE(segment_word::is_flat(linux_data, code_execute_read));
    for (unsigned bit = 0; bit < 64; ++bit) {
        CAPTURE(bit);
        CHECK_FALSE(segment_word::is_flat(linux_code ^ std::uint64_t{1} << bit, code_execute_read));
        CHECK_FALSE(segment_word::is_flat(linux_data ^ std::uint64_t{1} << bit, data_read_write));
    }
    CHECK_FALSE(segment_word::is_flat(0, data_read_write));
}

TEST_CASE("the flat table is what the boot protocol asks for", "[x86][segment_descriptor]")
{
    const auto table = flat_descriptor_table();
    const std::vector<std::uint64_t> expected{0, 0, linux_code, linux_data};
    CHECK(std::ranges::equal(table.words(), expected));
    CHECK(linux_code_selector == 0x10);
    CHECK(linux_data_selector == 0x18);
    CHECK(table.limit() == 31);
}

TEST_CASE(
    "a clone of a kernel's table presets accessed bits and leaves the system's alone", "[x86][segment_descriptor]")
{
    const std::uint64_t running[] = {0xdead, 0x00cf'9a00'0000'ffff, 0x00cf'9200'0000'ffff, 0x00cf'fa00'0000'ffff,
        0x0000'8b00'1000'0067, 0x0000'8200'2000'001f, 0};
    const std::uint64_t expected[] = {
        0, linux_code, linux_data, 0x00cf'fb00'0000'ffff, 0x0000'8b00'1000'0067, 0x0000'8200'2000'001f, 0};
    const auto table = clone_descriptor_table<segment_word, 8>({0x1000_va, sizeof running - 1},
        [&](virt_addr at) -> result<std::uint64_t> { return running[(at - 0x1000_va).raw() / 8]; });
    REQUIRE(table);
    CHECK(std::ranges::equal(table->words(), expected));
}
