// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
#include <lobos/x86/told_memory.hpp>

#include <tests/catch.hpp>
#include <tests/support/told.hpp>

using namespace lobos;
using namespace lobos::test;

namespace {

struct told : told_exec {
    verifier_context<byte_memory> context{plan, running.map, memory, {}, 1};
    x86::told_memory<decltype(context)> reader{context};
    told() : told_exec{bytes(16)}
    {
        plan.safe = safe;
        plan.frame = phys_addr::at(frame);
    }
};

} // namespace

TEST_CASE("only parameters are read")
{
    told t;
    CHECK(t.reader.has(told::page, 1));
    CHECK(t.reader.has(told::page, 0x1000));
    CHECK(t.reader.has(told::page + 0xfff, 1));
    CHECK(fault_of(t.reader.has(told::page, 0x1001)) == outside(told::page));
    CHECK(fault_of(t.reader.has(told::page, 0)) == outside(told::page));
    CHECK(fault_of(t.reader.has(told::page - 1, 2)) == outside(told::page - 1));
    CHECK(fault_of(t.reader.has(told::frame, 1)) == outside(told::frame));
    CHECK(fault_of(t.reader.has(told::page + 0x1000, 1)) == outside(told::page + 0x1000));
    CHECK(fault_of(t.reader.has(~0ull, 2)) == outside(~0ull));
    t.safe = {{phys_range::of(0x1'0000'0000_pa, x86::page_size), safe_role::parameters}};
    t.plan.safe = t.safe;
    CHECK(fault_of(t.reader.has(0x1'0000'0000, 1)) == outside(0x1'0000'0000)); // where no 32-bit code looks
}

TEST_CASE("numbers and strings as they lie there")
{
    told t;
    for (std::uint64_t i = 0; i < 0x1000; ++i)
        store(t.memory, phys_addr::at(told::page + i), static_cast<std::uint8_t>(i % 255 + 1));
    CHECK(t.reader.word(told::page + 1) == 0x0504'0302);
    CHECK(t.reader.long_word(told::page) == 0x0807'0605'0403'0201);
    CHECK(fault_of(t.reader.has_string(told::page)) == outside(told::page + 0x1000));
    store(t.memory, phys_addr::at(told::page + 0xfff), '\0');
    CHECK(t.reader.has_string(told::page));
    CHECK(t.reader.has_string(told::page + 0xfff));
    CHECK(fault_of(t.reader.has_string(0)) == outside(0));
}

TEST_CASE("what is wrong, and where")
{
    told t;
    const result<void> field = t.reader.broken(0x1234), value = t.reader.broken_register(280);
    CHECK(fault_of(field) == broken(0x1234));
    CHECK(fault_of(value) == broken(told::frame + 280));
}

TEST_CASE("free memory is usable and no safe region")
{
    told t;
    CHECK(t.reader.is_free(0, 0));
    CHECK(t.reader.is_free(0, 0x1'1000));
    CHECK_FALSE(t.reader.is_free(0, 0x1'1001));
    CHECK_FALSE(t.reader.is_free(told::page + 0xfff, 1));
    CHECK(t.reader.is_free(0x9'ffff, 1));
    CHECK_FALSE(t.reader.is_free(0x9'ffff, 2));
    CHECK_FALSE(t.reader.is_free(0xf'0000, 1));
    CHECK_FALSE(t.reader.is_free(1, ~0ull));
    CHECK_FALSE(t.reader.is_free(2, ~0ull)); // wraps
}

TEST_CASE("each module is a segment, and each segment of a module one of them")
{
    told t;
    t.image = {{.destination = phys_range::of(0x10'0000_pa, 4_KiB)},
        {.destination = phys_range::of(0x20'0000_pa, 4_KiB), .role = segment_role::module},
        {.destination = phys_range::of(0x30'0010_pa, 1_bytes), .role = segment_role::module}};
    t.plan.image = t.image;
    using list = x86::told_modules<decltype(t.context)>;
    list modules{t.context};
    CHECK(fault_of(modules.entry(0x10'0000, 0x1000, 1_bytes, 7)) == broken(7)); // the kernel
    CHECK(fault_of(modules.entry(0x20'0000, 0xfff, 1_bytes, 7)) == broken(7));
    CHECK(fault_of(modules.entry(0x20'0000, 0, 1_bytes, 7)) == broken(7));
    CHECK(fault_of(modules.entry(~0ull, 2, 1_bytes, 7)) == broken(7));
    CHECK(fault_of(modules.end(8)) == broken(8));
    CHECK(modules.entry(0x20'0000, 0x1000, 4_KiB, 7));
    CHECK(fault_of(modules.entry(0x20'0000, 0x1000, 4_KiB, 7)) == broken(7));
    CHECK(fault_of(modules.end(8)) == broken(8));
    list again = modules;
    CHECK(fault_of(again.entry(0x30'0010, 1, 4_KiB, 7)) == broken(7));
    CHECK(modules.entry(0x30'0010, 1, 16_bytes, 7));
    CHECK(modules.end(8));
}
