// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/alpha/hwrpb.hpp>

#include <tests/catch.hpp>
#include <tests/support/hwrpb_builder.hpp>

using namespace lobos;
using namespace lobos::alpha;
using namespace lobos::test;
using enum fault_code;

namespace {

constexpr std::uint64_t at = console_block::at;
constexpr std::uint64_t reach = 0x10'0000;
constexpr std::size_t third_slot = console_block::slots + 2 * console_block::slot_size;

fault loading(fault_code code, std::uint64_t offset)
{
    return {code, stage::loading, at + offset};
}

fault opened(console_block block)
{
    auto memory = block.in_memory();
    return fault_of(hwrpb_reader<byte_memory>::open(memory, phys_addr::at(at)));
}

/// What becomes of `ask` when it is given a reader of this block.
template <class Ask> auto asked(console_block block, Ask ask)
{
    auto memory = block.in_memory();
    const auto reader = hwrpb_reader<byte_memory>::open(memory, phys_addr::at(at));
    REQUIRE(reader);
    return ask(*reader);
}
result<hwrpb_slot> slot(const console_block& block, std::uint64_t n)
{
    return asked(block, [n](const auto& reader) { return reader.slot(n); });
}
result<std::uint64_t> count(const console_block& block)
{
    return asked(block, [](const auto& reader) { return reader.cluster_count(); });
}

} // namespace

TEST_CASE("a console's block is read", "[alpha][hwrpb]")
{
    console_block block;
    block.set(32, 3).set(third_slot + 144, 0x55).set(third_slot + 160, 7);
    auto memory = block.in_memory();
    const auto reader = hwrpb_reader<byte_memory>::open(memory, phys_addr::at(at));
    REQUIRE(reader);
    CHECK(reader->address() == phys_addr::at(at));
    const hwrpb& fixed = reader->fixed();
    CHECK(fixed.primary_cpu == 3);
    CHECK(fixed.physical_bits == 40);
    CHECK(fixed.largest_asn == 255);
    CHECK(fixed.system_type == 34);
    CHECK(fixed.system_variation == 5 << 10);
    CHECK(fixed.clock_frequency == 1024 * 4096);
    CHECK(fixed.cycle_frequency == 250'000'000);
    CHECK(fixed.vptb == 0xffff'fffe'0000'0000);
    CHECK(fixed.slot_count == 4);

    const auto third = reader->slot(2);
    REQUIRE(third);
    CHECK(third->flags == 0x1cc);
    CHECK(third->scratch_size == 0x55);
    CHECK(third->scratch == 7);
    CHECK(reader->slot_address(2) == phys_addr::at(at + third_slot));

    REQUIRE(reader->cluster_count() == 2u);
    CHECK(reader->cluster(0).pages == 15);
    CHECK(reader->cluster(0).usage == memory_cluster::of_console);
    CHECK(reader->cluster(1).first_page == 15);
    CHECK(reader->cluster(1).pages == 32768 - 15);
    CHECK(reader->cluster(1).usage == 0);
    CHECK(reader->cluster_address(1) == phys_addr::at(at + console_block::clusters + 56));
}

TEST_CASE("what is no block, or another's, is not opened", "[alpha][hwrpb]")
{
    CHECK(opened(console_block{}) == no_fault);
    for (const std::uint64_t identifier : {0x42'5052'5748ull, 0x4857'5250'4200'0000ull}) { // DEC's and QEMU's
        CAPTURE(identifier);
        CHECK(opened(console_block{}.set(8, identifier)) == no_fault);
    }
    for (const std::uint64_t identifier :
        {0ull, 0x42'5052'5749ull, 0x2042'5052'5748ull, 0x4857'5250'4200'0001ull, 0x4857'5250'4300'0000ull}) {
        CAPTURE(identifier);
        CHECK(opened(console_block{}.set(8, identifier)) == loading(unknown_format, 8));
    }
    CHECK(opened(console_block{}.set(0, at + 0x2000)) == loading(bad_header, 0));
    for (const std::uint64_t size : {0u, 4096u, 8193u, 16384u}) {
        CAPTURE(size);
        CHECK(opened(console_block{}.set(40, size)) == loading(unsupported, 40));
    }

    byte_memory nowhere{0};
    for (const std::uint64_t where : {1u, 8u, 0x1000u, 0x1'2008u}) {
        CAPTURE(where);
        CHECK(fault_of(hwrpb_reader<byte_memory>::open(nowhere, phys_addr::at(where))) ==
            fault{misaligned, stage::loading, where});
    }
    for (const std::uint64_t where : {0xffff'ffff'ffff'e000ull, 0xffff'ffff'fff0'0000ull}) {
        CAPTURE(where);
        CHECK(fault_of(hwrpb_reader<byte_memory>::open(nowhere, phys_addr::at(where))) ==
            fault{bad_range, stage::loading, where});
    }
}

TEST_CASE("the sum is of all before it and of nothing behind", "[alpha][hwrpb]")
{
    for (std::size_t offset = 0; offset < 320; offset += 8) {
        CAPTURE(offset);
        console_block block;
        block.in_memory(); // which sums
        block.summed = false;
        block.set(offset, peek(block.block, offset, 8) ^ 1ull << 40);
        const fault found = opened(block);
        if (offset == 0 || offset == 8)
            CHECK(found == loading(offset == 0 ? bad_header : unknown_format, offset));
        else
            CHECK(found == (offset <= 288 ? loading(bad_header, 288) : no_fault));
    }
}

TEST_CASE("slots are believed in nothing", "[alpha][hwrpb]")
{
    constexpr std::uint64_t smallest = sizeof(hwrpb_slot);
    const struct {
        std::size_t field;
        std::uint64_t value;
        std::uint64_t n;
        fault wanted;
    } cases[] = {
        {144, 4, 3, no_fault},
        {144, 4, 4, loading(bad_header, 144)},
        {144, 0, 0, loading(bad_header, 144)},
        {144, ~0ull, ~0ull, loading(bad_header, 144)},
        {144, ~0ull, ~0ull - 1, loading(bad_header, 160)},
        {144, ~0ull, (reach - 320 - smallest) / console_block::slot_size, no_fault},
        {144, ~0ull, (reach - 320 - smallest) / console_block::slot_size + 1, loading(bad_header, 160)},
        {152, 0, 0, loading(bad_header, 152)},
        {152, smallest, 3, no_fault},
        {152, smallest - 8, 0, loading(bad_header, 152)},
        {152, 628, 0, loading(bad_header, 152)},
        {152, reach + 8, 0, loading(bad_header, 152)},
        {152, reach, 0, no_fault},
        {152, reach, 1, loading(bad_header, 160)},
        {152, ~7ull, 3, loading(bad_header, 152)},
        {160, 0, 0, loading(bad_header, 160)},
        {160, 312, 0, loading(bad_header, 160)},
        {160, 324, 0, loading(bad_header, 160)},
        {160, reach - smallest, 0, no_fault},
        {160, reach - smallest + 8, 0, loading(bad_header, 160)},
        {160, reach - smallest, 1, loading(bad_header, 160)},
        {160, ~7ull, 0, loading(bad_header, 160)},
    };
    for (const auto& c : cases) {
        CAPTURE(c.field, c.value, c.n);
        CHECK(fault_of(slot(console_block{}.set(c.field, c.value), c.n)) == c.wanted);
    }
}

TEST_CASE("descriptors of memory are believed in nothing", "[alpha][hwrpb]")
{
    constexpr std::size_t memory = console_block::memory;
    constexpr std::uint64_t most = (reach - memory - 24) / 56;
    const struct {
        std::size_t field;
        std::uint64_t value;
        fault wanted;
    } cases[] = {
        {200, 0, loading(bad_header, 200)},
        {200, 312, loading(bad_header, 200)},
        {200, memory + 4, loading(bad_header, 200)},
        {200, reach - 24, no_fault}, // of no clusters
        {200, reach - 16, loading(bad_header, 200)},
        {200, ~7ull, loading(bad_header, 200)},
        {memory + 16, 0, no_fault},
        {memory + 16, most, no_fault},
        {memory + 16, most + 1, loading(bad_header, memory + 16)},
        {memory + 16, reach / 56 + 1, loading(bad_header, memory + 16)},
        {memory + 16, ~0ull / 56 + 1, loading(bad_header, memory + 16)},
        {memory + 16, ~0ull, loading(bad_header, memory + 16)},
        {memory, 1, loading(bad_header, memory)},
    };
    for (const auto& c : cases) {
        CAPTURE(c.field, c.value);
        CHECK(fault_of(count(console_block{}.set(c.field, c.value))) == c.wanted);
    }
}

TEST_CASE("a console that sums its descriptors is held to it", "[alpha][hwrpb]")
{
    console_block block;
    block.memory_sum = true;
    block.in_memory(); // which sums
    block.memory_sum = false;
    CHECK(count(block) == 2u);
    for (const std::size_t offset : {8u, 16u, 24u, 72u, 128u}) {
        CAPTURE(offset);
        console_block changed = block;
        changed.set(console_block::memory + offset, peek(block.block, console_block::memory + offset, 8) ^ 1);
        CHECK(fault_of(count(changed)) == loading(bad_header, console_block::memory));
    }
    block.set(console_block::clusters + 2 * 56, 1); // behind the last
    CHECK(count(block) == 2u);
}
